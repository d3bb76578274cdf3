"""Which predicted mention answers which gold mention, whatever their labels."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from operator import attrgetter

import numpy as np

from clinidistill.evaluation.tables import Pairs, SpanTable, distinct
from clinidistill.types import Span

__all__ = ["align", "align_tables"]

_start = attrgetter("start")


def align(gold: Iterable[Span], predicted: Iterable[Span]) -> list[tuple[Span | None, Span | None]]:
    """One-to-one pairs of a document's gold and predicted mentions, across labels, by place.

    Only mentions that share a character are paired, each at most once, the best pairs first: same offsets and label;
    same offsets; overlapping with the same label; overlapping. Among equals the pair that shares most characters comes
    first, then the one that stands first. So the outcome does not depend on the order of the spans, and mentions may
    nest and cross. These are the cases that MUC and SemEval-2013 task 9.1 tell apart (https://aclanthology.org/S13-2056;
    which of several mentions to pair is not said there). Identical spans (same start, end and label) are one mention;
    of discontinuous ones the enclosing offsets count.

    Returns:
        Pairs of a gold and a predicted span; ``(gold, None)`` is missed, ``(None, predicted)`` spurious.

    >>> gold = [Span(0, 13, "symptom"), Span(20, 29, "medication")]
    >>> found = [Span(20, 29, "disease"), Span(4, 13, "symptom"), Span(0, 3, "symptom")]
    >>> [tuple(span and span.key for span in pair) for pair in align(gold, found)]  # doctest: +NORMALIZE_WHITESPACE
    [(None, (0, 3, 'symptom')), ((0, 13, 'symptom'), (4, 13, 'symptom')),
     ((20, 29, 'medication'), (20, 29, 'disease'))]
    """
    wanted, found = _mentions(gold), _mentions(predicted)
    longest = max(map(len, found), default=0)
    candidates = []
    for i, one in enumerate(wanted):
        # Those that start earlier than this end before `one` begins.
        first = bisect_right(found, one.start - longest, key=_start)
        for j in range(first, bisect_left(found, one.end, key=_start)):
            other = found[j]
            shared = min(one.end, other.end) - max(one.start, other.start)
            if shared > 0:
                same_place = one.start == other.start and one.end == other.end
                candidates.append((not same_place, one.label != other.label, -shared, i, j))

    partner: dict[int, int] = {}
    used: set[int] = set()
    for *_, i, j in sorted(candidates):
        if i not in partner and j not in used:
            partner[i] = j
            used.add(j)
    pairs: list[tuple[Span | None, Span | None]] = [
        (one, found[partner[i]] if i in partner else None) for i, one in enumerate(wanted)
    ]
    pairs += [(None, other) for j, other in enumerate(found) if j not in used]
    return sorted(pairs, key=lambda pair: next(filter(None, pair)))


def align_tables(gold: SpanTable, predicted: SpanTable, pairs: Pairs) -> Pairs:
    """:func:`align` for many documents at once; both tables number the labels in alphabetical order.

    Args:
        gold: the gold mentions.
        predicted: the predicted mentions.
        pairs: all pairs that overlap.

    Returns:
        The pairs that are aligned.
    """
    i, j = pairs
    alone = (np.bincount(i)[i] == 1) & (np.bincount(j)[j] == 1) if i.size else np.zeros(0, dtype=np.bool_)
    aligned = [(i[alone], j[alone])]
    i, j = i[~alone], j[~alone]
    shared = np.minimum(gold.end[i], predicted.end[j]) - np.maximum(gold.start[i], predicted.start[j])
    elsewhere = (gold.start[i] != predicted.start[j]) | (gold.end[i] != predicted.end[j])
    order = np.lexsort((j, i, -shared, gold.label[i] != predicted.label[j], elsewhere))
    i, j = i[order], j[order]
    while i.size:  # in each round all pairs that are the best left for both their mentions
        best = np.intersect1d(distinct(i), distinct(j), assume_unique=True)
        aligned.append((i[best], j[best]))
        rest = ~(np.isin(i, i[best]) | np.isin(j, j[best]))
        i, j = i[rest], j[rest]
    wanted, found = zip(*aligned, strict=True)
    return np.concatenate(wanted), np.concatenate(found)


def _mentions(spans: Iterable[Span]) -> list[Span]:
    """The spans by place; of identical ones, the one with the highest score."""
    ranked = sorted(spans, key=lambda span: (span.key, span.score, span.fragments))
    return list({span.key: span for span in ranked}.values())

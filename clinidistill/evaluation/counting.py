"""True positives, false positives and false negatives of one document."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable

import numpy as np
from numpy.typing import NDArray

from clinidistill.evaluation.matching import Extent, count_matches, count_overlap_matches
from clinidistill.evaluation.tables import Ints, SpanTable, overlapping_pairs
from clinidistill.types import Document, Span

__all__ = ["SCHEMES", "Counts", "count", "mention_counts"]

Pairs = tuple[Ints, Ints]

SCHEMES = ("strict", "lenient", "token")
"""The ways of counting, in the order of :data:`Counts`."""

Counts = tuple[tuple[int, int, int], ...]
"""``(tp, fp, fn)`` for each of :data:`SCHEMES`."""

_TOKEN = re.compile(r"\w+|[^\w\s]")


def count(gold: Document, predicted: Document, labels: Collection[str] | None = None) -> dict[str, Counts]:
    """Counts of each label that occurs on either side of one document, within `labels` and ``gold.covers``.

    >>> gold = Document("n1", "Low back pain.", [Span(0, 13, "symptom")])
    >>> count(gold, gold.with_spans([Span(4, 13, "symptom")]))
    {'symptom': ((0, 1, 1), (1, 0, 0), (2, 0, 1))}
    """
    sides: defaultdict[str, tuple[list[Span], list[Span]]] = defaultdict(lambda: ([], []))
    for side, document in enumerate((gold, predicted)):
        for span in document.spans:
            if gold.covers_label(span.label) and (labels is None or span.label in labels):
                sides[span.label][side].append(span)
    return {label: _count(gold.text, wanted, found) for label, (wanted, found) in sides.items()}


def _count(text: str, gold: Iterable[Span], predicted: Iterable[Span]) -> Counts:
    wanted, found = _extents(gold), _extents(predicted)
    wanted_tokens, found_tokens = _tokens(text, gold), _tokens(text, predicted)
    return (
        _outcome(len(wanted & found), wanted, found),
        _outcome(count_overlap_matches(wanted, found), wanted, found),
        _outcome(len(wanted_tokens & found_tokens), wanted_tokens, found_tokens),
    )


def _outcome(matched: int, wanted: Collection[object], found: Collection[object]) -> tuple[int, int, int]:
    return matched, len(found) - matched, len(wanted) - matched


def _extents(spans: Iterable[Span]) -> set[Extent]:
    """Where mentions are; two of one label at one place are one mention, whatever their fragments."""
    return {(span.start, span.end) for span in spans}


def _tokens(text: str, spans: Iterable[Span]) -> set[int]:
    """Start offsets of the tokens that the spans overlap; only the text around them is read."""
    starts: set[int] = set()
    for span in spans:
        for start, end in span.fragments or ((span.start, span.end),):
            if _is_word(text[start]):  # maybe in mid-word: a token counts from its own start
                while start and _is_word(text[start - 1]):
                    start -= 1  # noqa: PLW2901
            starts.update(token.start() for token in _TOKEN.finditer(text, start, end))
    return starts


def _is_word(character: str) -> bool:
    """What ``\\w`` means to :mod:`re`."""
    return character.isalnum() or character == "_"


def mention_counts(gold: SpanTable, predicted: SpanTable) -> Ints:
    """Strict and lenient ``(tp, fp, fn)`` of each document and label: an array ``(documents, labels, 2, 3)``.

    The tables number documents and labels alike. Every mention counts; leave out beforehand those whose label was not
    looked for in a document, as :meth:`SpanTable.of` does.

    >>> labels = ("medication", "symptom")
    >>> gold = SpanTable([0, 0], [0, 20], [13, 29], [1, 0], documents=1, labels=labels)
    >>> found = SpanTable([0, 0], [4, 20], [13, 29], [1, 0], documents=1, labels=labels)
    >>> mention_counts(gold, found).tolist()
    [[[[1, 0, 0], [1, 0, 0]], [[0, 1, 1], [1, 0, 0]]]]
    """
    i, j = _same_label(gold, predicted, overlapping_pairs(gold, predicted))
    exact = i[_same_place(gold, predicted, (i, j))]
    cells = gold.documents * len(gold.labels)
    wanted, found, strict = (
        np.bincount(cell, minlength=cells) for cell in (gold.cell, predicted.cell, gold.cell[exact])
    )
    outcomes = [
        np.stack([matched, found - matched, wanted - matched], axis=-1)
        for matched in (strict, count_matches(gold, predicted, (i, j)))
    ]
    return np.stack(outcomes, axis=1).reshape(gold.documents, len(gold.labels), 2, 3)


def _same_label(gold: SpanTable, predicted: SpanTable, pairs: Pairs) -> Pairs:
    i, j = pairs
    same = gold.label[i] == predicted.label[j]
    return i[same], j[same]


def _same_place(gold: SpanTable, predicted: SpanTable, pairs: Pairs) -> NDArray[np.bool_]:
    i, j = pairs
    same: NDArray[np.bool_] = (gold.start[i] == predicted.start[j]) & (gold.end[i] == predicted.end[j])
    return same

"""True positives, false positives and false negatives of many documents."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clinidistill.evaluation.alignment import align_tables
from clinidistill.evaluation.matching import count_matches
from clinidistill.evaluation.tables import Ints, Pairs, SpanTable, overlapping_pairs
from clinidistill.evaluation.tokens import overlapped_tokens
from clinidistill.types import SCHEMES, Document, Span

__all__ = ["Counts", "Floats", "count", "mention_counts"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """What was counted, in a row for each label that occurs in a document.

    Args:
        document: each row's document, by number.
        label: its label's number in `labels`; ``len(labels)`` for pairs of mentions with different labels. Where a
            scheme takes those for right, they are true positives of the micro average alone, and as many false
            positives and false negatives of their labels are taken back.
        outcomes: ``(tp, fp, fn)`` of each row and scheme, an array ``(rows, schemes, 3)`` in the order of ``SCHEMES``.
        documents: how many documents there are.
        labels: the labels that occur, in alphabetical order.
    """

    document: Ints
    label: Ints
    outcomes: Floats
    documents: int
    labels: tuple[str, ...]

    def total(self) -> Floats:
        """The outcomes of each label, and those across labels last: an array ``(labels + 1, schemes, 3)``."""
        total = np.zeros((len(self.labels) + 1, *self.outcomes.shape[1:]))
        np.add.at(total, self.label, self.outcomes)
        return total


def count(gold: Sequence[Document], predicted: Sequence[Document], labels: Collection[str] | None = None) -> Counts:
    """Counts of documents in the same order, within `labels` and what each gold document ``covers``.

    >>> gold = Document("n1", "Low back pain.", [Span(0, 13, "symptom")])
    >>> count([gold], [gold.with_spans([Span(4, 13, "symptom")])]).outcomes[0, :3].tolist()
    [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [2.0, 0.0, 1.0]]
    """
    sides = [_Mentions(side, gold, labels) for side in (gold, predicted)]
    names = tuple(sorted({span.label for side in sides for span in side.spans}))
    numbers = [side.label(names) for side in sides]
    wanted, found = (
        SpanTable(side.document, side.start, side.end, label, documents=len(gold), labels=names)
        for side, label in zip(sides, numbers, strict=True)
    )
    cells = [side.document * len(names) + label for side, label in zip(sides, numbers, strict=True)]
    overlapping = overlapping_pairs(wanted, found)
    within, _ = _by_label(wanted, found, overlapping)
    aligned, mixed = _by_label(wanted, found, align_tables(wanted, found, overlapping))
    size = len(gold) * len(names)

    def pairs(chosen: Pairs, worth: Floats | NDArray[np.bool_] | None = None) -> Floats:
        return _outcomes(np.bincount(wanted.cell[chosen[0]], worth, size), wanted.cell, found.cell)

    outcomes = {
        "strict": pairs(within, _same_place(wanted, found, within)),
        "lenient": _outcomes(count_matches(wanted, found, within), wanted.cell, found.cell),
        "token": _shared([side.tokens() for side in sides], cells, size),
        "type": pairs(aligned),
        "boundary": pairs(aligned, _same_place(wanted, found, aligned)),
        "partial": pairs(aligned, (1 + _same_place(wanted, found, aligned)) / 2),
        "unique": _shared(_numbered(side.strings() for side in sides), cells, size),
    }
    rows = _set(np.concatenate([wanted.cell, found.cell]))
    of_labels = np.stack([outcomes[scheme][rows] for scheme in SCHEMES], axis=1)
    where, of_mixed = _across_labels(wanted, found, mixed)
    document, label = np.divmod(rows, max(len(names), 1))
    return Counts(
        np.append(document, where),
        np.append(label, np.full(where.size, len(names))),
        np.concatenate([of_labels, of_mixed]),
        len(gold),
        names,
    )


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
    within, _ = _by_label(gold, predicted, overlapping_pairs(gold, predicted))
    exact = within[0][_same_place(gold, predicted, within)]
    strict = np.bincount(gold.cell[exact], minlength=gold.documents * len(gold.labels))
    lenient = count_matches(gold, predicted, within)
    outcomes = [_outcomes(matched, gold.cell, predicted.cell) for matched in (strict, lenient)]
    return np.stack(outcomes, axis=1).reshape(gold.documents, len(gold.labels), 2, 3)


class _Mentions:
    """The mentions of one side that count."""

    def __init__(self, side: Sequence[Document], gold: Sequence[Document], labels: Collection[str] | None):
        kept: list[Sequence[Span]] = []
        for note, judge in zip(side, gold, strict=True):
            spans: Sequence[Span] = note.spans
            if labels is not None or judge.covers is not None:
                spans = [s for s in spans if judge.covers_label(s.label) and (labels is None or s.label in labels)]
            kept.append(spans)
        self.spans = list(chain.from_iterable(kept))
        self.document = np.repeat(np.arange(len(kept)), np.array([len(spans) for spans in kept], dtype=np.int64))
        self.notes = [side[n] for n in self.document.tolist()]
        self.start = np.array([span.start for span in self.spans], dtype=np.int64)
        self.end = np.array([span.end for span in self.spans], dtype=np.int64)

    def label(self, names: Sequence[str]) -> Ints:
        """Each mention's label, by number."""
        number = {label: n for n, label in enumerate(names)}
        return np.array([number[span.label] for span in self.spans], dtype=np.int64)

    def tokens(self) -> Pairs:
        """The mention and the start of each token that one overlaps, in gaps of discontinuous ones excepted."""
        parts = [(n, *part) for n, span in enumerate(self.spans) for part in span.fragments]
        split = np.array(parts, dtype=np.int64).reshape(-1, 3).T
        whole = np.delete(np.arange(len(self.spans)), split[0])
        mention = np.append(whole, split[0])
        texts = [self.notes[n].text for n in mention.tolist()]
        owner, token = overlapped_tokens(
            texts, np.append(self.start[whole], split[1]), np.append(self.end[whole], split[2])
        )
        return mention[owner], token

    def strings(self) -> list[str]:
        """What each mention says, case and spacing aside."""
        mentions = zip(self.notes, self.spans, strict=True)
        return [" ".join(note.mention(span).casefold().split()) for note, span in mentions]


def _by_label(gold: SpanTable, predicted: SpanTable, pairs: Pairs) -> tuple[Pairs, Pairs]:
    """The pairs with the same label, and the others."""
    i, j = pairs
    same = gold.label[i] == predicted.label[j]
    return (i[same], j[same]), (i[~same], j[~same])


def _same_place(gold: SpanTable, predicted: SpanTable, pairs: Pairs) -> NDArray[np.bool_]:
    i, j = pairs
    same: NDArray[np.bool_] = (gold.start[i] == predicted.start[j]) & (gold.end[i] == predicted.end[j])
    return same


def _outcomes(matched: NDArray[Any], wanted: Ints, found: Ints) -> NDArray[Any]:
    """``(tp, fp, fn)`` of each cell, from the matches in it and the cells of all that was wanted and found."""
    all_wanted, all_found = (np.bincount(cells, minlength=matched.size) for cells in (wanted, found))
    return np.stack([matched, all_found - matched, all_wanted - matched], axis=-1)


def _across_labels(gold: SpanTable, predicted: SpanTable, pairs: Pairs) -> tuple[Ints, Floats]:
    """Documents with aligned pairs of different labels, and what these change in the micro average."""
    documents, where = np.unique(gold.document[pairs[0]], return_inverse=True)
    exact = _same_place(gold, predicted, pairs)
    outcomes = np.zeros((documents.size, len(SCHEMES), 3))
    for scheme, worth in (("boundary", exact * 1.0), ("partial", (1 + exact) / 2)):
        right = np.bincount(where, worth, documents.size)
        outcomes[:, SCHEMES.index(scheme)] = np.stack([right, -right, -right], axis=-1)
    return documents, outcomes


def _numbered(sides: Iterable[Sequence[str]]) -> Iterator[Pairs]:
    """Things that are strings, by number."""
    numbers: dict[str, int] = {}
    for strings in sides:
        things = [numbers.setdefault(string, len(numbers)) for string in strings]
        yield np.arange(len(things)), np.array(things, dtype=np.int64)


def _shared(sides: Iterable[Pairs], cells: Sequence[Ints], size: int) -> NDArray[Any]:
    """Outcomes of the sets of things that the mentions of each cell consist of: tokens or strings.

    Args:
        sides: for each side, mentions and things, by number.
        cells: for each side, the cells of its mentions.
        size: how many cells there are.
    """
    both = list(sides)
    width = max(int(things.max(initial=0)) for _, things in both) + 1
    wanted, found = (_set(cell[of] * width + thing) for (of, thing), cell in zip(both, cells, strict=True))
    matched = np.intersect1d(wanted, found, assume_unique=True)
    return _outcomes(np.bincount(matched // width, minlength=size), wanted // width, found // width)


def _set(numbers: Ints) -> Ints:
    """``np.unique``, which hashes where it need not, in a thirtieth of the time."""
    ordered = np.sort(numbers)
    return ordered[np.diff(ordered, prepend=-1) > 0]

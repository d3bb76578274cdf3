"""Mentions of many documents as arrays, to be counted together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clinidistill.errors import ConfigError
from clinidistill.types import Document

__all__ = ["Ints", "Pairs", "SpanTable", "distinct", "overlapping_pairs"]

Ints = NDArray[np.int64]
Pairs = tuple[Ints, Ints]
"""Row numbers of gold mentions, and of the predicted mention that goes with each."""


@dataclass(frozen=True, slots=True, eq=False)
class SpanTable:
    """The mentions of many documents, a row each, by document, start, end and label; identical ones are one.

    Args:
        document: each mention's document, by number.
        start: offset of its first character.
        end: offset after its last one.
        label: its label's number in `labels`.
        documents: how many documents there are, those without a mention among them.
        labels: the labels' names.

    Raises:
        ConfigError: if the arrays differ in length, or a document's or label's number is out of range.

    >>> SpanTable([1, 0, 1], [3, 0, 3], [12, 4, 12], [0, 0, 0], documents=2, labels=("medication",)).start
    array([0, 3])
    """

    document: Ints
    start: Ints
    end: Ints
    label: Ints
    documents: int
    labels: tuple[str, ...]

    def __init__(
        self,
        document: ArrayLike,
        start: ArrayLike,
        end: ArrayLike,
        label: ArrayLike,
        *,
        documents: int,
        labels: Iterable[str],
    ) -> None:
        columns = [np.asarray(column, dtype=np.int64) for column in (document, start, end, label)]
        names = tuple(labels)
        if len({column.shape for column in columns}) != 1 or columns[0].ndim != 1:
            raise ConfigError("a SpanTable's document, start, end and label are arrays of one length")
        for column, what, limit in ((columns[0], "documents", documents), (columns[3], "labels", len(names))):
            if column.size and not (column.min() >= 0 and column.max() < limit):
                raise ConfigError(f"a SpanTable of {limit} {what} numbers them from 0 to {limit - 1}")
        if not _increase(columns).all():
            order = np.lexsort(columns[::-1])
            columns = [column[order] for column in columns]
            once = np.append(True, _increase(columns)) if order.size else order
            columns = [column[once] for column in columns]
        for name, value in zip(self.__slots__, (*columns, documents, names), strict=True):
            object.__setattr__(self, name, value)

    @classmethod
    def of(
        cls, documents: Iterable[Document], labels: Sequence[str], *, gold: Iterable[Document] | None = None
    ) -> SpanTable:
        """The spans of documents, numbered as they come.

        Args:
            documents: the documents.
            labels: only these labels are kept, and numbered in this order.
            gold: documents, in the same order, whose ``covers`` hold: a span whose label was not looked for there is
                left out. None takes the documents' own.
        """
        number = {label: n for n, label in enumerate(labels)}
        notes = list(documents)
        rows = [
            (n, span.start, span.end, number[span.label])
            for n, (document, judge) in enumerate(zip(notes, notes if gold is None else gold, strict=True))
            for span in document.spans
            if span.label in number and (judge.covers is None or span.label in judge.covers)
        ]
        columns = np.array(rows, dtype=np.int64).reshape(-1, 4).T
        return cls(*columns, documents=len(notes), labels=labels)

    def __len__(self) -> int:
        return self.document.size

    @property
    def cell(self) -> Ints:
        """Each mention's document and label in one number, ``document * len(labels) + label``."""
        return self.document * len(self.labels) + self.label


def overlapping_pairs(gold: SpanTable, predicted: SpanTable) -> Pairs:
    """All pairs of a gold and a predicted mention that share a character, whatever their labels.

    Time and memory grow with the number of mentions and pairs, not with the product of the two sides.
    """
    width = max((int(table.end.max()) for table in (gold, predicted) if len(table)), default=0) + 1
    of_gold, of_found = (table.document * width + table.start for table in (gold, predicted))
    # Of two mentions that overlap, either the predicted one starts within the gold one, or the gold one starts within
    # the predicted one after its first character. What starts within a mention stands together in the other table.
    within_gold = _ranges(
        np.searchsorted(of_found, of_gold), np.searchsorted(of_found, of_gold + gold.end - gold.start)
    )
    within_found = _ranges(
        np.searchsorted(of_gold, of_found, "right"),
        np.searchsorted(of_gold, of_found + predicted.end - predicted.start),
    )
    return np.concatenate([within_gold[0], within_found[1]]), np.concatenate([within_gold[1], within_found[0]])


def distinct(rows: Ints) -> Ints:
    """Where each row number stands for the first time.

    >>> distinct(np.array([3, 0, 3, 0]))
    array([0, 1])
    """
    place = np.zeros(int(rows.max(initial=-1)) + 1, dtype=np.int64)
    here = np.arange(rows.size)
    place[rows[::-1]] = here[::-1]  # of several values for one place the last stays
    return np.flatnonzero(place[rows] == here)


def _increase(columns: Sequence[Ints]) -> NDArray[np.bool_]:
    """Whether each row is above the one before it, the first column counting most."""
    above = np.zeros(max(columns[0].size - 1, 0), dtype=np.bool_)
    for column in reversed(columns):
        step = np.diff(column)
        above = (step > 0) | ((step == 0) & above)
    return above


def _ranges(first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """Pairs of n and each number in ``[first[n], last[n])``."""
    sizes = np.maximum(last - first, 0)
    owner = np.repeat(np.arange(sizes.size), sizes)
    return owner, np.arange(owner.size) + np.repeat(first - (np.cumsum(sizes) - sizes), sizes)

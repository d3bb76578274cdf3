"""Krippendorff's alpha over the tokens of documents."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from clinidistill.aggregation.mentions import Candidates, Ints
from clinidistill.labels import Labels, Opinions

__all__ = ["Tokens", "coincidences", "krippendorff_alpha"]

_TOKEN = re.compile(r"\w+|[^\w\s]")  # as token-level scores count

Floats = NDArray[np.float64]


class Tokens:
    """The tokens of documents seen one after another, placed as if all texts were joined.

    Attributes:
        ids: the documents' ids.
        bases: where each text begins.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.bases: list[int] = []
        self._size = 0
        self._places: list[Ints] = []

    def watch(self, labels: Labels) -> Iterator[Opinions]:
        """The opinions, each document noted down as it goes by."""
        for opinions in labels:
            text = opinions.document.text
            places = np.array([match.span() for match in _TOKEN.finditer(text)], dtype=np.int64).reshape(-1, 2)
            self.ids.append(opinions.document.id)
            self.bases.append(self._size)
            self._places.append(places + self._size)
            self._size += len(text)
            yield opinions

    def places(self) -> tuple[Ints, Ints, Ints]:
        """Start and end of every token, and the number of its document."""
        places = np.concatenate([np.zeros((0, 2), dtype=np.int64), *self._places])
        return places[:, 0], places[:, 1], np.repeat(np.arange(len(self.ids)), [len(each) for each in self._places])


def krippendorff_alpha(values: float, marked: float, disagreement: float) -> float | None:
    """Alpha of two nominal values from the sums that :func:`coincidences` gives; None where all values are the same."""
    expected = 2 * marked * (values - marked)
    return float(1 - (values - 1) * disagreement / expected) if expected else None


def coincidences(c: Candidates, tokens: Tokens) -> Floats:
    """The sums that alpha is made of, a row for each label; alpha over all labels takes the sum of the rows.

    Units are the tokens on which at least two teachers have a vote. The columns are the number of values, the number
    of these that are "marked", and the coincidences of differing values: over the units, ``2 k (n - k) / (n - 1)`` with
    `k` of `n` values "marked".
    """
    starts, ends, document = tokens.places()
    first, last, row = _reach(c, tokens, starts, ends)
    sums = np.zeros((len(c.labels), 3))
    for label in range(len(c.labels)):
        its = c.label[row] == label
        marked = np.zeros(len(starts), dtype=np.int64)
        for teacher in range(len(c.teachers)):
            mine = its & c.marks[row, teacher]
            steps = np.bincount(first[mine], minlength=len(starts) + 1)
            steps = steps - np.bincount(last[mine], minlength=len(starts) + 1)
            marked += np.cumsum(steps)[:-1] > 0
        votes = c.knows[:, :, label].sum(axis=1)[document]
        asked = votes > 1
        n, k = votes[asked], marked[asked]
        sums[label] = n.sum(), k.sum(), (2 * k * (n - k) / (n - 1)).sum()
    return sums


def _reach(c: Candidates, tokens: Tokens, starts: Ints, ends: Ints) -> tuple[Ints, Ints, Ints]:
    """The first token and the one after the last of each span or fragment, and the span's row."""
    pieces, row, split = np.stack([c.start, c.end], axis=1), np.arange(len(c.start)), {}
    for (document, start, end, label), (_, fragments) in c.extras.items():
        if fragments:
            split[document, start, end, label] = fragments
    if split:
        keys = zip(*(column.tolist() for column in (c.document, c.start, c.end, c.label)), strict=True)
        parts = [split.get(key) or (key[1:3],) for key in keys]
        row = np.repeat(row, [len(each) for each in parts])
        pieces = np.array([piece for each in parts for piece in each], dtype=np.int64).reshape(-1, 2)
    base = np.array(tokens.bases, dtype=np.int64)[c.document[row]]
    first = np.searchsorted(ends, base + pieces[:, 0], side="right")
    return first, np.maximum(first, np.searchsorted(starts, base + pieces[:, 1], side="left")), row

"""What mentions look like: the words of a span and around it, learned from spans that are believed."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from clinidistill.aggregation.label_model import Floats
from clinidistill.aggregation.mentions import Candidates

__all__ = ["Contexts"]

_TOKEN = re.compile(r"\w+|[^\w\s]")
_REACH = 40  # characters to look at on either side


class Contexts:
    """Naive Bayes over a span's words, its first and last word, and the tokens beside it, for each label and for all.

    The evidence of each sign is the log-odds of being a mention given the sign, over those of any span; a span's is
    their sum over the square root of their number, since signs depend on each other.

    Args:
        smoothing: how many spans of average truth each sign is taken to have been seen with before.
    """

    def __init__(self, smoothing: float = 2.0):
        self.smoothing = smoothing
        self._number: dict[str, int] = {}

    def learn(self, candidates: Candidates, rows: NDArray[np.int64], truth: Floats) -> Floats:
        """Learn from some candidates how likely each is a mention.

        Args:
            candidates: where the spans are.
            rows: the candidates to learn from.
            truth: how likely each of `rows` is a mention, 0 to 1.

        Returns:
            The evidence for each of `rows` from all other documents than its own.
        """
        for name in (name for row in rows.tolist() for name in _signs(candidates, row)):
            self._number.setdefault(name, len(self._number))
        row, sign = self._incidence(candidates, rows)
        size = len(self._number)
        true: Floats = np.bincount(sign, truth[row], minlength=size).astype(np.float64)
        false: Floats = np.bincount(sign, 1 - truth[row], minlength=size).astype(np.float64)
        share = float(np.clip(truth.mean() if len(truth) else 0.5, 1e-3, 1 - 1e-3))
        self._true, self._false, self._share = true, false, share
        # What each document holds itself, taken out for the spans of that document.
        own = candidates.document[rows][row] * size + sign
        keys, own = np.unique(own, return_inverse=True)
        own = own.reshape(-1)
        own_true = np.bincount(own, truth[row], minlength=len(keys))[own]
        own_false = np.bincount(own, 1 - truth[row], minlength=len(keys))[own]
        return self._evidence(true[sign] - own_true, false[sign] - own_false, row, len(rows))

    def evidence(self, candidates: Candidates) -> Floats:
        """The evidence that each candidate is a mention; 0 where nothing is known."""
        row, sign = self._incidence(candidates, np.arange(len(candidates.start)))
        return self._evidence(self._true[sign], self._false[sign], row, len(candidates.start))

    def _incidence(
        self, candidates: Candidates, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        found = [
            (n, self._number[name])
            for n, row in enumerate(rows.tolist())
            for name in _signs(candidates, row)
            if name in self._number
        ]
        pairs = np.array(found, dtype=np.int64).reshape(-1, 2)
        return pairs[:, 0], pairs[:, 1]

    def _evidence(self, true: Floats, false: Floats, row: NDArray[np.int64], rows: int) -> Floats:
        share, k = self._share, self.smoothing
        odds = np.log((true + k * share) / (false + k * (1 - share))) - np.log(share / (1 - share))
        number = np.bincount(row, minlength=rows)
        evidence: Floats = np.bincount(row, odds, minlength=rows) / np.sqrt(np.maximum(number, 1))
        return evidence


def _signs(c: Candidates, row: int) -> list[str]:
    text, start, end = c.texts[int(c.document[row])], int(c.start[row]), int(c.end[row])
    words = [token.lower() for token in _TOKEN.findall(text[start:end])]
    before = _TOKEN.findall(text[max(0, start - _REACH) : start])
    after = _TOKEN.findall(text[end : end + _REACH])
    signs = {f"w {word}" for word in words}
    if words:
        signs |= {f"f {words[0]}", f"l {words[-1]}"}
    signs.add(f"b {before[-1].lower() if before else ''}")
    signs.add(f"a {after[0].lower() if after else ''}")
    label = int(c.label[row])
    return sorted(signs | {f"{label} {sign}" for sign in signs})

"""Which runs of words may be mentions: windows → units, spans → examples, and scores → spans that may nest.

A unit is a word, or several where one token reaches over them. Spans of up to so many units are the candidates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clinidistill.students.decoding import WORD
from clinidistill.students.encoding import IGNORE, Window
from clinidistill.types import Span

__all__ = ["BEGINS", "ENDS", "Units", "gold_slots", "read_slots", "select", "unit_codes", "units", "words_in"]

Ints = NDArray[np.int64]

BEGINS, ENDS = 1, 2
"""Bits of a token's target: whether a unit begins there, and whether one ends."""

_SLOT = 3  # numbers that say a span at its first token: units, label, score


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """The units of a window that are wholly in it.

    Args:
        first, last: their first and last tokens, shape ``(units,)``.
        first_word, last_word: their first and last words in the document, shape ``(units,)``.
    """

    first: Ints
    last: Ints
    first_word: Ints
    last_word: Ints

    def __len__(self) -> int:
        return len(self.first)


def words_in(text: str) -> Ints:
    """Half-open offsets of the words of a text, shape ``(words, 2)``."""
    return np.array([match.span() for match in WORD.finditer(text)], dtype=np.int64).reshape(-1, 2)


def units(window: Window, words: Ints, *, begins_note: bool, ends_note: bool) -> Units:
    """The units of a window.

    Args:
        window: a window of the words' document.
        words: from :func:`words_in`.
        begins_note, ends_note: whether it is the document's first and last window; at other edges a word may be cut.
    """
    since = np.searchsorted(words[:, 1], window.starts, "right")
    until = np.searchsorted(words[:, 0], window.ends, "left")
    token = np.flatnonzero((window.ends > window.starts) & (until > since))
    since, until = since[token], until[token]
    opens = np.ones(len(token), dtype=bool)
    opens[1:] = since[1:] >= np.maximum.accumulate(until)[:-1]
    closes = np.append(opens[1:], True)[: len(token)]
    found = Units(token[opens], token[closes], since[opens], until[closes] - 1)
    if not len(found):
        return found
    cut_left = not begins_note and words[found.first_word[0], 0] < window.starts[found.first[0]]
    cut_right = not ends_note and words[found.last_word[-1], 1] > window.ends[found.last[-1]]
    kept = slice(int(cut_left), len(found) - int(cut_right))
    return Units(found.first[kept], found.last[kept], found.first_word[kept], found.last_word[kept])


def unit_codes(window: Window, found: Units) -> Ints:
    """Targets that say where units are: :data:`BEGINS` and :data:`ENDS` at tokens, shape ``(tokens,)``."""
    codes = np.where(window.ends > window.starts, 0, IGNORE)
    codes[found.first] += BEGINS
    codes[found.last] += ENDS
    return codes


def gold_slots(
    window: Window, found: Units, words: Ints, spans: Iterable[Span], labels: Sequence[str], *, max_width: int
) -> NDArray[np.float16] | None:
    """The spans that are candidates of a window, each at its first token.

    Args:
        window: a window of the words' document.
        found: its units.
        words: from :func:`words_in`.
        spans: of its document; may overlap. Those outside the window or wider than `max_width` units are left out.
        labels: the labels; spans with others are left out.
        max_width: most units in a span.

    Returns:
        Shape ``(tokens, 3 * k)`` where no token begins more than `k` spans: units, label and score of each, zeros where
        there is none. None if there is no span at all.
    """
    position = {label: n for n, label in enumerate(labels)}
    slots: dict[int, dict[tuple[int, int], float]] = {}
    for span in spans:
        first_word = int(np.searchsorted(words[:, 1], span.start, "right"))
        last_word = int(np.searchsorted(words[:, 0], span.end, "left")) - 1
        begin = int(np.searchsorted(found.last_word, first_word, "left"))
        end = int(np.searchsorted(found.first_word, last_word, "right")) - 1
        if span.label not in position or not 0 <= end - begin < max_width:
            continue
        # Not in the window as a whole: it begins left of the first unit, or ends right of the last.
        if found.first_word[0] > first_word or found.last_word[-1] < last_word:
            continue
        here = slots.setdefault(int(found.first[begin]), {})
        key = end - begin + 1, position[span.label]
        here[key] = max(here.get(key, 0.0), span.score)
    if not slots:
        return None
    out = np.zeros((len(window), _SLOT * max(map(len, slots.values()))), dtype=np.float16)
    for token, here in slots.items():
        out[token, : _SLOT * len(here)] = [number for key, score in here.items() for number in (*key, score)]
    return out


def read_slots(slots: NDArray[np.float16]) -> tuple[Ints, Ints, Ints, NDArray[np.float32]]:
    """First token, units, label and score of the spans in :func:`gold_slots`, shape ``(spans,)`` each."""
    each = slots.reshape(len(slots), -1, _SLOT)
    token, slot = np.nonzero(each[..., 0])
    width, label, score = each[token, slot].astype(np.float32).T
    return token, width.astype(np.int64), label.astype(np.int64), score


def select(first: Ints, last: Ints, scores: NDArray[np.floating], *, nested: bool) -> list[int]:
    """Candidates that go together, the likeliest first: none crosses another, or (if not `nested`) overlaps it.

    As in Yu, Bohnet & Poesio, *Named Entity Recognition as Dependency Parsing* (ACL 2020).

    Args:
        first, last: first and last word of each candidate, shape ``(candidates,)``.
        scores: how likely each is, shape ``(candidates,)``.
        nested: whether one may lie within another.

    >>> first, last, scores = np.array([0, 1, 0]), np.array([1, 2, 2]), np.array([.9, .8, .7])
    >>> select(first, last, scores, nested=True), select(first, last, scores, nested=False)
    ([0, 2], [0])
    """
    taken: set[int] = set()  # words of candidates chosen so far
    farthest: dict[int, int] = {}  # last word of the longest of them that begins at a word
    nearest: dict[int, int] = {}  # first word of the longest of them that ends at a word
    chosen = []
    for n in np.argsort(-scores, kind="stable").tolist():
        a, b = int(first[n]), int(last[n])
        if not nested:
            if any(word in taken for word in range(a, b + 1)):
                continue
            taken.update(range(a, b + 1))
        elif any(farthest.get(word, b) > b for word in range(a + 1, b + 1)) or any(
            nearest.get(word, a) < a for word in range(a, b)
        ):
            continue
        farthest[a], nearest[b] = max(b, farthest.get(a, b)), min(a, nearest.get(b, a))
        chosen.append(n)
    return chosen

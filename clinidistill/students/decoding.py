"""Token probabilities → spans on whole words.

A word's verdict is pooled over its word pieces and over the windows it stands in: the mass of a label is the mean of
``P(B-x) + P(I-x)`` over all of them, and whether a mention opens at the word is asked of its first piece in each.

``"greedy"`` decides word by word: the label of the greatest mass if that is above ``P(O)``; a mention opens where the
label changes, and where it is likely to. ``"viterbi"`` takes the most probable valid tags of all words together
(:mod:`~clinidistill.students.viterbi`).
"""

from __future__ import annotations

import re
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clinidistill.students.viterbi import viterbi
from clinidistill.types import Span

__all__ = ["WORD", "Decoder", "decode"]

Decoder = Literal["greedy", "viterbi"]
"""How words' probabilities become tags."""

WORD = re.compile(r"(?:\w[\u0300-\u036f\u200d]*)+|[^\w\s]")
"""A word (combining marks belong to it) or a single other visible character."""


def decode(
    text: str,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    labels: tuple[str, ...],
    *,
    decoder: Decoder = "greedy",
) -> list[Span]:
    """The spans that token probabilities say.

    Args:
        text: the document's text.
        starts, ends: half-open offsets of its tokens, shape ``(tokens,)``, windows one after another; special tokens
            left out.
        probabilities: shape ``(tokens, 1 + 2 * len(labels))``, in the order of :func:`iob2_tags`.
        labels: the labels in tag order.
        decoder: how words' probabilities become tags.

    Returns:
        Spans that do not overlap, by place, on word edges; their score is the mean mass of their words.
    """
    words = np.array([match.span() for match in WORD.finditer(text)], dtype=np.int64).reshape(-1, 2)
    if not len(words) or not len(starts):
        return []
    token, word, is_first = _pieces(starts, ends, words)
    pieces = np.bincount(word, minlength=len(words))
    seen = np.flatnonzero(pieces)  # a character that the tokenizer drops has no say and breaks no mention
    outside, mass, opening = _pool(probabilities[token], word, is_first, pieces)
    outside, mass, opening = outside[seen], mass[seen], opening[seen]

    kind, begins = (_greedy if decoder == "greedy" else _viterbi)(outside, mass, opening)
    inside = kind >= 0
    first = np.flatnonzero(begins)
    stops = np.flatnonzero(begins | ~inside)
    after = np.searchsorted(stops, first, "right")
    last = np.where(after < len(stops), np.append(stops, len(seen))[after], len(seen)) - 1
    return [
        Span(
            int(words[seen[a], 0]),
            int(words[seen[b], 1]),
            labels[kind[a]],
            min(1.0, float(mass[a : b + 1, kind[a]].mean())),
        )
        for a, b in zip(first.tolist(), last.tolist(), strict=True)
    ]


def _greedy(
    outside: NDArray[np.float64], mass: NDArray[np.float64], opening: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The label of each word, -1 for none, and whether a mention opens there."""
    every = np.arange(len(mass))
    best = mass.argmax(axis=1)
    inside = mass[every, best] > outside
    kind = np.where(inside, best, -1)
    before = np.concatenate(([-1], kind[:-1]))
    return kind, inside & ((kind != before) | (opening[every, best] > 0.5))


def _viterbi(
    outside: NDArray[np.float64], mass: NDArray[np.float64], opening: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    tags = np.empty((len(mass), 1 + 2 * mass.shape[1]))
    tags[:, 0], tags[:, 1::2], tags[:, 2::2] = outside, mass * opening, mass * (1 - opening)
    path = viterbi(np.log(np.maximum(tags, 1e-30)))
    return (path - 1) // 2, path % 2 == 1


def _pieces(
    starts: NDArray[np.int64], ends: NDArray[np.int64], words: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Pairs (token, word) that share a character, and whether a mention that opens at the word has its B there.

    A token over several words is a piece of each, but opens only the first. Of several tokens for one character (its
    bytes) only the first opens.
    """
    first = np.searchsorted(words[:, 1], starts, "right")
    count = np.maximum(np.searchsorted(words[:, 0], ends, "left") - first, 0)
    token = np.repeat(np.arange(len(starts)), count)
    within = np.arange(len(token)) - np.repeat(np.cumsum(count) - count, count)
    word = first[token] + within
    opens = (within == 0) & (starts[token] <= words[word, 0])
    repeats = opens[:-1] & (np.diff(word) == 0) & (np.diff(token) == 1)
    opens[1:] &= ~repeats
    return token, word, opens


def _pool(
    probabilities: NDArray[np.float32], word: NDArray[np.int64], is_first: NDArray[np.bool_], pieces: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Per word: P(O), P(label) and, given a label, P(it opens here); shapes (words,), (words, labels) twice."""
    size, labels = len(pieces), (probabilities.shape[1] - 1) // 2
    begin, inner = probabilities[:, 1::2], probabilities[:, 2::2]
    share = np.maximum(pieces, 1)
    outside = np.bincount(word, probabilities[:, 0], size) / share
    mass = np.stack([np.bincount(word, begin[:, n] + inner[:, n], size) for n in range(labels)], axis=1)
    lead, at = is_first.nonzero()[0], word[is_first]
    opened = np.stack([np.bincount(at, begin[lead, n], size) for n in range(labels)], axis=1)
    held = np.stack([np.bincount(at, begin[lead, n] + inner[lead, n], size) for n in range(labels)], axis=1)
    return outside, mass / share[:, None], opened / np.maximum(held, 1e-12)

"""Token probabilities → spans on whole words.

A word's verdict is pooled over its word pieces: the mass of a label is the mean of ``P(B-x) + P(I-x)`` over all of
them, and whether a mention opens at the word is asked of the first.

``"greedy"`` decides word by word: the label of the greatest mass if that is above ``P(O)``; a mention opens where the
label changes, and where it is likely to. ``"viterbi"`` takes the most probable valid tags of all words together
(:mod:`~clinidistill.students.viterbi`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clinidistill.students.encoding import Tokens
from clinidistill.students.viterbi import viterbi
from clinidistill.types import Span

__all__ = ["WORD", "Decoder", "decode"]

Decoder = Literal["greedy", "viterbi"]
"""How words' probabilities become tags."""

WORD = re.compile(r"(?:\w[\u0300-\u036f\u200d]*)+|[^\w\s]")
"""A word (combining marks belong to it) or a single other visible character."""


def decode(
    texts: Sequence[str],
    tokens: Sequence[Tokens],
    probabilities: NDArray[np.float32],
    labels: tuple[str, ...],
    *,
    decoder: Decoder = "greedy",
    source: str | None = None,
) -> list[list[Span]]:
    """The spans that token probabilities say; of many texts at once, since most of the work is then NumPy's.

    Args:
        texts: the documents' texts.
        tokens: the tokens of each.
        probabilities: of all tokens, one document after another, shape ``(tokens, 1 + 2 * len(labels))``, in the order
            of :func:`~clinidistill.students.encoding.iob2_tags`.
        labels: the labels in tag order.
        decoder: how words' probabilities become tags.
        source: what signs the spans.

    Returns:
        For each text spans that do not overlap, by place, on word edges; their score is the mean mass of their words.
    """
    spans: list[list[Span]] = [[] for _ in texts]
    begins = np.cumsum([0, *(len(text) + 1 for text in texts)])  # of the texts, were they the lines of one
    words = np.array([match.span() for match in WORD.finditer("\n".join(texts))], dtype=np.int64).reshape(-1, 2)
    shift = np.repeat(begins[:-1], [len(own) for own in tokens])
    starts = np.concatenate([own.starts for own in tokens]) + shift
    ends = np.concatenate([own.ends for own in tokens]) + shift
    if (starts == ends).any():  # a token for a character that is not there says nothing about those that are
        real = ends > starts
        starts, ends, probabilities = starts[real], ends[real], probabilities[real]
    if not len(words) or not len(starts):
        return spans
    token, word, is_first = _pieces(starts, ends, words)
    pieces = np.bincount(word, minlength=len(words))
    seen = np.flatnonzero(pieces)  # a character that the tokenizer drops has no say and breaks no mention
    if not len(seen):
        return spans
    outside, mass, opening = (pool[seen] for pool in _pool(probabilities[token], word, is_first, pieces))
    words = words[seen]
    text = np.searchsorted(begins, words[:, 0], "right") - 1
    opens = np.diff(text, prepend=-1) > 0  # whether a word is the first of its text

    kind, starting = (_greedy if decoder == "greedy" else _viterbi)(outside, mass, opening, opens)
    inside = kind >= 0
    first = np.flatnonzero(starting)
    if not len(first):
        return spans
    stops = np.append(np.flatnonzero(starting | ~inside), len(words))
    end = stops[np.searchsorted(stops, first, "right")]  # the word after the last
    chosen = np.append(mass[np.arange(len(words)), kind], 0.0)  # reduceat asks for a place after the last
    scores = np.add.reduceat(chosen, np.stack((first, end), axis=1).ravel())[::2] / (end - first)
    origin = begins[text[first]]
    columns = (text[first], words[first, 0] - origin, words[end - 1, 1] - origin, kind[first], np.minimum(scores, 1.0))
    for n, begin, stop, label, score in zip(*(column.tolist() for column in columns), strict=True):
        spans[n].append(Span(begin, stop, labels[label], score, source))
    return spans


def _greedy(
    outside: NDArray[np.float64], mass: NDArray[np.float64], opening: NDArray[np.float64], opens: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The label of each word, -1 for none, and whether a mention opens there; `opens` where a text begins."""
    every = np.arange(len(mass))
    best = mass.argmax(axis=1)
    inside = mass[every, best] > outside
    kind = np.where(inside, best, -1)
    before = np.concatenate(([-1], kind[:-1]))
    return kind, inside & (opens | (kind != before) | (opening[every, best] > 0.5))


def _viterbi(
    outside: NDArray[np.float64], mass: NDArray[np.float64], opening: NDArray[np.float64], opens: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    tags = np.empty((len(mass), 1 + 2 * mass.shape[1]))
    tags[:, 0], tags[:, 1::2], tags[:, 2::2] = outside, mass * opening, mass * (1 - opening)
    path = viterbi(np.log(np.maximum(tags, 1e-30)), opens)
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
    opening: NDArray[np.float64] = np.zeros(mass.shape)
    opening[at] = begin[lead] / np.maximum(begin[lead] + inner[lead], 1e-12)
    return outside, mass / share[:, None], opening

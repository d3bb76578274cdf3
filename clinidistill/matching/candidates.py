"""Which names of a terminology a mention may mean, where it is none of them word by word."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clinidistill.matching.fuzzy import SimilarWords, similarity
from clinidistill.matching.known_words import is_known

__all__ = ["NameIndex"]


class NameIndex:
    """Finds the names that share words with a mention: an inverted index, asked for a mention's rare words.

    A word counts for the more, the fewer names have it, and whatever its ending (see :func:`stem`). A name scores the
    share of what it and the mention hold that both hold; what the mention has beyond the name counts less than what it
    lacks, since "severe metformin-associated lactic acidosis" is a lactic acidosis, but letters and numbers count in
    full, since vitamin B is no vitamin. A word that no name and no word list has stands for those that it is a likely
    misspelling of.

    Args:
        names: the names as their words, with one space between; numbered as they come.
    """

    def __init__(self, names: Iterable[str]):
        numbers: dict[str, int] = {}
        flat, owners = array("I"), array("I")
        vocabulary: dict[str, None] = {}
        seen: dict[str, int] = {}
        size = 0
        for size, name in enumerate(names, 1):
            words = name.split(" ")
            stems = set()
            for word in words:
                number = seen.get(word)
                if number is None:
                    vocabulary[word] = None
                    number = seen[word] = numbers.setdefault(stem(word), len(numbers))
                stems.add(number)
            flat.extend(stems)
            owners.extend([size - 1] * len(stems))
        stems_of, owner = np.frombuffer(flat, np.uint32), np.frombuffer(owners, np.uint32)
        order = np.argsort(stems_of, kind="stable")
        self._numbers = numbers
        self._names: NDArray[np.uint32] = owner[order]
        self._first = np.searchsorted(stems_of[order], np.arange(len(numbers) + 1))
        counts = np.diff(self._first)
        self._weights = np.log1p(size / np.maximum(counts, 1)).astype(np.float32)
        for word, number in numbers.items():
            if word in _EMPTY:
                self._weights[number] = _LEAST_WEIGHT
            elif len(word) < _SHORT:
                self._weights[number] = max(self._weights[number], _NUMBER_WEIGHT)
        self._totals = np.bincount(owner, self._weights[stems_of], size).astype(np.float32)
        self._unknown = float(np.log1p(size))
        self._similar = SimilarWords(vocabulary)

    def search(self, mention: str, most: int) -> list[tuple[int, float]]:
        """The names nearest to a mention, best first: their numbers and scores in (0, 1].

        Args:
            mention: its words, with one space between.
            most: how many names to give at most.
        """
        slots, beyond_all = self._slots(mention.split(" "))
        if not slots:
            return []
        postings = [[self._names[self._first[n] : self._first[n + 1]] for n in slot.readings] for slot in slots]
        sizes = [sum(map(len, each)) for each in postings]
        rare = [at for at, size in enumerate(sizes) if size <= _MANY] or [int(np.argmin(sizes))]
        names = np.unique(np.concatenate([posting for at in rare for posting in postings[at]]))
        shared, lacking = np.zeros(len(names), np.float32), self._totals[names]
        beyond = np.full(len(names), beyond_all, np.float32)
        for slot, found in zip(slots, postings, strict=True):
            got = np.zeros(len(names), np.float32)
            for (number, likeness), posting in zip(slot.readings.items(), found, strict=True):
                weight = self._weights[number]
                there = posting[np.minimum(np.searchsorted(posting, names), len(posting) - 1)] == names
                better = there & (got < weight * likeness)
                got[better] = weight * likeness
                lacking -= there * (weight * likeness)
            shared += got
            beyond += np.where(got > 0, 0, slot.weight)
        scores = shared / (shared + np.maximum(lacking, 0) + beyond)
        order = np.argsort(-scores, kind="stable")[:most]
        return [(int(names[at]), float(scores[at])) for at in order]

    def _slots(self, words: Sequence[str]) -> tuple[list[_Slot], float]:
        """For each different word what it may stand for, and the weight of the words that stand for nothing."""
        slots: list[_Slot] = []
        beyond = 0.0
        for word in dict.fromkeys(words):
            number = self._numbers.get(stem(word))
            readings = {number: 1.0} if number is not None else self._readings(word)
            if readings:
                weight = float(self._weights[max(readings, key=lambda each: readings[each])])
                slots.append(_Slot(readings, weight * (1 if len(word) < _SHORT else _BEYOND)))
            elif word not in _EMPTY:
                beyond += self._unknown * _UNKNOWN
        return slots, beyond

    def _readings(self, word: str) -> dict[int, float]:
        """The stems that an unknown word may be a misspelling of, and how like it they are."""
        readings: dict[int, float] = {}
        if not (word.isascii() and word.isalpha()) or is_known(word):
            return readings
        for other in self._similar.near(word):
            likeness = similarity(word, other)
            if likeness >= _LEAST_LIKENESS:
                number = self._numbers[stem(other)]
                readings[number] = max(likeness, readings.get(number, 0.0))
        return readings


class _Slot(NamedTuple):
    """A word of a mention: the stems that it may stand for, how like it they are, and what it weighs if none is met."""

    readings: dict[int, float]
    weight: float


def stem(word: str) -> str:
    """A word without its ending, roughly, so that its inflections and derivations meet.

    >>> [stem(word) for word in ("nephrotoxicity", "nephrotoxic", "seizures", "arrhythmias", "cyst", "type")]
    ['nephrotox', 'nephrotox', 'seizur', 'arrhythm', 'cyst', 'type']
    """
    while (shorter := _ENDING.sub("", word)) != word:
        word = shorter
    return word


_ENDING = re.compile(r"(?<=....)(?:ies|ied|es|ed|ing|s|al|ical|ic|ity|ous|ia|y|e|is)$")
_EMPTY_WORDS = """
an and as at by due for from in induced into nos of on or other related the to type unspecified with
"""
_EMPTY = frozenset(_EMPTY_WORDS.split())
_MANY = 5_000  # names that a word leads to; what more have is only compared
_SHORT = 3
_LEAST_WEIGHT, _NUMBER_WEIGHT = 0.3, 4.0
_BEYOND, _UNKNOWN = 0.4, 0.2
_LEAST_LIKENESS = 0.75

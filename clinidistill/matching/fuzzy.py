"""Misspelled words of terms: which word of a terminology a word stands for that nobody knows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import chain, compress, count
from typing import NamedTuple, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import OSA, Prefix

from clinidistill.errors import OptionError
from clinidistill.matching.automaton import Automaton, Match
from clinidistill.matching.known_words import is_known, known_words, near_known
from clinidistill.matching.words import Words

__all__ = ["LEAST_SCORE", "Correction", "Misspellings", "SimilarWords", "least_score", "similarity"]

LEAST_SCORE = 0.81
_T = TypeVar("_T")


class Correction(NamedTuple):
    """What a misspelled word stands for, and how sure that is, in (0, 1)."""

    word: str
    score: float


class Misspellings:
    """Finds terms of an automaton with misspelled words in them.

    Only words that neither a term nor a list of English and medical words has
    (see :func:`~clinidistill.matching.known_words.known_words`) are taken for misspelled. The words of terms that are
    :func:`similar <similarity>` are read in their place. A term of one word is found if no known word is just as like
    the misspelled one; one of several words also where it is less alike, since the others speak for it. Where two
    concepts are as likely as each other, neither is found: the wrong drug is worse than none.

    Args:
        automaton: the terms.
        least_score: how alike a term of one word has to be, in (0, 1); of several, two fifths more may be amiss.

    >>> from clinidistill.matching import Term
    >>> automaton = Automaton([Term("metformin", "6809"), Term("heart failure", "I50.9")])
    >>> found = Misspellings(automaton).find(Words("Metforimn for hert failure."))
    >>> [(match.start, match.end, match.code, round(match.score, 2)) for match in found]
    [(0, 9, '6809', 0.92), (14, 26, 'I50.9', 0.85)]
    """

    def __init__(self, automaton: Automaton, least_score: float = LEAST_SCORE):
        self.automaton = automaton
        self.least_score = least_score
        self._least_in_company = 1 - 1.4 * (1 - least_score)
        self._corrections = _Remembered(self.corrections)
        self._rivals = _Remembered(self._rival)

    def find(self, words: Words) -> list[Match]:
        """The terms with misspelled words in a text, whatever they overlap."""
        corrections_of = self._corrections
        places = [*compress(count(), map(corrections_of.__getitem__, words.words))]
        if not places:
            return []
        found: dict[tuple[int, int], dict[str, Match]] = {}
        readings = {at: corrections_of[words.words[at]] for at in places}
        for rank in range(max(map(len, readings.values()))):
            corrections = {at: each[rank] for at, each in readings.items() if rank < len(each)}
            for match in self.automaton.candidates(words, corrections):
                if self._is_likely(match, words.text[match.start : match.end]):
                    codes = found.setdefault(match[:2], {})
                    codes[match.code] = max(match, codes.get(match.code, match), key=lambda each: each.score)
        return [match for codes in found.values() for match in _clearest(codes.values())]

    def corrections(self, word: str) -> tuple[Correction, ...]:
        """What a folded word may stand for, the likeliest first; nothing if it is known, or like no word of a term."""
        if not _LEAST_LETTERS <= len(word) <= _MOST_LETTERS or word in known_words() or not _is_plain(word):
            return ()
        if word in self.automaton:
            return ()
        scored = (Correction(each, similarity(word, each)) for each in self._similar.near(word))
        likely = sorted(each for each in scored if each.score >= max(self._least_in_company, _LEAST_SIMILARITY))
        likely.sort(key=lambda each: -each.score)
        if not likely or is_known(word):
            return ()
        return tuple(likely[:_MOST_READINGS])

    def _is_likely(self, match: Match, mention: str) -> bool:
        """Whether a term with a misspelled word is worth a span."""
        term = self.automaton.term(match.entry)
        if term.ambiguous or term.match_case:  # there is nothing to go by but the spelling
            return False
        word, *others = Words(mention).words
        if others:
            return True
        if match.score < self.least_score or not all(map(_is_written_out, (mention, term.text))):
            return False
        return match.score > self._rivals[word]

    def _rival(self, word: str) -> float:
        """How like it the known word is that is nearest, those of terms left aside."""
        known = (each for each in near_known(word) if each not in self.automaton)
        return max((similarity(word, each) for each in known), default=0.0)

    @cached_property
    def _similar(self) -> SimilarWords:
        return SimilarWords(chain(self.automaton.compiled.anchors, self.automaton.compiled.others))


class SimilarWords:
    """The words of a vocabulary that are like a word, found without comparing it with all of them.

    Blocked by symmetric deletion: two words that differ by one edit are equal once at most one letter is left out of
    each. Letters that are often taken for each other (vowels, c and k, s and z) count as equal for that, so that
    words with one edit and any number of such swaps meet. Takes 8 bytes for each letter of the vocabulary.

    Args:
        words: the vocabulary, in lower case; words with anything but the letters a to z are left out, and so are short
            and very long ones.
    """

    def __init__(self, words: Iterable[str]):
        self._words = [word for word in words if _LEAST_LETTERS <= len(word) <= _MOST_LETTERS and _is_plain(word)]
        keys = [key << 32 | number for number, word in enumerate(self._words) for key in _keys(word)]
        self._keys: NDArray[np.uint64] = np.array(keys, dtype=np.uint64)
        self._keys.sort()

    def near(self, word: str) -> Iterator[str]:
        """The words, each once, that are one edit away, letters that are often confused counting as equal."""
        wanted = np.array([*_keys(word)], dtype=np.uint64) << np.uint64(32)
        begins, ends = np.searchsorted(self._keys, (wanted, wanted + np.uint64(1 << 32)))
        numbers: set[int] = set()
        for at in np.flatnonzero(begins < ends):
            numbers.update((self._keys[begins[at] : ends[at]] & np.uint64(0xFFFFFFFF)).tolist())
        folded = word.translate(_ALIKE)
        for number in sorted(numbers):
            other = self._words[number]
            if OSA.distance(folded, other.translate(_ALIKE), score_cutoff=1) <= 1:
                yield other


def similarity(word: str, other: str) -> float:
    """How likely `word` is `other` misspelled: 1 less the edits' weight for each letter, at least 0.

    An edit is a letter more, less or other, or two neighbours in the other order, and weighs 1. What ears and hands
    confuse weighs 3/4: letters that sound alike, neighbours in the other order, a letter doubled or not. The first
    letter weighs 3/2, since few get it wrong.

    Words that differ in a part that changes their meaning are not alike, though it be one letter: hypo- and hyper-, a-
    before another word, -emia and -uria.

    >>> [round(similarity(*pair.split("/")), 2) for pair in ("lisinoprill/lisinopril", "hert/heart", "meparin/heparin")]
    [0.93, 0.85, 0.79]
    """
    if _are_opposed(word, other):
        return 0.0
    one, two = word.translate(_ALIKE), other.translate(_ALIKE)
    edits = OSA.distance(one, two)
    weight = edits + (OSA.distance(word, other) - edits) * _CONFUSED
    if edits == 1:
        longer, shorter = (one, two) if len(one) > len(two) else (two, one)
        at = Prefix.similarity(longer, shorter)
        if len(one) == len(two):
            confused = longer[at : at + 2] == shorter[at : at + 2][::-1] and len(longer[at : at + 2]) == 2
        else:
            confused = at > 0 and longer[at - 1] == longer[at]
        weight += _CONFUSED - 1 if confused else _FIRST - 1 if at == 0 else 0
    return max(0.0, 1 - weight / max(len(one), len(two)))


def least_score(fuzzy: bool | float) -> float | None:
    """The least score that an option `fuzzy` stands for: True for the usual one, False for none.

    Raises:
        OptionError: if it is a number outside (0, 1).
    """
    if isinstance(fuzzy, bool):
        return LEAST_SCORE if fuzzy else None
    if not 0 < fuzzy < 1:
        raise OptionError(f"fuzzy={fuzzy!r} is no least score: it lies between 0 and 1, or is True or False")
    return float(fuzzy)


class _Remembered(dict[str, _T]):
    """What is made of a word, made when it is first met; most words of a note were met before."""

    def __init__(self, make: Callable[[str], _T]):
        self._make = make

    def __missing__(self, word: str) -> _T:
        if len(self) >= _MOST_REMEMBERED:
            self.clear()
        self[word] = made = self._make(word)
        return made


def _clearest(matches: Iterable[Match]) -> Iterator[Match]:
    """The best of the matches at one place, unless another concept is nearly as likely."""
    best, *others = sorted(matches, key=lambda match: -match.score)
    if not others or (best.score - others[0].score) * (best.end - best.start) > _MARGIN:
        yield best


def _are_opposed(word: str, other: str) -> bool:
    """Whether a word is written with an affix that makes another word of it."""
    if word in (f"a{other}", f"an{other}"):
        return True
    for affixes in (_PREFIXES, _ELEMENTS, _SUFFIXES):
        one, two = affixes.search(word), affixes.search(other)
        if one is not None and two is not None and one[1] != two[1]:
            return True
    return False


def _is_written_out(text: str) -> bool:
    """Whether a word is none of the abbreviations in which each letter counts."""
    return len(text) >= _LEAST_ALONE and (len(text) > _LEAST_ALONE + 2 or text[1:].islower())


def _is_plain(word: str) -> bool:
    return word.isascii() and word.isalpha()


def _keys(word: str) -> set[int]:
    """Hashes of a word as it sounds, whole and with each letter left out."""
    text = word.translate(_ALIKE).encode()
    return {crc32(text), *(crc32(text[:at] + text[at + 1 :]) for at in range(len(text)))}


_PREFIXES = re.compile("^(hypo|hyper|micro|macro|acro|hemi|hemo|intra|inter|ante|anti|endo|ecto|para|peri|post|pre)")
_ELEMENTS = re.compile("^hyp(?:o|er)(calc|glyc|kal|magnes|natr)")
_SUFFIXES = re.compile("(emi|uri|oma|iti|osi|ectom|otom|ostom)(?:a|as|c|s|y|ies)?$")
_ALIKE = str.maketrans("eiouykqz", "aaaaaccs")
_LEAST_LETTERS, _MOST_LETTERS = 4, 40
_LEAST_SIMILARITY = 0.5  # whatever is asked for
_LEAST_ALONE = 5
_MOST_READINGS = 8
_CONFUSED, _FIRST = 0.75, 1.5
_MARGIN = 0.55  # of an edit
_MOST_REMEMBERED = 500_000

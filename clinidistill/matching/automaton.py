"""All terms of a terminology found in a note in one pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import ahocorasick

from clinidistill.matching.normalize import normalize

__all__ = ["Automaton", "Match", "Term"]


@dataclass(frozen=True, slots=True)
class Term:
    """One name to look for.

    Args:
        text: the name as its terminology writes it.
        code: its concept's code.
        match_case: whether only exactly this spelling is meant (abbreviations that are words otherwise).
    """

    text: str
    code: str
    match_case: bool = False


class Match(NamedTuple):
    """A term found: half-open offsets into the text as it was given, and the concept's code."""

    start: int
    end: int
    code: str


class Automaton:
    """Finds terms as whole words, leftmost and longest first, whatever their case, accents or typography.

    Terms and texts are compared after :func:`~clinidistill.matching.normalize.normalize`. A match begins and
    ends at a word boundary, which is anywhere but between two alphanumerics. Of matches that overlap, the one
    that starts first wins, then the longest. Where several terms read the same, the first one given wins; one
    with `match_case` goes before all others where its spelling is met. Terms of one character and bare
    numbers are left out.

    >>> automaton = Automaton([Term("ALL", "1", match_case=True), Term("heart failure", "2")])
    >>> automaton.find("All had Heart\\n failure.")
    [Match(start=8, end=22, code='2')]
    """

    def __init__(self, terms: Iterable[Term]):
        self._size = 0
        self._trie = ahocorasick.Automaton()
        for term in terms:
            self._add(term)
        self._trie.make_automaton()

    def __len__(self) -> int:
        """Number of distinct normalised terms."""
        return self._size

    def find(self, text: str) -> list[Match]:
        """The matches in `text`, in order, none overlapping another."""
        if not self._size:
            return []
        normalized = normalize(text)
        folded = normalized.text
        size = len(folded)
        candidates: list[tuple[int, int, Match]] = []
        for last, entry in self._trie.iter(folded):
            end = last + 1
            if end < size and folded[end].isalnum() and folded[last].isalnum():
                continue
            start = end - entry.length
            if start and folded[start - 1].isalnum() and folded[start].isalnum():
                continue
            offsets = normalized.original(start, end)
            if offsets is None:
                continue
            code = entry.code if entry.cased is None else entry.cased.get(text[offsets[0] : offsets[1]], entry.code)
            if code is not None:
                candidates.append((start, -end, Match(*offsets, code)))
        candidates.sort()
        matches: list[Match] = []
        free = 0
        for start, minus_end, match in candidates:
            if start >= free:
                free = -minus_end
                matches.append(match)
        return matches

    def _add(self, term: Term) -> None:
        key = normalize(term.text).text.strip()
        if len(key) < 2 or not any(map(str.isalpha, key)):
            return
        entry = self._trie.get(key, None)
        if entry is None:
            entry = _Entry(len(key))
            self._trie.add_word(key, entry)
            self._size += 1
        if term.match_case:
            entry.cased = entry.cased or {}
            entry.cased.setdefault(term.text.strip(), term.code)
        elif entry.code is None:
            entry.code = term.code


class _Entry:
    """What a normalised term stands for: in any spelling, and in certain spellings."""

    __slots__ = ("cased", "code", "length")

    def __init__(self, length: int):
        self.length = length
        self.code: str | None = None
        self.cased: dict[str, str] | None = None

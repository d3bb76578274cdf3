"""Everything between a note's text and the matches in it."""

from __future__ import annotations

from operator import itemgetter

from clinidistill.matching.automaton import Automaton, Match, longest
from clinidistill.matching.evidence import Evidence
from clinidistill.matching.fuzzy import Misspellings
from clinidistill.matching.words import Words

__all__ = ["Matcher"]


class Matcher:
    """Finds the terms of an automaton in notes.

    Args:
        automaton: the terms.
        nested: whether matches may overlap; otherwise the longest of those that do stays.
        evidence: what a note says for and against a match; without it, all matches are taken.
        least_score: how like its term a misspelled name has to be to be found, in (0, 1); None finds none.
    """

    def __init__(
        self,
        automaton: Automaton,
        *,
        nested: bool = False,
        evidence: Evidence | None = None,
        least_score: float | None = None,
    ):
        self.automaton = automaton
        self._evidence = evidence
        self._misspellings = None if least_score is None else Misspellings(automaton, least_score)
        self._nested = nested

    def find(self, text: str) -> list[Match]:
        """The matches in `text` by place."""
        words = Words(text)
        found = self.automaton.candidates(words)
        if self._evidence is not None:
            found = self._evidence.weigh(self.automaton, text, found).kept
        if self._misspellings is not None:
            found = [*found, *self._misspellings.find(words)]
        return sorted(found, key=itemgetter(0, 1)) if self._nested else longest(found)

"""Everything between a note's text and the matches in it."""

from __future__ import annotations

from clinidistill.matching.automaton import Automaton, Match, chosen
from clinidistill.matching.evidence import Evidence, Weighed
from clinidistill.matching.explanation import Explanation
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
        return chosen(self._weighed(text).kept, nested=self._nested)

    def explain(self, text: str) -> list[Explanation]:
        """What became of each name in `text`, by place: of the matches, and of what evidence or overlaps took away."""
        weighed = self._weighed(text)
        spans = chosen(weighed.kept, nested=self._nested)
        explained = [
            self._explained(match, kept=False, reason=reason) for match, reason in dict(weighed.dropped).items()
        ]
        for match in dict.fromkeys(weighed.kept):
            kept = match in spans
            reason = weighed.reasons.get(match, f"misspelled, score {match.score:.2f}" if match.score < 1 else "a name")
            if not kept:
                winner = next(each for each in spans if each.start < match.end and match.start < each.end)
                reason = f"overlaps a longer or better match at {winner.start}-{winner.end}"
            explained.append(self._explained(match, kept=kept, reason=reason))
        return sorted(explained, key=lambda each: (each.start, each.end, not each.kept, each.code))

    def _explained(self, match: Match, *, kept: bool, reason: str) -> Explanation:
        term = self.automaton.term(match.entry)
        return Explanation(match.start, match.end, match.code, term.text, term.rule, kept, reason)

    def _weighed(self, text: str) -> Weighed:
        words = Words(text)
        found = self.automaton.candidates(words)
        weighed = Weighed(found) if self._evidence is None else self._evidence.weigh(self.automaton, text, found)
        if self._misspellings is not None:
            weighed.kept = [*weighed.kept, *self._misspellings.find(words)]
        return weighed

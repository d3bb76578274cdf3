"""Votes on exact spans: union and intersection; a teacher that does not know a label has no vote on it."""

from __future__ import annotations

from typing import ClassVar

from clinidistill.aggregation.gold import Gold
from clinidistill.aggregation.label_model import Beliefs, LabelModel
from clinidistill.aggregation.mentions import Candidates

__all__ = ["Intersection", "Union"]


class _ExactVote(LabelModel):
    """Keeps the spans (same offsets, same label) that enough of the teachers with a vote marked."""

    tells_teachers_apart = False
    _fitted_labels = ()  # it can do without `fit`
    _enough: ClassVar[float]

    def __init__(self, flat: bool = False):
        self.flat, self.threshold = flat, self._enough

    def learn(self, candidates: Candidates, gold: Gold | None) -> None:
        """Nothing to learn."""

    def believe(self, candidates: Candidates) -> Beliefs:
        voters = candidates.knows.sum(axis=1)[candidates.document, candidates.label]
        share = candidates.marks.sum(axis=1) / voters
        return Beliefs(share, share, None)


class Union(_ExactVote):
    """Every span that at least one teacher marked. Scores are the share of voters.

    Args:
        flat: of spans that overlap keep one, whatever their labels: the longest, then that with most votes.
    """

    _enough = 0.0


class Intersection(_ExactVote):
    """The spans that all teachers with a vote on their label marked.

    Args:
        flat: of spans that overlap keep one, whatever their labels: the longest, then that with most votes.
    """

    _enough = 1 - 1e-9

"""Majority: the mentions that most teachers mark, with the edges that most of those give."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clinidistill.aggregation.gold import Gold
from clinidistill.aggregation.label_model import Beliefs, Floats, LabelModel
from clinidistill.aggregation.mentions import ABSTAINS, Candidates, Mentions

__all__ = ["Majority", "majority_vote", "vote_shares"]


class Majority(LabelModel):
    """The mentions that more than a share of the teachers with a vote on their label marked.

    Teachers that agree on a mention but not on its edges have voted for one mention. Then its edges are voted on: a
    teacher counts for both, or for the one that it gave; if level, the longest span wins. Where labels compete for a
    mention, the one with the larger share wins. Scores are the share of voters.

    Args:
        threshold: the share to pass, in ``[0, 1)``; 0.5 is a plain majority, and a tie is none.
        flat: of silver spans that overlap keep one, whatever their labels: the longest, then the likeliest.

    Raises:
        OptionError: if the threshold is outside ``[0, 1)``.
    """

    tells_teachers_apart = False
    _fitted_labels = ()  # it can do without `fit`

    def __init__(self, threshold: float = 0.5, flat: bool = False):
        self.threshold, self.flat = self._check_threshold(threshold), flat

    def learn(self, candidates: Candidates, gold: Gold | None) -> None:
        """Nothing to learn."""

    def believe(self, candidates: Candidates) -> Beliefs:
        weights = np.ones((len(candidates.teachers), len(candidates.labels)))
        mentions = candidates.mentions
        return Beliefs.of_mentions(mentions, vote_shares(mentions, weights), weights)


def vote_shares(mentions: Mentions, weights: Floats) -> Floats:
    """The weight of a label's voters among all with a vote on it, shape ``(mentions, labels)``.

    Args:
        mentions: who marked what.
        weights: of each teacher on each label, shape ``(teachers, labels)``.
    """
    first, kind = mentions.patterns
    votes, knows = mentions.votes[first], mentions.candidates.knows[mentions.document[first]]
    for_label = votes[:, :, None] == np.arange(weights.shape[1]) + 1
    voting = np.einsum("mjk,jk->mk", knows, weights)
    shares: Floats = np.einsum("mjk,jk->mk", for_label, weights) / np.maximum(voting, 1e-12)
    return shares[kind]


def majority_vote(votes: NDArray[np.int64], classes: int) -> Floats:
    """The share of votes of each class, shape ``(items, classes)``, from votes of shape ``(items, teachers)``.

    Votes below 0 are abstentions; where all abstain, the shares are 0. The same as crowd-kit's MajorityVote.
    """
    counts = np.stack([(votes == each).sum(axis=1) for each in range(classes)], axis=1)
    shares: Floats = counts / np.maximum((votes != ABSTAINS).sum(axis=1, keepdims=True), 1)
    return shares

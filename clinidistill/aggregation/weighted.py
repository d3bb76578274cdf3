"""Weighted: a vote in which a teacher counts for as much as it was worth on human-labelled documents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clinidistill.aggregation.gold import Gold
from clinidistill.aggregation.label_model import Beliefs, Floats, LabelModel
from clinidistill.aggregation.majority import Majority, vote_shares
from clinidistill.aggregation.mentions import Candidates
from clinidistill.aggregation.parameters import for_teachers

__all__ = ["Weighted"]

_POWERS = (1, 2, 4, 8)
_SHRINK = 10  # mentions at which a teacher's F1 on a label counts as much as its F1 on all labels


class Weighted(LabelModel):
    """A vote weighted by F1: mentions that teachers of more than a share of the weight marked.

    A teacher's weight on a label is a power of its strict F1 on it in the dev documents, drawn to its F1 on all labels
    where there are few mentions. Of four powers (1 to 8; higher ones listen to the best teachers only) and all
    thresholds, those with the best strict F1 on dev are taken. Without dev, F1 against the majority stands in for F1,
    with power 1 and a threshold of one half.

    Args:
        threshold: the share of weight to pass, in ``[0, 1)``; None: chosen on dev.
        flat: of silver spans that overlap keep one, whatever their labels: the longest, then the likeliest.
    """

    learns_from_dev = True

    def __init__(self, threshold: float | None = None, flat: bool = False):
        self._asked = None if threshold is None else self._check_threshold(threshold)
        self.flat = flat

    def learn(self, candidates: Candidates, gold: Gold | None) -> None:
        mentions = candidates.mentions
        self.threshold = 0.5 if self._asked is None else self._asked
        if gold is None:
            self.weights = _f1(candidates, _consensus(candidates))
            return
        f1 = _f1(candidates, gold)
        best = -1.0
        for power in _POWERS:
            beliefs = Beliefs.of_mentions(mentions, vote_shares(mentions, f1**power), f1**power)
            threshold, found = beliefs.best_threshold(candidates, gold)
            if self._asked is not None:
                threshold, found = self._asked, gold.strict_f1(beliefs.keep(candidates, self._asked))
            if found > best:
                best, self.weights, self.threshold = found, f1**power, threshold

    def believe(self, candidates: Candidates) -> Beliefs:
        mentions = candidates.mentions
        weights = for_teachers(self.weights, self._fitted_teachers, candidates.teachers, np.ones(self.weights.shape[1]))
        new = len(candidates.labels) - weights.shape[1]
        if new:  # labels that were not there when it learned
            mean = weights.mean(axis=1, keepdims=True) if weights.shape[1] else np.ones((len(weights), 1))
            weights = np.concatenate([weights, np.repeat(mean, new, axis=1)], axis=1)
        return Beliefs.of_mentions(mentions, vote_shares(mentions, weights), weights)


def _consensus(candidates: Candidates) -> Gold:
    """What the majority says, as if people had said it."""
    kept = Majority().believe(candidates).keep(candidates, 0.5)
    truth = np.zeros(len(candidates.start), dtype=np.int8)
    truth[kept] = 1
    c = candidates
    spans = np.stack([c.document[kept], c.start[kept], c.end[kept], c.label[kept]], axis=1)
    return Gold(truth, np.ones((c.documents, len(c.labels)), dtype=bool), spans)


def _f1(c: Candidates, gold: Gold) -> Floats:
    """Strict F1 by teacher and label, drawn to the teacher's F1 on all labels, shape ``(teachers, labels)``."""
    labels = np.arange(len(c.labels))
    of_label = c.label[:, None] == labels
    right = (c.marks & (gold.truth == 1)[:, None]).astype(np.float64).T @ of_label
    marked = (c.marks & (gold.truth >= 0)[:, None]).astype(np.float64).T @ of_label
    wanted = np.zeros((c.documents, len(labels)))
    np.add.at(wanted, (gold.spans[:, 0], gold.spans[:, 3]), 1)
    there: NDArray[np.float64] = np.einsum("dl,djl->jl", wanted, c.knows)
    overall = 2 * right.sum(axis=1) / np.maximum((marked + there).sum(axis=1), 1)
    f1: Floats = (2 * right + _SHRINK * overall[:, None]) / (marked + there + _SHRINK)
    return np.maximum(f1, 1e-3)

"""Stacked: human-labelled documents teach how far to trust votes, edges and words."""

from __future__ import annotations

import numpy as np

from clinidistill.aggregation.contexts import Contexts
from clinidistill.aggregation.dawid_skene import DawidSkene
from clinidistill.aggregation.gold import Gold
from clinidistill.aggregation.label_model import Beliefs, Floats, LabelModel
from clinidistill.aggregation.mentions import Candidates, Mentions
from clinidistill.errors import ConfigError

__all__ = ["Stacked"]

_FOLDS = 5


class Stacked(LabelModel):
    """What Dawid-Skene believes without people, corrected by what people marked in the dev documents.

    A logistic regression for each candidate span, on four things: what Dawid-Skene believes of the mention, how this
    span fares in the vote on its edges, its label, and the evidence of its words and those beside it
    (:class:`~clinidistill.aggregation.contexts.Contexts`), so that a span that few teachers mark is kept where it looks
    like those that people mark, and dropped where it does not.

    Args:
        threshold: keep spans likelier than this, in ``[0, 1)``; None: what gives the best strict F1 on dev.
        flat: of silver spans that overlap keep one, whatever their labels: the longest, then the likeliest.
    """

    learns_from_dev = True

    def __init__(self, threshold: float | None = None, flat: bool = False):
        self._asked = None if threshold is None else self._check_threshold(threshold)
        self.flat = flat

    def learn(self, candidates: Candidates, gold: Gold | None) -> None:
        if gold is None:
            raise ConfigError(f"{self._title}: learns from human-labelled documents; call fit(labels, dev)")
        rows = np.flatnonzero(gold.truth >= 0)
        truth = gold.truth[rows].astype(np.float64)
        self._contexts = Contexts()
        evidence = np.zeros(len(candidates.start))
        evidence[rows] = self._contexts.learn(candidates, rows, truth)
        # What Dawid-Skene makes of a dev document whose gold it has seen says nothing of others: it learns in turns.
        mentions = candidates.mentions
        features = np.zeros((len(evidence), 5 + len(candidates.labels)))
        for part in gold.parts(_FOLDS, seed=0):
            base = DawidSkene().learn_from(candidates, gold.within(candidates, ~part))
            here = part[candidates.document]
            features[here] = self._features(candidates, mentions, base, evidence)[here]
        self._coefficients = logistic_regression(features[rows], truth)
        self._base = DawidSkene().learn_from(candidates, gold)
        score = _sigmoid(features @ self._coefficients)
        beliefs = Beliefs(score, score, mentions)
        self.threshold = beliefs.best_threshold(candidates, gold)[0] if self._asked is None else self._asked

    def believe(self, candidates: Candidates) -> Beliefs:
        mentions = candidates.mentions
        features = self._features(candidates, mentions, self._base, self._contexts.evidence(candidates))
        score = _sigmoid(features @ self._coefficients)
        return Beliefs(score, score, mentions)

    def _features(self, c: Candidates, mentions: Mentions, base: DawidSkene, evidence: Floats) -> Floats:
        """Shape ``(candidates, 5 + labels)``; labels that were not there when it learned have no intercept."""
        beliefs = base.believe(c)
        believed = np.clip(beliefs.score, 1e-3, 1 - 1e-3)
        logit = np.log(believed / (1 - believed))
        support = mentions.edge_support(base.model_for(c).found)
        edges = support / np.maximum(np.bincount(mentions.mention, support), 1e-12)[mentions.mention]
        first = np.zeros(len(logit))
        first[mentions.best(beliefs.rank)] = 1
        label = c.label[:, None] == np.arange(len(self._fitted_labels or ()))
        columns = [logit, np.log(edges + 0.05), evidence, first, first * logit]
        return np.concatenate([np.stack(columns, axis=1), label], axis=1)


def _sigmoid(values: Floats) -> Floats:
    out: Floats = 1 / (1 + np.exp(-np.clip(values, -30, 30)))
    return out


def logistic_regression(features: Floats, truth: Floats, penalty: float = 10.0, iterations: int = 50) -> Floats:
    """Coefficients by Newton's method, with an L2 penalty; features hold their own intercepts.

    Args:
        features: shape ``(rows, columns)``.
        truth: 0 or 1 for each row.
        penalty: half of it times the squared length of the coefficients is added to the negative log-likelihood.
        iterations: at most.
    """
    coefficients = np.zeros(features.shape[1])
    for _ in range(iterations):
        p = _sigmoid(features @ coefficients)
        gradient = features.T @ (p - truth) + penalty * coefficients
        hessian = (features * (p * (1 - p))[:, None]).T @ features + penalty * np.eye(len(coefficients))
        step = np.linalg.solve(hessian, gradient)
        coefficients -= step
        if np.abs(step).max(initial=0) < 1e-8:
            break
    return coefficients

"""Dawid-Skene: who is right about what, learned from who agrees with whom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clinidistill.aggregation.gold import Gold
from clinidistill.aggregation.label_model import Beliefs, Floats, LabelModel
from clinidistill.aggregation.mentions import Candidates, Mentions
from clinidistill.aggregation.parameters import for_labels, for_teachers
from clinidistill.aggregation.start import first_beliefs
from clinidistill.errors import OptionError

__all__ = ["Confusions", "DawidSkene", "can_tell", "dawid_skene", "diagonal_prior", "estimate"]

Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Confusions:
    """What Dawid-Skene learned.

    Args:
        prior: how frequent each class is, shape ``(classes,)``.
        confusion: the probability of each vote given the true class, shape ``(teachers, classes, classes)``,
            true class first.
    """

    prior: Floats
    confusion: Floats

    @property
    def found(self) -> Floats:
        """How probably each teacher finds a mention and names its label, shape ``(teachers, labels)``."""
        return np.diagonal(self.confusion, axis1=1, axis2=2)[:, 1:]

    def posterior(self, votes: Ints, knows: Bools | None = None, *, voted_only: bool = False) -> tuple[Floats, Floats]:
        """How likely each class is for each item, and each item's log-likelihood.

        Args:
            votes: classes, or below 0 for an abstention, shape ``(items, teachers)``.
            knows: whether a teacher can tell a class at an item, shape ``(items, teachers, classes)``; where it
                cannot, the class looks to it like class 0. None: all can tell all.
            voted_only: class 0 and the classes that someone voted for are the only ones possible.
        """
        items, teachers = votes.shape
        given_vote = np.log(self.confusion).transpose(0, 2, 1)  # teacher, vote, true class
        log = given_vote[np.arange(teachers), np.maximum(votes, 0)]
        if knows is not None:
            log = np.where(knows, log, log[:, :, :1])
        log[votes < 0] = 0.0
        joint = log.sum(axis=1) + np.log(self.prior)
        if voted_only:
            voted = np.zeros(joint.shape, dtype=bool)
            voted[:, 0] = True
            voted[np.arange(items)[:, None], np.maximum(votes, 0)] = True
            joint = np.where(voted, joint, -np.inf)
        top = joint.max(axis=1, keepdims=True)
        share = np.exp(joint - top)
        total = share.sum(axis=1, keepdims=True)
        return share / total, (top + np.log(total))[:, 0]


def estimate(
    votes: Ints,
    belief: Floats,
    *,
    weights: Floats | None = None,
    knows: Bools | None = None,
    prior: Floats | float = 0.01,
    tied: bool = False,
) -> Confusions:
    """Frequencies and confusions, given how likely each class is for each item (the M-step of Dawid and Skene).

    Args:
        votes, weights, knows, prior: see :func:`dawid_skene`.
        belief: shape ``(items, classes)``.
        tied: all teachers have one confusion matrix.
    """
    classes = belief.shape[1]
    weighted = belief if weights is None else belief * weights[:, None]
    one_hot = (votes[:, :, None] == np.arange(classes)).astype(np.float64)
    if knows is None:
        counts = np.einsum("it,ijv->jtv", weighted, one_hot)
    else:
        counts = np.stack(
            [np.einsum("ij,ijv->jv", weighted[:, true, None] * knows[:, :, true], one_hot) for true in range(classes)],
            1,
        )
    if tied:
        counts = np.broadcast_to(counts.sum(axis=0), counts.shape)
    counts = counts + prior
    sizes = weighted.sum(axis=0) + 1e-9
    return Confusions(sizes / sizes.sum(), counts / counts.sum(axis=2, keepdims=True))


def dawid_skene(
    votes: Ints,
    classes: int,
    *,
    weights: Floats | None = None,
    knows: Bools | None = None,
    known: Ints | None = None,
    start: Floats | None = None,
    prior: Floats | float = 0.01,
    voted_only: bool = False,
    iterations: int = 100,
    tolerance: float = 1e-5,
) -> Confusions:
    """Expectation maximisation for the model of Dawid and Skene (1979), with abstention and partial knowledge.

    A. P. Dawid and A. M. Skene, Maximum likelihood estimation of observer error-rates using the EM algorithm, Applied
    Statistics 28 (1979).

    Args:
        votes: shape ``(items, teachers)``; below 0 for an abstention.
        classes: the number of classes.
        weights: how often each item occurs; None: once.
        knows: see :meth:`Confusions.posterior`.
        known: the true class of each item, below 0 where it is not known; None: of none.
        start: how likely each class is for each item to begin with, shape ``(items, classes)``; None: the shares of
            votes, as in crowd-kit.
        prior: counts to begin each confusion matrix with, broadcast to ``(teachers, classes, classes)``.
        voted_only: see :meth:`Confusions.posterior`.
        iterations: at most.
        tolerance: stop when the mean log-likelihood of an item grows by less.
    """
    weight = np.ones(len(votes)) if weights is None else weights
    if start is None:
        belief = (votes[:, :, None] == np.arange(classes)).sum(axis=1) / np.maximum(
            (votes >= 0).sum(axis=1)[:, None], 1
        )
    else:
        belief = start.copy()
    told = None if known is None else known >= 0
    model, last = None, -np.inf
    for _ in range(iterations):
        if told is not None and known is not None:
            belief[told] = np.eye(classes)[known[told]]
        model = estimate(votes, belief, weights=weight, knows=knows, prior=prior)
        belief, likelihood = model.posterior(votes, knows, voted_only=voted_only)
        now = float(likelihood @ weight) / max(float(weight.sum()), 1e-12)
        if now - last < tolerance:
            break
        last = now
    assert model is not None
    return model


class DawidSkene(LabelModel):
    """Believes each teacher as far as it agrees with the others, label by label (Dawid and Skene, 1979).

    Items are mentions that someone marked, classes "none" and the labels. A teacher that does not know a label says
    nothing about it; only labels that someone voted for are possible. Edges are voted on with each teacher's
    probability to find a mention of the label. With dev documents, their mentions' classes are known.

    Args:
        threshold: keep mentions likelier than this, in ``[0, 1)``.
        flat: of silver spans that overlap keep one, whatever their labels: the longest, then the likeliest.
        dev_weight: how many mentions a mention of a dev document counts for, when there are any.
        iterations: rounds of expectation maximisation, from :func:`~clinidistill.aggregation.start.first_beliefs`; many
            rounds drift from what teachers agree on to what explains their quirks.
    """

    learns_from_dev = True

    def __init__(self, threshold: float = 0.5, flat: bool = False, dev_weight: float = 5.0, iterations: int = 5):
        self.threshold, self.flat, self.dev_weight = self._check_threshold(threshold), flat, dev_weight
        self.iterations = iterations
        if iterations < 1:
            raise OptionError(f"dawid-skene: iterations {iterations} must be at least 1")
        if not dev_weight >= 1:
            raise OptionError(f"dawid-skene: dev_weight {dev_weight} must be at least 1")

    def learn(self, candidates: Candidates, gold: Gold | None) -> None:
        mentions, classes = candidates.mentions, 1 + len(candidates.labels)
        # Mentions with the same votes are one item that occurs more often; so are those that people call the same.
        first, kind = mentions.patterns
        known, weight = None, np.ones(len(kind))
        if gold is not None:
            known = gold.classes(mentions)
            weight = np.where(known >= 0, self.dev_weight, 1.0)
            _, first, kind = np.unique(kind * (classes + 1) + known + 1, return_index=True, return_inverse=True)
            known = known[first]
        votes, knows = mentions.votes[first], can_tell(mentions, first)
        marks = (votes[:, :, None] == np.arange(1, classes)).sum(axis=1).astype(np.float64)
        self._model = dawid_skene(
            votes,
            classes,
            weights=np.bincount(kind.reshape(-1), weight, len(first)).astype(np.float64),
            knows=knows,
            known=known,
            start=first_beliefs(marks, knows[:, :, 1:].sum(axis=1)),
            prior=diagonal_prior(classes),
            voted_only=True,
            iterations=self.iterations,
        )

    def believe(self, candidates: Candidates) -> Beliefs:
        mentions, model = candidates.mentions, self.model_for(candidates)
        first, kind = mentions.patterns
        posterior, _ = model.posterior(mentions.votes[first], can_tell(mentions, first), voted_only=True)
        return Beliefs.of_mentions(mentions, posterior[kind, 1:], model.found)

    def model_for(self, candidates: Candidates) -> Confusions:
        """What was learned, for these teachers and labels; unknown ones are taken to be like the known on average."""
        prior, labels = self._model.prior, len(candidates.labels)
        fitted = len(prior) - 1
        confusion = for_teachers(
            self._model.confusion, self._fitted_teachers, candidates.teachers, _by_row(diagonal_prior(1 + fitted))
        )
        prior = np.concatenate([prior, np.full(labels - fitted, prior[1:].mean() if fitted else 1.0)])
        confusion = for_labels(confusion, fitted, _by_row(diagonal_prior(1 + labels)))
        return Confusions(prior / prior.sum(), confusion)


def can_tell(mentions: Mentions, rows: Ints) -> Bools:
    """Whether a teacher can tell a class at some mentions: "none" if it has a vote at all."""
    knows = mentions.candidates.knows[mentions.document[rows]]
    return np.concatenate([(mentions.votes[rows] >= 0)[:, :, None], knows], axis=2)


def _by_row(counts: Floats) -> Floats:
    shares: Floats = counts / counts.sum(axis=1, keepdims=True)
    return shares


def diagonal_prior(classes: int) -> Floats:
    """A teacher is more often right than not, and rather misses a mention than takes it for another label's."""
    prior = np.full((classes, classes), 0.1) + 2 * np.eye(classes)
    prior[1:, 0] += 0.5
    prior[0, 0] += 3
    return prior

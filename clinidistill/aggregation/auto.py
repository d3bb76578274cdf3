"""Auto: the aggregator that does best on these labels, and why."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clinidistill.aggregation.dawid_skene import can_tell, diagonal_prior, estimate
from clinidistill.aggregation.gold import Gold
from clinidistill.aggregation.label_model import Beliefs, LabelModel
from clinidistill.aggregation.mentions import Candidates
from clinidistill.errors import ConfigError, OptionError
from clinidistill.registry import registry

__all__ = ["Auto", "cross_validated", "heldout_likelihood"]

_logger = logging.getLogger(__name__)
_WITH_DEV = ("majority", "weighted", "dawid-skene", "hmm", "stacked")
_WITHOUT = ("majority", "dawid-skene", "hmm")


class Auto(LabelModel):
    """Fits several label models and keeps the one that does best.

    With dev, by cross-validation: strict F1 on each part, by a model that learned from the others.
    Without, by held-out likelihood: how likely the votes in some documents are, by what the model makes of the teachers
    in the others (:func:`heldout_likelihood`). Where two are level the earlier in `among` wins: a plain majority is the
    floor.

    After `fit`, `picked` names the model, `scores` holds every model's figure, and `reason` says it in words.

    Args:
        among: names of label models; None: majority, dawid-skene and hmm, with dev also weighted and stacked.
        folds: parts that the dev documents are divided into.
        seed: of the division.
        flat: of silver spans that overlap keep one, whatever their labels: the longest, then the likeliest.
    """

    learns_from_dev = True
    picked: str
    scores: Mapping[str, float]
    reason: str

    def __init__(self, among: Sequence[str] | None = None, folds: int = 5, seed: int = 0, flat: bool = False):
        if folds < 2:
            raise OptionError(f"auto: folds {folds} must be at least 2")
        self.among, self.folds, self.seed, self.flat = among, folds, seed, flat
        for name in among or ():
            label_model(name)

    def learn(self, candidates: Candidates, gold: Gold | None) -> None:
        names = self.among or (_WITHOUT if gold is None else _WITH_DEV)
        if gold is None:
            self.scores = {
                name: heldout_likelihood(label_model(name), candidates, self.folds, self.seed) for name in names
            }
            what = "log-likelihood of held-out votes"
        else:
            self.scores = {
                name: gold.strict_f1(cross_validated(label_model(name), candidates, gold, self.folds, self.seed))
                for name in names
            }
            what = f"strict F1 in {self.folds}-fold cross-validation on dev"
        self.picked = max(names, key=lambda name: self.scores[name])
        told = ", ".join(
            f"{name} {self.scores[name]:.4f}" for name in sorted(names, key=lambda name: -self.scores[name])
        )
        self.reason = f"{self.picked} has the best {what}: {told}"
        _logger.info("auto: %s", self.reason)
        self._model = label_model(self.picked).learn_from(candidates, gold)
        self.threshold = self._model.threshold

    def believe(self, candidates: Candidates) -> Beliefs:
        return self._model.believe(candidates)


def label_model(name: str) -> LabelModel:
    """The label model of that name, with its defaults.

    Raises:
        ConfigError: if the name is that of another kind of aggregator.
    """
    model = registry("aggregators").create(name)
    if not isinstance(model, LabelModel) or isinstance(model, Auto):
        raise ConfigError(f"auto: {name!r} is no label model to choose among")
    return model


def cross_validated(
    model: LabelModel, candidates: Candidates, gold: Gold, folds: int, seed: int, *, supervised: bool = True
) -> NDArray[np.int64]:
    """The candidates of the dev documents that a model keeps when it learned from the other parts of them.

    A model that learns nothing from people, or is not to (`supervised`), is fitted once.
    """
    if not (supervised and model.learns_from_dev):
        kept = model.learn_from(candidates, None).believe(candidates).keep(candidates, model.threshold)
        return kept[gold.truth[kept] >= 0]
    parts = gold.parts(folds, seed)
    if len(parts) < 2:
        raise ConfigError(
            "cross-validation needs at least two dev documents in which people looked for labels that the teachers "
            "know; label more, or do without dev"
        )
    found = []
    for part in parts:
        model.learn_from(candidates, gold.within(candidates, ~part))
        kept = model.believe(candidates).keep(candidates, model.threshold)
        found.append(kept[part[candidates.document[kept]]])
    return np.sort(np.concatenate(found))


def heldout_likelihood(model: LabelModel, candidates: Candidates, folds: int, seed: int) -> float:
    """How likely the votes on a mention are, by what a model makes of other documents: mean log-likelihood.

    The model learns from all parts of the documents but one. What it believes there gives each teacher's confusions
    (one for all where the model takes them for equal), and these the likelihood of the votes in the part left out.
    All models are so measured on the same votes, whatever they see of them.
    """
    mentions, classes = candidates.mentions, 1 + len(candidates.labels)
    known, document = can_tell(mentions, np.arange(len(mentions))), mentions.document
    found = []
    division = np.random.default_rng(seed).permutation(candidates.documents) % folds
    for part in range(folds):
        inside = division == part
        beliefs = model.learn_from(candidates.among_documents(~inside), None).believe(candidates)
        belief = np.zeros((len(mentions), classes))
        np.maximum.at(belief, (mentions.mention, candidates.label + 1), np.clip(beliefs.score, 0, 1))
        belief[:, 1:] /= np.maximum(belief[:, 1:].sum(axis=1, keepdims=True), 1)
        belief[:, 0] = 1 - belief[:, 1:].sum(axis=1)
        seen, held_out = ~inside[document], inside[document]
        confusions = estimate(
            mentions.votes[seen],
            belief[seen],
            knows=known[seen],
            prior=diagonal_prior(classes),
            tied=not model.tells_teachers_apart,
        )
        found.append(confusions.posterior(mentions.votes[held_out], known[held_out], voted_only=True)[1])
    likelihoods = np.concatenate(found)
    return float(likelihoods.mean()) if len(likelihoods) else 0.0

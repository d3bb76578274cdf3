"""A hidden Markov model of mentions: teachers' tags are noisy signs of true IOB2 tags."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clinidistill.aggregation.atoms import Atoms, Bucket
from clinidistill.aggregation.gold import Gold
from clinidistill.aggregation.label_model import Beliefs, Floats, LabelModel
from clinidistill.aggregation.mentions import Candidates
from clinidistill.aggregation.parameters import for_labels, for_teachers
from clinidistill.errors import OptionError

__all__ = ["HMM", "Chain", "Lattice"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_LEAST = -60.0  # log-likelihood ratio


@dataclass(frozen=True, slots=True)
class Lattice:
    """Forward and backward messages over a bucket of sequences, scaled (Rabiner 1989, section V.A).

    Args:
        likelihood: of each state's signs, shape ``(sequences, length, states)``; the largest of an atom is 1.
        forward: state probabilities given the signs so far, same shape.
        backward: so that ``forward * backward`` is the posterior, same shape.
        scale: of the forward messages, shape ``(sequences, length)``.
        end_scale: of the way from the last atom to the outside, shape ``(sequences,)``.
        log_likelihood: of each sequence.
    """

    likelihood: Floats
    forward: Floats
    backward: Floats
    scale: Floats
    end_scale: Floats
    log_likelihood: Floats

    @property
    def posterior(self) -> Floats:
        """The probability of each state, shape ``(sequences, length, states)``."""
        return self.forward * self.backward


@dataclass(frozen=True, slots=True)
class Chain:
    """The parameters: states are "outside", then "begins" and "goes on" for each label.

    Args:
        transition: from state to state, shape ``(states, states)``; a sequence starts from and ends in "outside".
        emission: the probability of a teacher's tag given the state, shape ``(teachers, states, tags)``.
    """

    transition: Floats
    emission: Floats

    def lattice(self, bucket: Bucket) -> Lattice:
        """Messages over sequences; padding is "outside"; only labels that someone marked at an atom are possible."""
        signs = self._log_signs(bucket)
        top = signs.max(axis=2)
        # No sign is so telling that a state becomes impossible: many teachers' might multiply to nothing.
        e = np.where(signs > -np.inf, np.exp(np.maximum(signs - top[:, :, None], _LEAST)), 0.0)
        number, width, states = e.shape
        forward, backward, scale = np.empty_like(e), np.empty_like(e), np.empty((number, width))
        before = np.zeros((number, states))
        before[:, 0] = 1.0
        for t in range(width):
            before = (before @ self.transition) * e[:, t]
            scale[:, t] = before.sum(axis=1)
            before /= scale[:, t, None]
            forward[:, t] = before
        end_scale = before @ self.transition[:, 0]
        after = np.broadcast_to(self.transition[:, 0], (number, states)) / end_scale[:, None]
        for t in range(width - 1, -1, -1):
            backward[:, t] = after
            after = ((e[:, t] * after) @ self.transition.T) / scale[:, t, None]
        log = np.log(scale).sum(axis=1) + np.log(end_scale) + top.sum(axis=1)
        return Lattice(e, forward, backward, scale, end_scale, log)

    def _log_signs(self, bucket: Bucket) -> Floats:
        """The log-likelihood of the tags of each atom given each state, shape ``(sequences, length, states)``."""
        number, width, teachers = bucket.tags.shape
        log_emission = np.log(self.emission)
        known = known_states(bucket.knows)
        total = np.zeros((number, width, log_emission.shape[1]))
        for teacher in range(teachers):
            tags = bucket.tags[:, :, teacher]
            log = log_emission[teacher].T[np.maximum(tags, 0)]
            log = np.where(known[:, None, teacher], log, log[:, :, :1])
            log[tags < 0] = 0.0
            total += log
        return np.where(possible_states(bucket, log_emission.shape[1]), total, -np.inf)

    def transitions(self, bucket: Bucket, lattice: Lattice) -> Floats:
        """Expected counts of transitions, from and to the outside at the ends included, shape ``(states, states)``."""
        counts = np.zeros_like(self.transition)
        weight = bucket.count.astype(np.float64)
        posterior = lattice.posterior
        counts[0] += weight @ posterior[:, 0]
        last = posterior[np.arange(len(weight)), bucket.length - 1]
        counts[:, 0] += weight @ last
        for t in range(1, posterior.shape[1]):
            live = t < bucket.length
            left = lattice.forward[live, t - 1] * (weight[live] / lattice.scale[live, t])[:, None]
            counts += (left.T @ (lattice.likelihood[live, t] * lattice.backward[live, t])) * self.transition
        return counts


def known_states(knows: Bools) -> Bools:
    """Which states each teacher can tell, shape ``(…, teachers, states)``; all can tell "outside"."""
    states = np.repeat(knows, 2, axis=-1)
    return np.concatenate([np.ones((*states.shape[:-1], 1), dtype=bool), states], axis=-1)


def possible_states(bucket: Bucket, states: int) -> Bools:
    """States that an atom can have: outside, and labels that a teacher marked there; outside alone in the padding."""
    marked = bucket.tags > 0
    possible = np.zeros((*bucket.tags.shape[:2], states), dtype=bool)
    possible[:, :, 0] = True
    for label in range((states - 1) // 2):
        voted = (marked & ((bucket.tags - 1) // 2 == label)).any(axis=2)
        possible[:, :, 2 * label + 1] = possible[:, :, 2 * label + 2] = voted
    return possible


def allowed_transitions(states: int) -> Bools:
    """IOB2: a label goes on only after it began or went on."""
    allowed = np.ones((states, states), dtype=bool)
    for inside in range(2, states, 2):
        allowed[:, inside] = False
        allowed[[inside - 1, inside], inside] = True
    return allowed


def baum_welch(
    buckets: list[Bucket], teachers: int, prior: Floats, *, iterations: int, tolerance: float = 1e-4
) -> Chain:
    """Parameters by expectation maximisation (Baum-Welch), starting from the shares of votes.

    Args:
        buckets: the sequences.
        teachers: the number of teachers.
        prior: counts to begin each emission matrix with, shape ``(states, tags)``.
        iterations: at most.
        tolerance: stop when the log-likelihood of a sequence grows by less.
    """
    states = len(prior)
    allowed = allowed_transitions(states)
    chain, last = None, -np.inf
    total = max(sum(int(bucket.count.sum()) for bucket in buckets), 1)
    for _ in range(iterations):
        emission = np.broadcast_to(prior, (teachers, states, states)).copy()
        transition = 0.5 * allowed
        likelihood = 0.0
        for bucket in buckets:
            if chain is None:
                posterior = _shares(bucket, states)
                transition += _hard_transitions(posterior, bucket) * allowed
            else:
                lattice = chain.lattice(bucket)
                posterior = lattice.posterior
                transition += chain.transitions(bucket, lattice)
                likelihood += float(lattice.log_likelihood @ bucket.count)
            emission += _emissions(posterior, bucket, states)
        if chain is not None and likelihood / total - last < tolerance:
            return chain
        last = likelihood / total if chain is not None else -np.inf
        chain = Chain(
            transition / transition.sum(axis=1, keepdims=True), emission / emission.sum(axis=2, keepdims=True)
        )
    assert chain is not None
    return chain


def _shares(bucket: Bucket, states: int) -> Floats:
    """To begin with: the share of each tag among the teachers that know its label; what is left is outside."""
    voters = np.maximum(np.repeat(bucket.knows.sum(axis=1), 2, axis=1), 1)  # sequence, state but outside
    shares = np.stack([(bucket.tags == state).sum(axis=2) for state in range(states)], axis=2).astype(np.float64)
    shares[:, :, 1:] /= voters[:, None]
    shares[:, :, 0] = np.maximum(1 - shares[:, :, 1:].sum(axis=2), 0)
    shares /= shares.sum(axis=2, keepdims=True)
    return shares


def _hard_transitions(posterior: Floats, bucket: Bucket) -> Floats:
    counts = np.zeros((posterior.shape[2],) * 2)
    counts[0] += bucket.count @ posterior[:, 0]
    counts[:, 0] += bucket.count @ posterior[np.arange(len(posterior)), bucket.length - 1]
    for t in range(1, posterior.shape[1]):
        live = t < bucket.length
        counts += (posterior[live, t - 1] * bucket.count[live, None]).T @ posterior[live, t]
    return counts


def _emissions(posterior: Floats, bucket: Bucket, states: int) -> Floats:
    """Expected counts of each teacher's tags by state, where the teacher can tell the state."""
    known = known_states(bucket.knows)
    weighted = posterior * bucket.count[:, None, None]
    teachers = bucket.tags.shape[2]
    counts = np.zeros((teachers, states, states))
    for teacher in range(teachers):
        tags = bucket.tags[:, :, teacher]
        share = weighted * known[:, None, teacher]
        for tag in np.unique(tags[tags >= 0]):
            counts[teacher, :, tag] = share[tags == tag].sum(axis=0)
    return counts


class HMM(LabelModel):
    """Believes each teacher as far as it agrees with the others, tag by tag, edges included.

    A hidden Markov model over the text that teachers marked, cut where a mention begins or ends: the states are true
    IOB2 tags, and each teacher shows a tag with a probability of its own (Lison et al., skweak, 2021). A teacher that
    does not know a label says nothing about it.

    Where teachers are few or much alike, expectation maximisation drifts from what they agree on to what explains
    their quirks: on simulated teachers F1 fell from .85 to .62 within fifty rounds. Therefore one round by default.

    Args:
        threshold: keep mentions likelier than this, in ``[0, 1)``.
        flat: of silver spans that overlap keep one, whatever their labels: the longest, then the likeliest.
        iterations: rounds of expectation maximisation, from the shares of votes.
    """

    def __init__(self, threshold: float = 0.5, flat: bool = False, iterations: int = 1):
        self.threshold, self.flat, self.iterations = self._check_threshold(threshold), flat, iterations
        if iterations < 1:
            raise OptionError(f"hmm: iterations {iterations} must be at least 1")

    def learn(self, candidates: Candidates, gold: Gold | None) -> None:
        prior = _prior(len(candidates.labels))
        buckets = Atoms.of(candidates).buckets
        self._chain = baum_welch(buckets, len(candidates.teachers), prior, iterations=self.iterations)

    def believe(self, candidates: Candidates) -> Beliefs:
        chain = self.chain_for(candidates)
        atoms = Atoms.of(candidates)
        marginal, exact = np.zeros(len(atoms.group)), np.zeros(len(atoms.group))
        bucket_of = np.full(int(atoms.group.max(initial=-1)) + 1, -1)
        row_of = np.zeros(len(bucket_of), dtype=np.int64)
        for n, bucket in enumerate(atoms.buckets):
            bucket_of[bucket.groups] = n
            row_of[bucket.groups] = bucket.sequence
        for n, bucket in enumerate(atoms.buckets):
            of = np.flatnonzero(bucket_of[atoms.group] == n)
            lattice = chain.lattice(bucket)
            places = (row_of[atoms.group[of]], atoms.first[of], atoms.last[of], candidates.label[of])
            marginal[of] = _marginal(lattice, places)
            exact[of] = _exact(chain, lattice, places)
        return Beliefs(marginal, exact, candidates.mentions)

    def chain_for(self, candidates: Candidates) -> Chain:
        """What was learned, for these teachers and labels; unknown ones are taken to be like the known on average."""
        fitted, labels = (len(self._chain.transition) - 1) // 2, len(candidates.labels)
        emission = for_teachers(
            self._chain.emission, self._fitted_teachers, candidates.teachers, _by_row(_prior(fitted))
        )
        allowed = allowed_transitions(2 * labels + 1)
        transition = _by_row(for_labels(self._chain.transition, fitted, _by_row(allowed)) * allowed)
        return Chain(transition, for_labels(emission, fitted, _by_row(_prior(labels))))


def _by_row(counts: Floats | Bools) -> Floats:
    shares: Floats = counts / counts.sum(axis=1, keepdims=True)
    return shares


def _prior(labels: int) -> Floats:
    """A teacher's tag is more often right than not; what it gets wrong it rather misses."""
    states = 2 * labels + 1
    prior = np.full((states, states), 0.1) + 2 * np.eye(states)
    prior[1:, 0] += 0.5
    prior[0, 0] += 3
    return prior


def _marginal(lattice: Lattice, places: tuple[Ints, Ints, Ints, Ints]) -> Floats:
    """The probability that a candidate's label holds at the likeliest of its atoms."""
    row, first, last, label = places
    posterior = lattice.posterior
    of_label = posterior[:, :, 1::2] + posterior[:, :, 2::2]
    best = np.zeros(len(row))
    for t in range(of_label.shape[1]):
        here = (first <= t) & (t < last)
        best[here] = np.maximum(best[here], of_label[row[here], t, label[here]])
    return best


def _exact(chain: Chain, lattice: Lattice, places: tuple[Ints, Ints, Ints, Ints]) -> Floats:
    """The probability that a candidate is a mention with just these edges."""
    row, first, last, label = places
    begin, inside = 2 * label + 1, 2 * label + 2
    value = lattice.forward[row, first, begin]
    state = begin.copy()
    width = lattice.scale.shape[1]
    for t in range(1, width):
        here = np.flatnonzero((first < t) & (t < last))
        step = chain.transition[state[here], inside[here]] * lattice.likelihood[row[here], t, inside[here]]
        value[here] *= step / lattice.scale[row[here], t]
        state[here] = inside[here]
    ends = last == width
    value[ends] *= chain.transition[state[ends], 0] / lattice.end_scale[row[ends]]
    more = np.flatnonzero(~ends)
    at = last[more]
    onward = chain.transition[state[more]] * lattice.likelihood[row[more], at] * lattice.backward[row[more], at]
    onward[np.arange(len(more)), inside[more]] = 0.0
    value[more] *= onward.sum(axis=1) / lattice.scale[row[more], at]
    return np.minimum(value, 1.0)

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opinions import NAMES, corpora, labels_of, said, scored
from simulated_teachers import PARTIAL, UNEQUAL, labelled_by, notes, strict_f1

from clinidistill.aggregation import load_aggregator
from clinidistill.aggregation.atoms import Bucket
from clinidistill.aggregation.hmm import (
    HMM,
    Chain,
    _exact,
    _marginal,
    allowed_transitions,
    baum_welch,
    known_states,
    possible_states,
)
from clinidistill.aggregation.majority import Majority
from clinidistill.aggregation.mentions import ABSTAINS, Candidates
from clinidistill.errors import OptionError
from clinidistill.types import Document


def random_chain(draw, teachers, labels):
    states = 2 * labels + 1
    transition = draw.random((states, states)) * allowed_transitions(states)
    emission = draw.random((teachers, states, states)) + 0.05
    return Chain(transition / transition.sum(axis=1, keepdims=True), emission / emission.sum(axis=2, keepdims=True))


def random_bucket(draw, sequences, width, teachers, labels):
    """Any tags at all, well-formed or not, by teachers of which some do not know all labels; the last is padded."""
    length = np.full(sequences, width)
    length[-1] = draw.integers(1, width + 1)
    knows = draw.random((sequences, teachers, labels)) < 0.8
    tags = draw.integers(ABSTAINS, 2 * labels + 1, (sequences, width, teachers)).astype(np.int16)
    unknown = (tags > 0) & ~np.take_along_axis(knows[:, None], np.maximum(tags - 1, 0)[..., None] // 2, axis=3)[..., 0]
    tags[unknown] = 0
    tags[np.arange(width) >= length[:, None]] = ABSTAINS
    count = draw.integers(1, 5, sequences)
    return Bucket(tags, length, knows, count, np.arange(sequences), np.arange(sequences))


def signs(chain, bucket, row):
    """The likelihood of each atom's tags given each state."""
    states = len(chain.transition)
    known, possible = known_states(bucket.knows)[row], possible_states(bucket, states)[row]
    out = np.ones((bucket.tags.shape[1], states))
    for t, state in product(*map(range, out.shape)):
        for teacher, tag in enumerate(bucket.tags[row, t].tolist()):
            if tag >= 0:
                out[t, state] *= chain.emission[teacher, state if known[teacher, state] else 0, tag]
    return out * possible


def paths(chain, bucket, row):
    """Every path of states through a sequence, padding included, with its probability together with the tags."""
    likelihood, states = signs(chain, bucket, row), range(len(chain.transition))
    for path in product(states, repeat=len(likelihood)):
        steps = [0, *path, 0]
        probability = np.prod([chain.transition[a, b] for a, b in zip(steps, steps[1:], strict=False)])
        yield path, probability * np.prod([likelihood[t, state] for t, state in enumerate(path)])


sizes = st.tuples(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 2))


@given(sizes)
def test_messages_agree_with_all_paths(size):
    seed, sequences, width, teachers, labels = size
    draw = np.random.default_rng(seed)
    chain, bucket = random_chain(draw, teachers, labels), random_bucket(draw, sequences, width, teachers, labels)
    lattice = chain.lattice(bucket)
    transitions = np.zeros_like(chain.transition)
    for row in range(sequences):
        weighed = list(paths(chain, bucket, row))
        total = sum(probability for _, probability in weighed)
        posterior = np.zeros((width, 2 * labels + 1))
        for path, probability in weighed:
            posterior[range(width), path] += probability / total
            steps = [0, *path[: bucket.length[row]], 0]
            np.add.at(transitions, (steps[:-1], steps[1:]), bucket.count[row] * probability / total)
        np.testing.assert_allclose(lattice.posterior[row], posterior, atol=1e-9)
        assert lattice.log_likelihood[row] == pytest.approx(np.log(total))
    np.testing.assert_allclose(chain.transitions(bucket, lattice), transitions, atol=1e-9)


@given(sizes)
def test_the_probability_of_exact_edges_is_that_of_all_paths_with_them(size):
    seed, sequences, width, teachers, labels = size
    draw = np.random.default_rng(seed)
    chain, bucket = random_chain(draw, teachers, labels), random_bucket(draw, sequences, width, teachers, labels)
    spans = [
        (row, first, last, label)
        for row in range(sequences)
        for first in range(bucket.length[row])
        for last in range(first + 1, bucket.length[row] + 1)
        for label in range(labels)
    ]
    lattice, places = chain.lattice(bucket), tuple(np.array(spans).T)
    exact, marginal = _exact(chain, lattice, places), _marginal(lattice, places)
    for found, most, (row, first, last, label) in zip(exact, marginal, spans, strict=True):
        wanted = (2 * label + 1, *[2 * label + 2] * (last - first - 1))
        weighed = list(paths(chain, bucket, row))
        total = sum(probability for _, probability in weighed)
        with_edges = sum(
            probability
            for path, probability in weighed
            if path[first:last] == wanted and (last == width or path[last] != 2 * label + 2)
        )
        holds = max(
            sum(probability for path, probability in weighed if path[t] in (2 * label + 1, 2 * label + 2))
            for t in range(first, last)
        )
        assert found == pytest.approx(with_edges / total, abs=1e-9)
        assert most == pytest.approx(holds / total, abs=1e-9)


def test_messages_are_hmmlearns():
    base = pytest.importorskip("hmmlearn.base")

    class GivenLikelihoods(base.BaseHMM):
        """An HMM of hmmlearn's whose observations are the likelihoods themselves."""

        def _compute_log_likelihood(self, observed):
            with np.errstate(divide="ignore"):
                return np.log(observed)

    draw = np.random.default_rng(0)
    chain, bucket = random_chain(draw, 4, 3), random_bucket(draw, 20, 12, 4, 3)
    lattice = chain.lattice(bucket)
    theirs = GivenLikelihoods(n_components=7)
    theirs.startprob_, theirs.transmat_ = chain.transition[0], chain.transition
    for row in range(20):
        outside = np.eye(7)[:1]  # hmmlearn has no final state: one more atom that is outside for sure
        log_likelihood, posterior = theirs.score_samples(np.concatenate([signs(chain, bucket, row), outside]))
        np.testing.assert_allclose(lattice.posterior[row], posterior[:-1], atol=1e-8)
        assert lattice.log_likelihood[row] == pytest.approx(log_likelihood)


def test_padding_changes_nothing():
    draw = np.random.default_rng(1)
    chain, bucket = random_chain(draw, 3, 2), random_bucket(draw, 5, 6, 3, 2)
    wider = Bucket(
        np.pad(bucket.tags, ((0, 0), (0, 4), (0, 0)), constant_values=ABSTAINS),
        bucket.length,
        bucket.knows,
        bucket.count,
        bucket.sequence,
        bucket.groups,
    )
    one, other = chain.lattice(bucket), chain.lattice(wider)
    np.testing.assert_allclose(one.posterior, other.posterior[:, :6], atol=1e-9)
    np.testing.assert_allclose(chain.transitions(bucket, one), chain.transitions(wider, other), atol=1e-9)


def test_expectation_maximisation_makes_the_tags_likelier_each_round():
    draw = np.random.default_rng(2)
    buckets = [random_bucket(draw, 40, width, 4, 2) for width in (2, 5)]
    found = [
        sum(
            float(
                baum_welch(buckets, 4, np.full((5, 5), 1e-6), iterations=n, tolerance=-np.inf).lattice(b).log_likelihood
                @ b.count
            )
            for b in buckets
        )
        for n in range(2, 8)
    ]
    assert found == sorted(found)


def test_a_label_goes_on_only_after_it_began():
    allowed = allowed_transitions(5)
    assert allowed[:, [0, 1, 3]].all()
    assert np.argwhere(allowed[:, [2, 4]]).tolist() == [[1, 0], [2, 0], [3, 1], [4, 1]]


@pytest.mark.parametrize("teachers", [UNEQUAL, PARTIAL], ids=["unequal", "partial"])
def test_it_beats_the_majority_of_unequal_and_of_partial_teachers_on_simulated_notes(teachers):
    gold = notes(150)
    labels = labelled_by(gold, teachers)
    ours, theirs = (strict_f1(gold, a.fit(labels).combine(labels)) for a in (HMM(), Majority()))
    assert ours > theirs + 0.05


def test_signs_of_very_many_teachers_do_not_multiply_to_nothing():
    """Three hundred begin a disease in the midst of a drug that they began before: no true tags explain it."""
    documents = [Document(f"n{n}", "alpha beta gamma delta") for n in range(20)]
    annotations = [
        said(f"t{n}", (0, 11, "medication"), (7, 13, "disease"), document=each.id)
        for each in documents
        for n in range(300)
    ]
    labels = labels_of(*annotations, notes=documents)
    assert all(
        0 <= score <= 1 for spans in scored(HMM().fit(labels).combine(labels)).values() for score in spans.values()
    )


@given(corpora(), corpora())
def test_what_was_not_there_when_it_learned_obeys_iob2_too(labels, others):
    model = HMM().fit(labels)
    candidates = Candidates.of(list(others), others.teachers, dict.fromkeys((*model._fitted_labels, *NAMES)))
    transition = model.chain_for(candidates).transition
    assert (transition[~allowed_transitions(len(transition))] == 0).all()
    np.testing.assert_allclose(transition.sum(axis=1), 1)
    beliefs = model.believe(candidates)
    assert ((beliefs.score >= 0) & (beliefs.score <= 1 + 1e-9)).all()
    assert ((beliefs.rank >= 0) & (beliefs.rank <= beliefs.score + 1e-9)).all()  # exact edges imply the label


@pytest.mark.parametrize("options", [{"threshold": 1}, {"iterations": 0}])
def test_hmm_options_that_cannot_work_are_refused(options):
    with pytest.raises(OptionError, match=f"hmm: {next(iter(options))} .* must be at least"):
        load_aggregator("hmm", **options)

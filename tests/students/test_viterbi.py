from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.scheme import IOB2, Entities

from clinidistill.students.encoding import iob2_tags
from clinidistill.students.viterbi import viterbi


def is_valid(path):
    """No I-x but after B-x or I-x."""
    return all(tag % 2 or tag == 0 or before in (tag - 1, tag) for before, tag in zip([0, *path], path, strict=False))


def by_hand(scores):
    """The best of all valid tag sequences, and its log-probability."""
    words, tags = scores.shape
    paths = [path for path in product(range(tags), repeat=words) if is_valid(path)]
    return max((sum(scores[n, tag] for n, tag in enumerate(path)), path) for path in paths)


def random_scores(rng, words, labels, sharpness):
    logits = rng.normal(size=(words, 1 + 2 * labels)) * sharpness
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 2), st.sampled_from([0.1, 1, 3, 10]))
def test_no_valid_path_is_likelier(seed, words, labels, sharpness):
    scores = random_scores(np.random.default_rng(seed), words, labels, sharpness)
    path = viterbi(scores)
    assert is_valid(path)
    assert scores[np.arange(words), path].sum() == pytest.approx(by_hand(scores)[0])


@given(st.integers(0, 2**32), st.lists(st.integers(1, 5), min_size=1, max_size=8), st.integers(1, 2))
def test_sequences_side_by_side_are_read_apart(seed, lengths, labels):
    rng = np.random.default_rng(seed)
    parts = [random_scores(rng, length, labels, rng.choice([0.3, 2, 8])) for length in lengths]
    opens = np.concatenate([np.arange(length) == 0 for length in lengths])
    together = viterbi(np.concatenate(parts), opens)
    assert together.tolist() == [tag for part in parts for tag in viterbi(part)]


def test_tags_that_cannot_be_are_not_taken():
    with np.errstate(divide="ignore"):
        scores = np.log([[0.5, 0.5, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 1.0], [0.1, 0, 0.2, 0, 0.7]])
    assert viterbi(scores[:2]).tolist() == [1, 2]
    assert is_valid(viterbi(scores))  # though it is bound to say something impossible of the third word


@pytest.mark.parametrize("labels", [1, 3, 12])
def test_a_long_note_has_the_tags_that_seqeval_calls_valid(labels):
    names = iob2_tags([f"label{n}" for n in range(labels)])
    tags = [names[tag] for tag in viterbi(random_scores(np.random.default_rng(labels), 3000, labels, 2.0))]
    strict = [entity for sentence in Entities([tags], IOB2).entities for entity in sentence]
    assert len(strict) == sum(tag.startswith("B") for tag in tags) > 100
    assert sum(entity.end - entity.start for entity in strict) == sum(tag != "O" for tag in tags)


def test_a_path_of_a_thousand_words_is_the_one_a_plain_recursion_finds():
    scores = random_scores(np.random.default_rng(7), 1000, 3, 1.5)
    rule = np.where([[t % 2 or t == 0 or b in (t - 1, t) for t in range(7)] for b in range(7)], 0.0, -np.inf)
    best = np.where(np.arange(7) % 2 == 1, scores[0], -np.inf)
    best[0] = scores[0, 0]
    for row in scores[1:]:
        best = (best[:, None] + rule).max(axis=0) + row
    path = viterbi(scores)
    assert is_valid(path)
    assert scores[np.arange(1000), path].sum() == pytest.approx(best.max())


def test_nothing_and_no_label_are_read_too():
    assert viterbi(np.zeros((0, 5))).tolist() == []
    assert viterbi(np.zeros((3, 1))).tolist() == [0, 0, 0]

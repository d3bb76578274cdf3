import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinidistill import Span
from clinidistill.evaluation.alignment import align

spans = st.lists(
    st.builds(
        lambda start, size, label: Span(start, start + size, label),
        st.integers(0, 12),
        st.integers(1, 6),
        st.sampled_from("ab"),
    ),
    max_size=6,
)


def keys(pairs):
    return [tuple(span and span.key for span in pair) for pair in pairs]


def test_the_best_pairs_are_taken_first():
    exact, boundary, label, overlap = Span(0, 4, "a"), Span(0, 4, "b"), Span(0, 9, "a"), Span(3, 9, "b")
    candidates = [overlap, label, boundary, exact]
    for best in (exact, boundary, label, overlap):
        pairs = align([Span(0, 4, "a")], candidates)
        assert [pair for pair in pairs if pair[0]] == [(Span(0, 4, "a"), best)]
        assert len(pairs) == len(candidates)
        candidates.remove(best)


def test_among_equals_most_shared_characters_win_and_then_the_first_place():
    gold = Span(10, 20, "a")
    assert align([gold], [Span(8, 12, "a"), Span(15, 22, "a")])[1] == (gold, Span(15, 22, "a"))
    assert (gold, Span(8, 12, "a")) in align([gold], [Span(18, 30, "a"), Span(8, 12, "a")])


def test_touching_mentions_are_missed_and_spurious():
    assert keys(align([Span(0, 5, "a")], [Span(5, 9, "a")])) == [((0, 5, "a"), None), (None, (5, 9, "a"))]


def test_identical_spans_are_one_mention():
    assert align([Span(0, 4, "a")], [Span(0, 4, "a", 0.5), Span(0, 4, "a", 0.9)]) == [
        (Span(0, 4, "a"), Span(0, 4, "a", 0.9))
    ]


def test_a_long_mention_that_starts_far_before_is_found():
    assert keys(align([Span(50, 52, "a")], [Span(0, 60, "b"), Span(48, 49, "a")]))[1:] == [
        ((50, 52, "a"), (0, 60, "b"))
    ]


@settings(max_examples=60, deadline=None)
@given(spans, spans, st.randoms(use_true_random=False))
def test_the_order_of_spans_does_not_matter(gold, predicted, draw):
    pairs = align(gold, predicted)
    draw.shuffle(gold)
    draw.shuffle(predicted)
    assert align(gold, predicted) == pairs


@settings(max_examples=60, deadline=None)
@given(spans, spans)
def test_each_mention_stands_in_one_pair_and_no_two_that_overlap_are_left_over(gold, predicted):
    pairs = align(gold, predicted)
    for side, given_spans in enumerate((gold, predicted)):
        stood = [pair[side].key for pair in pairs if pair[side]]
        assert sorted(stood) == sorted({span.key for span in given_spans})
    assert all(one.overlaps(other) for one, other in pairs if one and other)
    missed = [one for one, other in pairs if other is None]
    spurious = [other for one, other in pairs if one is None]
    assert not any(one.overlaps(other) for one in missed for other in spurious)


@settings(max_examples=60, deadline=None)
@given(spans, spans)
def test_no_pair_of_mentions_would_both_rather_have_each_other(gold, predicted):
    def rank(one, other):
        shared = min(one.end, other.end) - max(one.start, other.start)
        return one.key[:2] != other.key[:2], one.label != other.label, -shared

    pairs = align(gold, predicted)
    of_gold = {one.key: rank(one, other) for one, other in pairs if one and other}
    of_found = {other.key: rank(one, other) for one, other in pairs if one and other}
    worst = (True, True, 1)
    for one, other in itertools.product(gold, predicted):
        if one.overlaps(other):
            wish = rank(one, other)
            assert not (wish < of_gold.get(one.key, worst) and wish < of_found.get(other.key, worst))


@pytest.mark.parametrize("seed", range(3))
def test_mentions_of_equal_key_are_always_each_others(seed):
    draw = random.Random(seed)

    def some():
        return {Span(start, start + draw.randint(1, 6), draw.choice("ab")) for start in draw.choices(range(20), k=12)}

    gold, predicted = some(), some()
    pairs = align(gold, predicted)
    assert {one for one, other in pairs if one == other} == gold & predicted

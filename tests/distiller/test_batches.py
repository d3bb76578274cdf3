import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinidistill.distiller.batches import BatchPlan, packed_batches
from clinidistill.students.encoding import token_batches

LENGTHS = st.lists(st.integers(0, 60) | st.sampled_from([127, 128, 129, 448, 449, 511, 512, 513]), max_size=80)
BUDGETS = st.integers(1, 200) | st.sampled_from([2044, 2048])
SPREAD = [1 + (n * 37) % 256 for n in range(2000)]


def batches_of(plan, epoch):
    return [batch for step in plan.steps(epoch) for batch in step]


@given(LENGTHS, BUDGETS, st.integers(1, 5), st.integers(0, 3), st.booleans())
def test_an_epoch_sees_each_example_once_within_the_budget(lengths, budget, per_step, epoch, packed):
    plan = BatchPlan(lengths, budget, per_step, packed=packed, seed=1)
    steps = list(plan.steps(epoch))
    batches = [batch for step in steps for batch in step]
    assert sorted(n for batch in batches for n in batch) == list(range(len(lengths)))
    tokens = [sum(lengths[n] for n in b) if packed else max(lengths[n] for n in b) * len(b) for b in batches]
    assert all(len(batch) == 1 or size <= budget for batch, size in zip(batches, tokens, strict=True))
    assert all(len(step) == per_step for step in steps[:-1])
    assert not steps or 1 <= len(steps[-1]) <= per_step


@given(LENGTHS, BUDGETS, st.integers(1, 5), st.booleans())
def test_every_epoch_has_the_number_of_steps_that_the_plan_says(lengths, budget, per_step, packed):
    plan = BatchPlan(lengths, budget, per_step, packed=packed)
    assert [len(list(plan.steps(epoch))) for epoch in range(3)] == [len(plan)] * 3


@pytest.mark.parametrize("packed", [False, True])
def test_seed_and_epoch_alone_decide_the_order(packed):
    def order(seed, epoch):
        return list(BatchPlan(SPREAD, 1024, 2, packed=packed, seed=seed).steps(epoch))

    first = order(1, 0)
    assert order(1, 0) == first
    assert order(2, 0) != first
    assert order(1, 1) != first


def test_batches_do_not_depend_on_how_many_make_a_step():
    one, four = (BatchPlan(SPREAD, 1024, n) for n in (1, 4))
    assert batches_of(four, 0) == batches_of(one, 0)


@given(st.integers(0, 80))
def test_an_epoch_goes_on_from_any_step(start):
    plan = BatchPlan(SPREAD, 4096, 2)
    assert list(plan.steps(3, start)) == list(plan.steps(3))[start:]


def test_examples_meet_others_in_the_next_epoch():
    plan = BatchPlan(SPREAD, 1024)
    first, second = ({frozenset(batch) for batch in batches_of(plan, epoch)} for epoch in (0, 1))
    assert len(first & second) < 0.05 * len(first)


def test_short_and_long_batches_alternate_at_random():
    sizes = [max(SPREAD[n] for n in batch) for batch in batches_of(BatchPlan(SPREAD, 1024), 0)]
    half = len(sizes) // 2
    assert np.mean(sizes[:half]) == pytest.approx(np.mean(sizes[half:]), rel=0.2)


def test_classes_waste_little_on_padding():
    batches = batches_of(BatchPlan(SPREAD, 2048), 0)
    padded = sum(max(SPREAD[n] for n in batch) * len(batch) for batch in batches)
    assert padded < 1.05 * sum(SPREAD)
    assert len(batches) < 1.05 * len(list(token_batches(SPREAD, 2048)))


def test_packed_batches_are_nearly_full():
    assert len(BatchPlan(SPREAD, 2048, packed=True)) < 1.05 * sum(SPREAD) / 2048
    assert len(packed_batches(SPREAD, 2048)) < 1.01 * sum(SPREAD) / 2048 + 1


@given(LENGTHS, BUDGETS)
def test_packing_keeps_to_the_budget_and_to_johnsons_bound(lengths, budget):
    groups = packed_batches(lengths, budget)
    assert sorted(n for group in groups for n in group) == list(range(len(lengths)))
    assert all(len(group) == 1 or sum(lengths[n] for n in group) <= budget for group in groups)
    least = sum(min(length, budget) for length in lengths) / budget  # of any packing
    if all(length <= budget / 2 for length in lengths):  # then all groups but one are more than half full
        assert len(groups) <= 2 * least + 1
    sums = sorted(sum(lengths[n] for n in group) for group in groups)
    assert len(sums) < 2 or sums[0] + sums[1] > budget or sums[0] == 0  # no two groups would go into one


def brute_force(lengths, budget):
    """The fewest groups that hold `lengths`."""

    def fits(rooms, left):
        if not left:
            return True
        return any(
            rooms[n] >= left[0] and fits([*rooms[:n], rooms[n] - left[0], *rooms[n + 1 :]], left[1:])
            for n in range(len(rooms))
        )

    return next(n for n in range(len(lengths) + 1) if fits([budget] * n, sorted(lengths, reverse=True)))


@given(st.lists(st.integers(1, 20), max_size=7))
def test_packing_is_near_the_fewest_groups(lengths):
    assert len(packed_batches(lengths, 20)) <= 11 / 9 * brute_force(lengths, 20) + 1

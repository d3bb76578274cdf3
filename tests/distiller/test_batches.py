from hypothesis import given
from hypothesis import strategies as st

from clinidistill.distiller.batches import epoch_steps

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=80)


@given(LENGTHS, st.integers(1, 200), st.integers(1, 5), st.integers(0, 3))
def test_an_epoch_sees_each_example_once_within_the_budget(lengths, budget, per_step, epoch):
    steps = epoch_steps(lengths, budget, per_step, seed=1, epoch=epoch)
    batches = [batch for step in steps for batch in step]
    assert sorted(n for batch in batches for n in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or max(lengths[n] for n in batch) * len(batch) <= budget for batch in batches)
    assert all(len(step) == per_step for step in steps[:-1])
    assert 1 <= len(steps[-1]) <= per_step


def test_seed_and_epoch_alone_decide_the_order():
    lengths = [1 + n % 17 for n in range(200)]
    first = epoch_steps(lengths, 64, 2, seed=1, epoch=0)
    assert epoch_steps(lengths, 64, 2, seed=1, epoch=0) == first
    assert epoch_steps(lengths, 64, 2, seed=2, epoch=0) != first
    assert epoch_steps(lengths, 64, 2, seed=1, epoch=1) != first


def test_batches_do_not_depend_on_how_many_make_a_step():
    lengths = [1 + n % 17 for n in range(200)]
    one, four = (epoch_steps(lengths, 64, n, seed=1, epoch=0) for n in (1, 4))
    assert [batch for step in four for batch in step] == [step[0] for step in one]


def test_buckets_waste_little_on_padding():
    lengths = [1 + (n * 37) % 256 for n in range(2000)]
    batches = [batch for step in epoch_steps(lengths, 2048, 1, seed=0, epoch=0) for batch in step]
    padded = sum(max(lengths[n] for n in batch) * len(batch) for batch in batches)
    assert padded < 1.1 * sum(lengths)

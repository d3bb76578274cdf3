"""Which examples an optimizer step sees: shuffled, bucketed by length, the same for every number of processes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clinidistill.students.encoding import token_batches

__all__ = ["epoch_steps"]

_POOL = 16  # batches' worth of tokens sorted together: enough to fill batches, few enough to keep the order random


def epoch_steps(lengths: Sequence[int], budget: int, per_step: int, *, seed: int, epoch: int) -> list[list[list[int]]]:
    """The optimizer steps of one epoch: lists of `per_step` batches (the last may have fewer) of example positions.

    Args:
        lengths: tokens of each example.
        budget: most tokens in a batch, padding included.
        per_step: batches whose gradients one optimizer step sums.
        seed, epoch: together they decide the order, alone.

    Shuffles examples, sorts pools of them by length into batches, then shuffles the batches.

    >>> steps = epoch_steps([4] * 10, budget=8, per_step=2, seed=0, epoch=0)
    >>> [len(step) for step in steps], sorted(n for step in steps for batch in step for n in batch) == list(range(10))
    ([2, 2, 1], True)
    """
    rng = np.random.default_rng([seed, epoch])
    batches: list[list[int]] = []
    pool: list[int] = []
    size = 0
    for n in rng.permutation(len(lengths)).tolist():
        pool.append(n)
        size += lengths[n]
        if size >= budget * _POOL:
            batches += _pool_batches(pool, lengths, budget)
            pool, size = [], 0
    batches += _pool_batches(pool, lengths, budget)
    order = rng.permutation(len(batches)).tolist()
    shuffled = [batches[n] for n in order]
    return [shuffled[n : n + per_step] for n in range(0, len(shuffled), per_step)]


def _pool_batches(pool: Sequence[int], lengths: Sequence[int], budget: int) -> list[list[int]]:
    return [[pool[n] for n in batch] for batch in token_batches([lengths[n] for n in pool], budget)]

"""Which examples an optimizer step sees: shuffled, of like length, the same for every number of processes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["BatchPlan", "packed_batches"]

Ints = NDArray[np.int32]


class BatchPlan:
    """The batches of every epoch.

    Lengths fall into classes, each an eighth of a power of two wide. Which classes a batch is made of is planned once,
    longest first, so that every epoch has the same number of batches; each epoch then draws anew which examples of a
    class go where, and shuffles the batches.

    Args:
        lengths: tokens of each example.
        budget: most tokens in a batch, padding included. An example over the budget is a batch of its own.
        per_step: batches whose gradients one optimizer step sums; the last step of an epoch may have fewer.
        packed: the examples of a batch will stand end to end, so that there is no padding to count.
        seed: it and the epoch decide the order, alone.

    Planning a million examples takes .1 seconds (.6 if packed), and so does an epoch; neither needs more than 20 bytes
    an example.

    >>> plan = BatchPlan([4] * 10, budget=8, per_step=2)
    >>> len(plan), [len(batches) for batches in plan.steps(epoch=0)]
    (3, [2, 2, 1])
    >>> sorted(n for batches in plan.steps(epoch=0) for batch in batches for n in batch) == list(range(10))
    True
    """

    def __init__(self, lengths: ArrayLike, budget: int, per_step: int = 1, *, packed: bool = False, seed: int = 0):
        sizes = np.asarray(lengths, dtype=np.int32)
        self.per_step, self.seed = per_step, seed
        self._rank, longest = _classes(sizes)
        limits = np.repeat(longest.astype(np.int32), np.bincount(self._rank, minlength=len(longest)))
        if packed:
            batch = _fit(limits, budget)
            self._places: Ints | None = np.argsort(batch, kind="stable").astype(np.int32)
            self._cuts = np.append(0, np.cumsum(np.bincount(batch)))
        else:
            self._places, self._cuts = None, _cut(limits, budget)

    def __len__(self) -> int:
        """Optimizer steps in an epoch."""
        return math.ceil((len(self._cuts) - 1) / self.per_step)

    def steps(self, epoch: int, start: int = 0) -> Iterator[list[list[int]]]:
        """The batches of each optimizer step of an epoch, as positions of examples, from step `start` on."""
        rng = np.random.default_rng([self.seed, epoch])
        order = np.arange(len(self._rank), dtype=np.int32)
        rng.shuffle(order)
        order = order[np.argsort(self._rank[order], kind="stable")]
        if self._places is not None:
            order = order[self._places]
        batches = rng.permutation(len(self._cuts) - 1)
        for first in range(start * self.per_step, len(batches), self.per_step):
            numbers = batches[first : first + self.per_step]
            yield [order[self._cuts[n] : self._cuts[n + 1]].tolist() for n in numbers]


def packed_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Positions grouped so that the lengths of no group add up to more than `budget`; few groups.

    Best fit decreasing: the longest first, each into the fullest group that still has room for it, which takes at most
    11/9 of the fewest groups that would do, and one more (Johnson et al., *SIAM Journal on Computing* 3, 1974). A
    single item over the budget is a group.

    >>> packed_batches([5, 2, 3, 9], budget=10)
    [[3], [0, 2, 1]]
    """
    sizes = np.asarray(lengths, dtype=np.int32)
    order = np.argsort(-sizes, kind="stable")
    groups: list[list[int]] = []
    for position, group in zip(order.tolist(), _fit(sizes[order], budget).tolist(), strict=True):
        if group == len(groups):
            groups.append([])
        groups[group].append(position)
    return groups


def _classes(sizes: Ints) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """The class of each length, the longest being 0, and the longest length in each class."""
    present = np.flatnonzero(np.bincount(sizes))[::-1]
    shift = np.maximum(np.frexp(present - 1)[1] - 4, 0)
    floors = ((present - 1) >> shift) << shift  # below 17 tokens each length is a class
    _, first, ranks = np.unique(-floors, return_index=True, return_inverse=True)
    classes = np.zeros(sizes.max(initial=0) + 1, dtype=np.int16)  # 16 bits are sorted by radix, in linear time
    classes[present] = ranks
    return classes[sizes], present[first]


def _cut(limits: Ints, budget: int) -> NDArray[np.int64]:
    """Where falling `limits` are cut into batches that, each padded to its first, hold the budget."""
    cuts = [0]
    while cuts[-1] < len(limits):
        cuts.append(cuts[-1] + max(1, budget // max(1, int(limits[cuts[-1]]))))
    return np.minimum(cuts, len(limits))


def _fit(limits: Ints, budget: int) -> Ints:
    """The group of each of falling `limits`, numbered as they are opened; see :func:`packed_batches`."""
    groups = np.empty(len(limits), dtype=np.int32)
    with_room: list[list[int]] = [[] for _ in range(budget + 1)]  # groups by the tokens that they still have room for
    rooms = 0  # bit n: some group has room for n tokens
    opened = 0
    for place, size in enumerate(limits.tolist()):
        if fitting := rooms >> size:
            room = size + (fitting & -fitting).bit_length() - 1
            group = with_room[room].pop()
            if not with_room[room]:
                rooms ^= 1 << room
        else:
            room, group = max(budget, size), opened
            opened += 1
        groups[place] = group
        if room > size:
            with_room[room - size].append(group)
            rooms |= 1 << (room - size)
    return groups

"""One-to-one matching of overlapping spans."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

__all__ = ["count_overlap_matches"]

Extent = tuple[int, int]


def count_overlap_matches(gold: Iterable[Extent], predicted: Iterable[Extent]) -> int:
    """The most pairs of a gold and a predicted extent that share a character, each extent used at most once.

    Exact for nested and crossing extents, whatever their order, in O(n log n).

    Args:
        gold: half-open character offsets ``(start, end)``.
        predicted: likewise.

    >>> count_overlap_matches([(0, 9), (0, 4)], [(2, 3), (5, 6)])
    2
    """
    # Of all extents not yet paired, look at the one that ends first. Everything on the other side that it overlaps
    # reaches over its last character, so what such a partner could still overlap depends only on how far it reaches:
    # the partner that ends first is the one that is least needed elsewhere, and pairing the two is never a loss.
    arrivals = sorted(
        [(start, end, 0) for start, end in gold] + [(start, end, 1) for start, end in predicted], reverse=True
    )
    reached: tuple[list[int], list[int]] = ([], [])  # ends of the unpaired extents that have begun, one heap a side
    pairs = 0
    while arrivals:
        first_end = min((heap[0] for heap in reached if heap), default=None)
        if first_end is None or arrivals[-1][0] < first_end:
            _, end, side = arrivals.pop()
            heappush(reached[side], end)
        elif reached[0] and reached[1]:
            heappop(reached[0])
            heappop(reached[1])
            pairs += 1
        else:
            heappop(reached[0] or reached[1])
    return pairs + min(len(reached[0]), len(reached[1]))

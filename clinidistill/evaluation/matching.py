"""The largest one-to-one matching of overlapping mentions."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

import numpy as np

from clinidistill.evaluation.tables import Ints, Pairs, SpanTable, distinct

__all__ = ["count_matches", "count_overlap_matches"]

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


def count_matches(gold: SpanTable, predicted: SpanTable, pairs: Pairs) -> Ints:
    """:func:`count_overlap_matches` for each document and label at once, by ``cell`` of the tables.

    Args:
        gold: the gold mentions.
        predicted: the predicted mentions.
        pairs: all pairs with the same label that overlap.
    """
    # A mention that overlaps only one other may as well be paired with it (Karp and Sipser, 1981). That settles nearly
    # all of a corpus; what is left has at least two mentions on either side that overlap two.
    i, j = pairs
    cells = np.zeros(0, dtype=np.int64)
    while i.size:
        one, other = np.bincount(i), np.bincount(j)
        leaves = np.flatnonzero((one[i] == 1) | (other[j] == 1))
        if not leaves.size:
            break
        leaves = leaves[distinct(j[leaves])]
        leaves = leaves[distinct(i[leaves])]
        cells = np.append(cells, gold.cell[i[leaves]])
        one[i[leaves]] = other[j[leaves]] = 0
        rest = (one[i] > 0) & (other[j] > 0)
        i, j = i[rest], j[rest]
    counts = np.bincount(cells, minlength=gold.documents * len(gold.labels))
    tangled: dict[int, tuple[list[Extent], list[Extent]]] = {}
    for side, table, rows in ((0, gold, np.unique(i)), (1, predicted, np.unique(j))):
        extents = zip(table.start[rows].tolist(), table.end[rows].tolist(), strict=True)
        for cell, extent in zip(table.cell[rows].tolist(), extents, strict=True):
            tangled.setdefault(cell, ([], []))[side].append(extent)
    for cell, sides in tangled.items():
        counts[cell] += count_overlap_matches(*sides)
    return counts

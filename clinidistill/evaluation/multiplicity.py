"""What probabilities mean when there are many of them."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["holm"]


def holm(p: Sequence[float]) -> list[float]:
    """Probabilities adjusted for their number, so that the chance of any false alarm stays what one's was.

    Holm's step-down procedure (Scandinavian Journal of Statistics, 1979): the smallest counts as many times as there
    are, the next one time less, and none is below the one before it. It asks nothing of how they depend on each other.

    Args:
        p: in any order; so are the results.

    >>> [round(each, 3) for each in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        highest = max(highest, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = highest
    return adjusted

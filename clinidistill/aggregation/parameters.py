"""What was learned of some teachers and labels, for others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["for_labels", "for_teachers"]

Floats = NDArray[np.float64]
_RARE = 1e-3


def for_teachers(values: Floats, known: Sequence[str], wanted: Sequence[str]) -> Floats:
    """Rows of `values`, one a known teacher, for the wanted ones; one that is not known is like their mean."""
    number = {name: n for n, name in enumerate(known)}
    mean = values.mean(axis=0, keepdims=True)
    rows = np.concatenate([values, mean])
    picked: Floats = rows[[number.get(name, len(known)) for name in wanted]]
    return picked


def for_labels(matrices: Floats, known: int, wanted: int) -> Floats:
    """Matrices over "none" and the states of labels, for more labels: a new one behaves like the known on average.

    Args:
        matrices: probabilities, rows summing to 1, shape ``(…, 1 + known * states, 1 + known * states)``.
        known: the number of labels in `matrices`.
        wanted: the number of labels to make room for; known ones stay where they are.
    """
    if wanted <= known:
        return matrices
    states = (matrices.shape[-1] - 1) // known
    size = 1 + wanted * states
    blocks = [slice(1 + n * states, 1 + (n + 1) * states) for n in range(wanted)]
    out = np.full((*matrices.shape[:-2], size, size), _RARE)
    out[..., : matrices.shape[-2], : matrices.shape[-1]] = matrices
    own = np.mean([matrices[..., block, block] for block in blocks[:known]], axis=0)
    missed = np.mean([matrices[..., block, 0] for block in blocks[:known]], axis=0)
    invented = np.mean([matrices[..., 0, block] for block in blocks[:known]], axis=0)
    for block in blocks[known:]:
        out[..., block, block], out[..., block, 0], out[..., 0, block] = own, missed, invented
    out /= out.sum(axis=-1, keepdims=True)
    return out

"""What was learned of some teachers and labels, for others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["for_labels", "for_teachers"]

Floats = NDArray[np.float64]
_RARE = 1e-3


def for_teachers(values: Floats, known: Sequence[str], wanted: Sequence[str], default: Floats) -> Floats:
    """Rows of `values`, one a known teacher, for the wanted ones; one that is not known is like their mean.

    Args:
        values: shape ``(known, …)``.
        known: names of teachers.
        wanted: names of teachers.
        default: a row to take where no teacher is known.
    """
    number = {name: n for n, name in enumerate(known)}
    rows = np.concatenate([values, (values.mean(axis=0) if known else default)[None]])
    picked: Floats = rows[[number.get(name, len(known)) for name in wanted]]
    return picked


def for_labels(matrices: Floats, known: int, default: Floats) -> Floats:
    """Matrices over "none" and the states of labels, for more labels: a new one behaves like the known on average.

    Args:
        matrices: probabilities, rows summing to 1, shape ``(…, 1 + known * states, 1 + known * states)``.
        known: the number of labels in `matrices`; they stay where they are.
        default: a matrix with room for all labels, to take where none is known.
    """
    size = len(default)
    if size == matrices.shape[-1]:
        return matrices
    if not known:
        return np.broadcast_to(default, (*matrices.shape[:-2], size, size))
    states = (matrices.shape[-1] - 1) // known
    blocks = [slice(begin, begin + states) for begin in range(1, size, states)]
    out = np.full((*matrices.shape[:-2], size, size), _RARE)
    out[..., : matrices.shape[-2], : matrices.shape[-1]] = matrices
    own = np.mean([matrices[..., block, block] for block in blocks[:known]], axis=0)
    missed = np.mean([matrices[..., block, 0] for block in blocks[:known]], axis=0)
    invented = np.mean([matrices[..., 0, block] for block in blocks[:known]], axis=0)
    for block in blocks[known:]:
        out[..., block, block], out[..., block, 0], out[..., 0, block] = own, missed, invented
    out /= out.sum(axis=-1, keepdims=True)
    return out

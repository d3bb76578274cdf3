"""Where expectation maximisation starts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["first_beliefs"]

Floats = NDArray[np.float64]
_DOUBT = 0.2


def first_beliefs(marks: Floats, voters: Floats) -> Floats:
    """How likely each class is at a place, before anything is known of the teachers.

    A teacher's silence says less than its mark: terminologies and careful models miss much more than they invent. So
    this is half way (the geometric mean) between the share of those who could have voted for a class, where silence
    counts in full, and the share of those who marked anything, with one fifth left for "none", where it does not count.

    Args:
        marks: how many teachers voted for each class but "none", shape ``(…, classes - 1)``.
        voters: how many could have, same shape.

    Returns:
        Shape ``(…, classes)``, "none" first; where nobody marked anything, it is certain.
    """
    share = marks / np.maximum(voters, 1)
    total = marks.sum(axis=-1, keepdims=True)
    heard = marks / np.maximum(total, 1) * (1 - _DOUBT)
    none = np.maximum(1 - share.sum(axis=-1, keepdims=True), 0)
    belief: Floats = np.sqrt(np.concatenate([none * np.where(total, _DOUBT, 1.0), share * heard], axis=-1))
    belief /= np.maximum(belief.sum(axis=-1, keepdims=True), 1e-12)
    return belief

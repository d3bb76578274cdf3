"""What a student gives to be run: a function from batches of token ids to logits, and how it likes to be called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Precision", "Score", "Scorer"]

Precision = Literal["auto", "fp32", "bf16"]
"""What to compute in; ``"auto"`` is the fastest that leaves the spans as they are."""

Score = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]
"""From token ids and attention mask (1 at tokens, 0 at padding), both of shape ``(rows, width)``, to the logits of the
tags in the order of :func:`~clinidistill.students.encoding.iob2_tags`, shape ``(rows, width, tags)``."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """A function that scores batches, and how to call it; each call of ``predict`` has its own.

    Args:
        score: the function.
        batch_tokens: most tokens in a batch, padding included, where nobody asked for another number: what is fastest.
        lanes: in how many threads `score` may run at once, each with a batch of its own. On CPUs a thread for each
            core beats all cores on one batch, which wait for each other after every operation.
        enter: called in each of these threads before its first batch, with the number of threads that there are.
    """

    score: Score
    batch_tokens: int = 8192
    lanes: int = 1
    enter: Callable[[int], object] = lambda lanes: None

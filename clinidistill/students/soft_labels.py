"""Scores of silver spans → how likely each tag is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clinidistill.students.encoding import Window
from clinidistill.types import Span

__all__ = ["soften"]


def soften(window: Window, targets: NDArray[np.int64], spans: Sequence[Span], tags: int) -> NDArray[np.float16] | None:
    """The probabilities of a window's tags: a span's score for its tags, what is left to 1 for ``O``.

    Args:
        window: a window of the spans' document.
        targets: its tag ids, shape ``(tokens,)``.
        spans: what the targets were made from.
        tags: how many there are.

    Returns:
        Shape ``(tokens, tags)``; None where no span leaves a doubt.
    """
    if all(span.score == 1 for span in spans):
        return None
    likely = np.ones(len(targets), dtype=np.float16)
    for span in spans:
        likely[(window.starts < span.end) & (window.ends > span.start) & (targets > 0)] = span.score
    if (likely == 1).all():
        return None
    soft = np.zeros((len(targets), tags), dtype=np.float16)
    soft[:, 0] = 1 - likely
    soft[np.arange(len(targets)), np.maximum(targets, 0)] += likely
    return soft

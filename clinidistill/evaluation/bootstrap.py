"""Bootstrap confidence intervals of F1 over documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clinidistill.evaluation.counting import SCHEMES, Counts

__all__ = ["draw_weights", "f1_intervals"]

_BLOCK = 1 << 21  # weights held at once, so that many documents do not fill the memory

Floats = NDArray[np.float64]
Interval = tuple[float, float] | None


def draw_weights(documents: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each document is drawn in each resample, in blocks of shape ``(resamples of the block, documents)``.

    A row is one multinomial draw of as many documents as there are, with replacement.
    """
    random = np.random.default_rng(seed)
    size = max(1, _BLOCK // documents)
    for done in range(0, resamples, size):
        rows = min(size, resamples - done)
        drawn = random.integers(documents, size=(rows, documents)) + documents * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * documents).reshape(rows, documents).astype(np.float64)


def f1_intervals(
    table: Mapping[str, Mapping[int, Counts]], documents: int, *, resamples: int, seed: int, confidence: float
) -> list[list[Interval]]:
    """Percentile intervals of F1, for each row (the labels in the order of `table`, micro, macro) and scheme.

    A label's interval is taken over the resamples in which it occurs; None where it occurs in none.

    Args:
        table: for each label, the counts of the documents in which it occurs, by the document's number.
        documents: how many documents there are.
        resamples: how many times to draw that many documents with replacement.
        seed: of the draws.
        confidence: share of the resampled F1 between the two ends.
    """
    if not table:
        return [[None] * len(SCHEMES)] * 2
    where = [list(rows) for rows in table.values()]
    counts = [np.array(list(rows.values()), dtype=np.float64).reshape(len(rows), -1) for rows in table.values()]
    f1 = np.concatenate([_f1_of(weights, where, counts) for weights in draw_weights(documents, resamples, seed)])
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    return [[_quantiles(f1[:, row, scheme], tails) for scheme in range(len(SCHEMES))] for row in range(f1.shape[1])]


def _f1_of(weights: Floats, where: Sequence[Sequence[int]], counts: Sequence[Floats]) -> Floats:
    """F1 of shape ``(resamples, labels + 2, schemes)``; NaN where a label does not occur in a resample."""
    resampled = np.stack([weights[:, rows] @ each for rows, each in zip(where, counts, strict=True)], axis=1)
    resampled = resampled.reshape(*resampled.shape[:2], len(SCHEMES), 3)
    occurs = resampled[:, :, :1].any(axis=-1)  # as mentions: a mention without a word token still occurs
    labels = np.where(occurs, _f1(resampled), 0.0)
    number = occurs.sum(axis=1)
    micro = np.where(number > 0, _f1(resampled.sum(axis=1)), np.nan)
    macro = np.where(number > 0, labels.sum(axis=1) / np.maximum(number, 1), np.nan)
    return np.concatenate([np.where(occurs, labels, np.nan), micro[:, None], macro[:, None]], axis=1)


def _f1(counts: Floats) -> Floats:
    tp, fp, fn = np.moveaxis(counts, -1, 0)
    f1: Floats = 2 * tp / np.maximum(2 * tp + fp + fn, 1)
    return f1


def _quantiles(values: Floats, tails: tuple[float, float]) -> Interval:
    values = values[~np.isnan(values)]
    if not values.size:
        return None
    low, high = np.quantile(values, tails)
    return float(low), float(high)

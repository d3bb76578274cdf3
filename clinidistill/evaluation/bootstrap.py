"""Bootstrap confidence intervals of F1 over documents."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from clinidistill.evaluation.counting import Counts, Floats

__all__ = ["BLOCK", "Interval", "draw_weights", "f1_intervals", "f1_of"]

BLOCK = 1 << 21  # weights held at once, so that many documents do not fill the memory

Interval = tuple[float, float] | None


def draw_weights(documents: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each document is drawn in each resample, in blocks of shape ``(resamples of the block, documents)``.

    A row is one multinomial draw of as many documents as there are, with replacement.
    """
    random = np.random.default_rng(seed)
    size = max(1, BLOCK // documents)
    for done in range(0, resamples, size):
        rows = min(size, resamples - done)
        drawn = random.integers(documents, size=(rows, documents)) + documents * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * documents).reshape(rows, documents).astype(np.float64)


def f1_intervals(counts: Counts, *, resamples: int, seed: int, confidence: float) -> list[list[Interval]]:
    """Percentile intervals of F1, for each row (the labels, micro, macro) and scheme.

    A label's interval is taken over the resamples in which it occurs; None where it occurs in none.

    Args:
        counts: what was counted.
        resamples: how many times to draw as many documents as there are with replacement.
        seed: of the draws.
        confidence: share of the resampled F1 between the two ends.
    """
    schemes = counts.outcomes.shape[1]
    if not counts.labels:
        return [[None] * schemes] * 2
    f1 = np.concatenate([_resampled_f1(counts, weights) for weights in draw_weights(counts.documents, resamples, seed)])
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    return [[_quantiles(f1[:, row, scheme], tails) for scheme in range(schemes)] for row in range(f1.shape[1])]


def f1_of(twice: Floats, sizes: Floats) -> Floats:
    """F1 from true positives times two, and the mentions on both sides together; 0 where there are none."""
    f1: Floats = twice / np.where(sizes > 0, sizes, 1)
    return f1


def _resampled_f1(counts: Counts, weights: Floats) -> Floats:
    """F1 of shape ``(resamples, labels + 2, schemes)``; NaN where a label does not occur in a resample."""
    tp, fp, fn = np.moveaxis(counts.outcomes, -1, 0)
    parts = np.concatenate([2 * tp, 2 * tp + fp + fn], axis=1)
    rows = [counts.label == n for n in range(len(counts.labels) + 1)]
    sums = np.stack([weights[:, counts.document[each]] @ parts[each] for each in rows], axis=1)
    twice, sizes = np.split(sums, 2, axis=-1)
    occurs = sizes[:, :-1, :1] > 0  # as mentions: a mention without a word token still occurs
    labels = f1_of(twice, sizes)[:, :-1]
    number = occurs.sum(axis=1)
    micro = np.where(number > 0, f1_of(twice.sum(axis=1), sizes.sum(axis=1)), np.nan)
    macro = np.where(number > 0, labels.sum(axis=1) / np.maximum(number, 1), np.nan)
    return np.concatenate([np.where(occurs, labels, np.nan), micro[:, None], macro[:, None]], axis=1)


def _quantiles(values: Floats, tails: tuple[float, float]) -> Interval:
    values = values[~np.isnan(values)]
    if not values.size:
        return None
    low, high = np.quantile(values, tails)
    return float(low), float(high)

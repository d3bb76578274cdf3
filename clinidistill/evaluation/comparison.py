"""Whether one system is better than another, or only looks so on these documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from clinidistill.errors import ConfigError
from clinidistill.evaluation.bootstrap import BLOCK, draw_weights, f1_of
from clinidistill.evaluation.counting import Floats, count
from clinidistill.evaluation.pairing import pair
from clinidistill.evaluation.scoring import Predictor, answers
from clinidistill.types import SCHEMES, Document

__all__ = ["Comparison", "compare", "per_document"]

_ROUNDING = 1e-12  # differences of F1 that are nearer than this are equal


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two systems' F1 on the same documents, and how far their difference can be trusted. Printed, it is one line.

    Args:
        scheme: what was counted, one of ``SCHEMES``.
        label: the label whose F1 it is; None for the micro average.
        a, b: the systems' F1.
        difference: ``a - b``.
        interval: percentile interval of the difference, from resampling the documents and both systems' answers on
            them together (paired bootstrap; Efron and Tibshirani, An Introduction to the Bootstrap, 1993).
        confidence: of the interval.
        p: how probable a difference of at least this size, in either direction, is if it does not matter which system
            gave which answer: approximate randomisation, which swaps the two systems' answers document by document
            (Noreen, Computer-Intensive Methods for Testing Hypotheses, 1989; Yeh, https://aclanthology.org/C00-2137).
            ``(n + 1) / (resamples + 1)`` for n shuffles with such a difference, so never 0.
        bootstrap_p: the same from the bootstrap: twice the share of resamples in which the difference is 0 or has the
            other sign, at most 1. It rests on more assumptions than `p`; where the two part, trust `p`.
        documents: how many documents were compared.
        resamples: how often each of the two was drawn.
        paired: whether both answered the same documents.
    """

    scheme: str
    label: str | None
    a: float
    b: float
    difference: float
    interval: tuple[float, float]
    confidence: float
    p: float
    bootstrap_p: float
    documents: int
    resamples: int
    paired: bool = True

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self) | {"interval": list(self.interval)}

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{self.scheme} F1 of {self.label or 'micro'}: {self.a:.3f} against {self.b:.3f}, "
            f"difference {self.difference:+.3f} [{low:+.3f}, {high:+.3f}], p = {self.p:.2g}"
        )


def compare(
    gold: Iterable[Document],
    a: Iterable[Document] | Predictor,
    b: Iterable[Document] | Predictor,
    /,
    *,
    labels: Iterable[str] | None = None,
    scheme: str = "strict",
    label: str | None = None,
    resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Comparison:
    """The difference of two systems' F1 on the same documents, with its interval and how probable it is by chance.

    Args:
        gold: the documents with the right spans.
        a: the same documents with a system's spans, or a system with a ``predict`` method.
        b: likewise, of the other system.
        labels: score only these; None scores all.
        scheme: what to count: ``"strict"``, ``"lenient"``, ``"token"``, ``"type"``, ``"boundary"``, ``"partial"`` or
            ``"unique"``.
        label: compare the F1 of this label; None compares the micro average.
        resamples: how many bootstrap resamples, and how many shuffles, to draw.
        seed: of the draws.
        confidence: of the interval, between 0 and 1.

    Raises:
        ConfigError: if gold and predicted are not the same documents, or an option cannot work.

    >>> from clinidistill.types import Span
    >>> gold = [Document(f"n{n}", "On metformin.", [Span(3, 12, "medication")]) for n in range(20)]
    >>> print(compare(gold, gold, [note.without_spans() for note in gold[:12]] + gold[12:]))
    strict F1 of micro: 1.000 against 0.571, difference +0.429 [+0.250, +0.667], p = 0.0009
    """
    if isinstance(labels, str):
        raise ConfigError(f"labels must be several names, not one string; write labels=[{labels!r}]")
    if scheme not in SCHEMES:
        raise ConfigError(f"there is no scheme {scheme!r}; there are {', '.join(SCHEMES)}")
    if resamples < 1 or not 0 < confidence < 1:
        raise ConfigError("resamples must be 1 or more, and confidence between 0 and 1")
    notes = list(gold)
    if not notes:
        raise ConfigError("there is nothing to compare: no documents")
    wanted = None if labels is None else frozenset(labels)
    one, other = (per_document(notes, answers(system, notes), wanted, scheme, label) for system in (a, b))
    if label is not None and not (one.any() or other.any()):
        raise ConfigError(f"label {label!r} occurs on no side of the documents, or is not among those scored")

    observed = float(_difference(one.sum(axis=0), other.sum(axis=0)))
    resampled = np.concatenate(
        [_difference(weights @ one, weights @ other) for weights in draw_weights(len(notes), resamples, seed)]
    )
    shuffled = np.concatenate([_difference(*totals) for totals in _shuffled(one, other, resamples, seed)])
    extreme = int((np.abs(shuffled) >= abs(observed) - _ROUNDING).sum())
    tail = min(int((resampled <= _ROUNDING).sum()), int((resampled >= -_ROUNDING).sum()))
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Comparison(
        scheme=scheme,
        label=label,
        a=float(f1_of(*one.sum(axis=0))),
        b=float(f1_of(*other.sum(axis=0))),
        difference=observed,
        interval=(float(low), float(high)),
        confidence=confidence,
        p=(extreme + 1) / (resamples + 1),
        bootstrap_p=min(1.0, 2 * (tail + 1) / (resamples + 1)),
        documents=len(notes),
        resamples=resamples,
    )


def per_document(
    gold: Sequence[Document],
    predicted: Iterable[Document],
    labels: frozenset[str] | None,
    scheme: str,
    label: str | None,
) -> Floats:
    """True positives times two, and mentions on both sides, of each document: what :func:`f1_of` takes."""
    wanted, found = zip(*pair(gold, predicted), strict=True)
    counts = count(wanted, found, labels)
    rows = np.full(counts.label.shape, label is None)
    if label in counts.labels:
        rows = counts.label == counts.labels.index(label)
    tp, fp, fn = counts.outcomes[rows, SCHEMES.index(scheme)].T
    document = counts.document[rows]
    columns = [np.bincount(document, each, len(gold)) for each in (2 * tp, 2 * tp + fp + fn)]
    return np.stack(columns, axis=-1)


def _difference(one: Floats, other: Floats) -> Floats:
    return f1_of(one[..., 0], one[..., 1]) - f1_of(other[..., 0], other[..., 1])


def _shuffled(one: Floats, other: Floats, times: int, seed: int) -> Iterator[tuple[Floats, Floats]]:
    """Both systems' totals after swapping their answers on each document with a chance of a half, in blocks."""
    gain = (other - one)[(one != other).any(axis=1)]  # of the first by a swap; where they are equal nothing changes
    random = np.random.default_rng([seed, 1])  # another stream than the bootstrap's
    size = max(1, BLOCK // max(len(gain), 1))
    for done in range(0, times, size):
        rows = min(size, times - done)
        swapped = random.integers(2, size=(rows, len(gain)), dtype=np.int8).astype(np.float64) @ gain
        yield one.sum(axis=0) + swapped, other.sum(axis=0) - swapped

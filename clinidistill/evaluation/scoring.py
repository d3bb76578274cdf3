"""Scores of predicted documents, or of a system that predicts them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, overload, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from clinidistill.errors import ConfigError
from clinidistill.evaluation.bootstrap import Interval, f1_intervals
from clinidistill.evaluation.counting import SCHEMES, Counts, count
from clinidistill.evaluation.pairing import pair
from clinidistill.types import Document, Metrics, SchemeScores, Scores

__all__ = ["Predictor", "evaluate"]


@runtime_checkable
class Predictor(Protocol):
    """Anything that marks spans in documents: a teacher, a student, or your own."""

    def predict(self, documents: Iterable[Document], /) -> Iterable[Document]:
        """The documents, each once, with its spans in place of theirs."""


@overload
def evaluate(
    gold: Iterable[Document],
    predicted: Iterable[Document],
    /,
    *,
    labels: Iterable[str] | None = None,
    bootstrap: int = 0,
    seed: int = 0,
    confidence: float = 0.95,
) -> Scores: ...
@overload
def evaluate(
    system: Predictor,
    dataset: Iterable[Document],
    /,
    *,
    labels: Iterable[str] | None = None,
    bootstrap: int = 0,
    seed: int = 0,
    confidence: float = 0.95,
) -> Scores: ...
def evaluate(
    gold: Iterable[Document] | Predictor,
    predicted: Iterable[Document],
    /,
    *,
    labels: Iterable[str] | None = None,
    bootstrap: int = 0,
    seed: int = 0,
    confidence: float = 0.95,
) -> Scores:
    """Strict, lenient and token-level scores: ``evaluate(gold, predicted)`` or ``evaluate(system, dataset)``.

    Documents are paired by id, in any order; a system gets the dataset's documents without their spans. A label
    outside a gold document's ``covers`` is ignored there, on both sides. See ``docs/evaluation.md`` for what each
    scheme counts.

    Args:
        gold: the documents with the right spans, or a system with a ``predict`` method.
        predicted: the same documents with the spans to be scored, or the dataset that the system is scored on.
        labels: score only these; None scores all. A label that occurs on neither side is left out.
        bootstrap: how many times to resample the documents for confidence intervals of F1; 0 gives none.
        seed: of the resampling.
        confidence: of the intervals, between 0 and 1.

    Raises:
        ConfigError: if gold and predicted are not the same documents, or an option cannot work.

    >>> from clinidistill.types import Span
    >>> gold = Document("n1", "Metformin for diabetes.", [Span(0, 9, "medication"), Span(14, 22, "disease")])
    >>> scores = evaluate([gold], [gold.with_spans([Span(0, 9, "medication")])])
    >>> scores.strict.micro.precision, scores.strict.micro.recall
    (1.0, 0.5)
    """
    if isinstance(labels, str):
        raise ConfigError(f"labels must be several names, not one string; write labels=[{labels!r}]")
    if bootstrap < 0 or not 0 < confidence < 1:
        raise ConfigError("bootstrap must be 0 or more resamples, and confidence between 0 and 1")
    if isinstance(predicted, Predictor):
        raise ConfigError("the system comes first: evaluate(system, dataset)")
    if isinstance(gold, Predictor):
        dataset = list(predicted)
        pairs = pair(dataset, gold.predict(document.without_spans() for document in dataset))
    else:
        pairs = pair(gold, predicted)

    wanted = None if labels is None else frozenset(labels)
    found: defaultdict[str, dict[int, Counts]] = defaultdict(dict)
    for number, (one, other) in enumerate(pairs):
        for label, counts in count(one, other, wanted).items():
            found[label][number] = counts
    table = {label: found[label] for label in sorted(found)}
    intervals: list[list[Interval]] = [[None] * len(SCHEMES)] * (len(table) + 2)
    if bootstrap:
        intervals = f1_intervals(table, len(pairs), resamples=bootstrap, seed=seed, confidence=confidence)
    totals = {label: np.sum(list(rows.values()), axis=0) for label, rows in table.items()}
    strict, lenient, token = (
        _scheme({label: total[n] for label, total in totals.items()}, [row[n] for row in intervals])
        for n in range(len(SCHEMES))
    )
    return Scores(strict, lenient, token, len(pairs))


def _scheme(totals: dict[str, NDArray[Any]], intervals: Sequence[Interval]) -> SchemeScores:
    """Scores of one scheme from each label's ``(tp, fp, fn)``; intervals are the labels', micro's and macro's."""
    *of_labels, of_micro, of_macro = intervals
    per_label = {
        label: Metrics.from_counts(int(tp), int(fp), int(fn), interval)
        for (label, (tp, fp, fn)), interval in zip(totals.items(), of_labels, strict=True)
    }
    each = per_label.values()
    micro = Metrics.from_counts(sum(m.tp for m in each), sum(m.fp for m in each), sum(m.fn for m in each), of_micro)
    precision, recall, f1 = (_mean([getattr(m, name) for m in each]) for name in ("precision", "recall", "f1"))
    macro = Metrics(precision, recall, f1, f1_interval=of_macro)
    return SchemeScores(micro, macro, per_label)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0

"""Scores of predicted documents, or of a system that predicts them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, overload, runtime_checkable

from clinidistill.errors import ConfigError
from clinidistill.evaluation.bootstrap import Interval, f1_intervals
from clinidistill.evaluation.counting import Counts, Floats, count
from clinidistill.evaluation.pairing import pair
from clinidistill.types import SCHEMES, Document, Metrics, SchemeScores, Scores

__all__ = ["Predictor", "answers", "check_resampling", "evaluate", "scores_of"]


@runtime_checkable
class Predictor(Protocol):
    """Anything that marks spans in documents: a teacher, a student, or your own."""

    def predict(self, documents: Iterable[Document], /) -> Iterable[Document]:
        """The documents, each once, with its spans in place of theirs."""


def answers(system: Iterable[Document] | Predictor, dataset: Iterable[Document]) -> Iterable[Document]:
    """What a system predicts on the documents of a dataset without seeing their spans; predictions as they are."""
    if isinstance(system, Predictor):
        return system.predict(document.without_spans() for document in dataset)
    return system


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
    """Scores in every scheme, strict to unique strings: ``evaluate(gold, predicted)`` or ``evaluate(system, dataset)``.

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
    check_resampling(bootstrap, confidence)
    if isinstance(predicted, Predictor):
        raise ConfigError("the system comes first: evaluate(system, dataset)")
    if isinstance(gold, Predictor):
        dataset = list(predicted)
        pairs = pair(dataset, answers(gold, dataset))
    else:
        pairs = pair(gold, predicted)

    wanted, found = zip(*pairs, strict=True) if pairs else ((), ())
    counts = count(wanted, found, None if labels is None else frozenset(labels))
    return scores_of(counts, bootstrap=bootstrap, seed=seed, confidence=confidence)


def check_resampling(bootstrap: int, confidence: float) -> None:
    """Refuse options that cannot work, before anything is predicted.

    Raises:
        ConfigError: if one cannot.
    """
    if bootstrap < 0 or not 0 < confidence < 1:
        raise ConfigError("bootstrap must be 0 or more resamples, and confidence between 0 and 1")


def scores_of(counts: Counts, *, bootstrap: int = 0, seed: int = 0, confidence: float = 0.95) -> Scores:
    """Scores of what was counted; options as :func:`evaluate`."""
    intervals: list[list[Interval]] = [[None] * len(SCHEMES)] * (len(counts.labels) + 2)
    if bootstrap:
        intervals = f1_intervals(counts, resamples=bootstrap, seed=seed, confidence=confidence)
    total = counts.total()
    schemes = {
        scheme: _scheme(counts.labels, total[:, n], [row[n] for row in intervals], halves=scheme == "partial")
        for n, scheme in enumerate(SCHEMES)
    }
    return Scores(**schemes, documents=counts.documents)


def _scheme(labels: Sequence[str], total: Floats, intervals: Sequence[Interval], *, halves: bool) -> SchemeScores:
    """Scores of one scheme.

    Args:
        labels: the labels that occur.
        total: ``(tp, fp, fn)`` of each label, and those across labels last.
        intervals: the labels', micro's and macro's.
        halves: whether it counts in halves.
    """

    def metrics(outcome: Floats, interval: Interval) -> Metrics:
        tp, fp, fn = outcome.tolist() if halves else map(int, outcome)
        return Metrics.from_counts(tp, fp, fn, interval)

    *of_labels, of_micro, of_macro = intervals
    per_label = {label: metrics(total[n], of_labels[n]) for n, label in enumerate(labels)}
    precision, recall, f1 = (
        _mean([getattr(each, name) for each in per_label.values()]) for name in ("precision", "recall", "f1")
    )
    return SchemeScores(
        metrics(total.sum(axis=0), of_micro), Metrics(precision, recall, f1, f1_interval=of_macro), per_label
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0

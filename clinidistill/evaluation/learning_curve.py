"""How scores grow with the number of training documents."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

from clinidistill.datasets import MemoryDataset
from clinidistill.errors import ConfigError
from clinidistill.evaluation.scoring import Predictor, evaluate
from clinidistill.evaluation.text_table import text_table
from clinidistill.progress import track
from clinidistill.types import Document, Scores

__all__ = ["LearningCurve", "LearningPoint", "learning_curve"]


@dataclass(frozen=True, slots=True)
class LearningPoint:
    """What was learned from some number of documents.

    Args:
        documents: how many documents were trained on.
        mentions: how many mentions they held, in each repeat.
        scores: scores on the test documents, of each repeat.
    """

    documents: int
    mentions: tuple[int, ...]
    scores: tuple[Scores, ...]

    @property
    def f1(self) -> float:
        """Strict micro F1, the mean of the repeats."""
        return mean(self._f1("strict"))

    @property
    def lenient_f1(self) -> float:
        """Lenient micro F1, the mean of the repeats."""
        return mean(self._f1("lenient"))

    @property
    def spread(self) -> float:
        """Standard deviation of strict micro F1 over the repeats; 0 for one."""
        return pstdev(self._f1("strict"))

    def _f1(self, scheme: str) -> list[float]:
        return [getattr(scores, scheme).micro.f1 for scores in self.scores]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "documents": self.documents,
            "mentions": list(self.mentions),
            "f1": self.f1,
            "lenient_f1": self.lenient_f1,
            "spread": self.spread,
            "scores": [scores.to_dict() for scores in self.scores],
        }


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Points by number of documents; printed, a table.

    Args:
        points: one a size, smallest first.
    """

    points: tuple[LearningPoint, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form: ``{"points": [{"documents": …, "f1": …, "scores": [...]}]}``."""
        return {"points": [point.to_dict() for point in self.points]}

    def plot(self, path: str | Path | None = None) -> Any:
        """A matplotlib figure of strict and lenient F1 by number of documents (extra ``plots``).

        Strict F1 of each repeat is a dot; a bar is its bootstrap interval, where one was asked for.

        Args:
            path: where to save it, e.g. ``curve.svg``; None saves nothing.

        Raises:
            ConfigError: if matplotlib is not installed.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise ConfigError("plots need matplotlib: pip install 'clinidistill[plots]'") from None
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.add_subplot()
        sizes = [point.documents for point in self.points]
        line, *_ = axes.plot(sizes, [point.f1 for point in self.points], label="strict")
        axes.plot(sizes, [point.lenient_f1 for point in self.points], linestyle="--", label="lenient")
        for point in self.points:
            for metrics in (scores.strict.micro for scores in point.scores):
                axes.plot(point.documents, metrics.f1, marker="o", color=line.get_color())
                if metrics.f1_interval is not None:
                    axes.vlines(point.documents, *metrics.f1_interval, color=line.get_color(), alpha=0.5)
        axes.set(xlabel="training documents", ylabel="micro F1", ylim=(0, 1))
        axes.legend()
        if path is not None:
            figure.savefig(path)
        return figure

    def __str__(self) -> str:
        head = ["documents", "mentions", "strict F1", "± (sd)", "lenient F1", "repeats"]
        rows = [
            [p.documents, round(mean(p.mentions)), p.f1, p.spread, p.lenient_f1, len(p.scores)] for p in self.points
        ]
        return text_table(head, rows)


def learning_curve(
    train: Callable[[MemoryDataset], Predictor],
    documents: Iterable[Document],
    test: Iterable[Document],
    *,
    sizes: Sequence[float] = (0.1, 0.25, 0.5, 1.0),
    repeats: int = 1,
    seed: int = 0,
    labels: Iterable[str] | None = None,
    bootstrap: int = 0,
    progress: bool | None = None,
) -> LearningCurve:
    """Train on more and more documents, and score each time on the same test documents.

    The documents of a smaller size are among those of a larger one. Each repeat draws others; what they differ in at
    the largest size is the training's own chance, if it has any.

    Args:
        train: makes a system, anything with a ``predict`` method, of training documents.
        documents: labelled documents to draw from.
        test: documents to score on, none of them among `documents`.
        sizes: shares of the documents (floats above 0, up to 1.0) or numbers of them (ints).
        repeats: how many times to train at each size.
        seed: of the draws.
        labels: score only these; None scores all.
        bootstrap: resamples for intervals of F1, as in :func:`~clinidistill.evaluate`.
        progress: whether to show progress; None shows it on a terminal.

    Raises:
        ConfigError: if the options cannot work, or test documents are among the training documents.
        Exception: what `train` or the system raises, with a note that names the size.
    """
    pool, held_out = list(documents), list(test)
    counts = _counts(sizes, len(pool))
    if repeats < 1:
        raise ConfigError("repeats must be at least 1")
    if isinstance(labels, str):
        raise ConfigError(f"labels must be several names, not one string; write labels=[{labels!r}]")
    texts = {document.text for document in pool}
    if leaked := sum(document.text in texts for document in held_out):
        raise ConfigError(f"{leaked} of the test documents are among the training documents too; leave them out of one")
    wanted = None if labels is None else frozenset(labels)
    orders = [random.Random(f"{seed}/{repeat}").sample(range(len(pool)), len(pool)) for repeat in range(repeats)]
    points = []
    with track("learning curve", total=len(counts) * repeats, show=progress) as bar:
        for count in counts:
            mentions, scores = [], []
            for repeat, order in enumerate(orders, start=1):
                chosen = [pool[position] for position in sorted(order[:count])]
                try:
                    system = train(MemoryDataset(chosen))
                    if not isinstance(system, Predictor):
                        raise ConfigError(f"train must return a system with predict, not {type(system).__name__}")
                    scores.append(evaluate(system, held_out, labels=wanted, bootstrap=bootstrap, seed=seed))
                except Exception as error:
                    error.add_note(f"at {count} training documents, repeat {repeat} of {repeats}")
                    raise
                mentions.append(sum(_counted(document, wanted) for document in chosen))
                bar.advance()
                bar.note(documents=count, f1=scores[-1].strict.micro.f1)
            points.append(LearningPoint(count, tuple(mentions), tuple(scores)))
    return LearningCurve(tuple(points))


def _counted(document: Document, labels: frozenset[str] | None) -> int:
    return len({span.key for span in document.spans if labels is None or span.label in labels})


def _counts(sizes: Iterable[float], total: int) -> list[int]:
    """Sizes as numbers of documents, smallest first, each once; a share has at least one document."""
    counts: set[int] = set()
    for size in sizes:
        if isinstance(size, Integral) and not isinstance(size, bool) and 0 < size <= total:
            counts.add(int(size))
        elif isinstance(size, Real) and not isinstance(size, Integral) and 0 < size <= 1 and total:
            counts.add(max(1, round(float(size) * total)))
        else:
            raise ConfigError(
                f"cannot train on {size!r} of {total} documents; "
                "sizes are numbers of documents (ints) or shares of them (floats above 0, up to 1.0)"
            )
    if not counts:
        raise ConfigError("sizes must name at least one size")
    return sorted(counts)

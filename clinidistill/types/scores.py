"""What an evaluation found: counts, precision, recall and F1, counted in several ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clinidistill.types.html import html_table

__all__ = ["SCHEMES", "Metrics", "SchemeScores", "Scores"]

SCHEMES = ("strict", "lenient", "token", "type", "boundary", "partial", "unique")
"""The ways of counting."""
_SHOWN = SCHEMES[:3]


@dataclass(frozen=True, slots=True)
class Metrics:
    """Precision, recall and F1 with the counts behind them.

    Args:
        precision: ``tp / (tp + fp)``, 0 where nothing was predicted.
        recall: ``tp / (tp + fn)``, 0 where there was nothing to find.
        f1: their harmonic mean, 0 where both are 0.
        tp, fp, fn: counts, in halves for ``partial``; 0 for a macro average, which has none of its own.
        f1_interval: bootstrap confidence interval of F1 over documents, if one was asked for.
    """

    precision: float
    recall: float
    f1: float
    tp: float = 0
    fp: float = 0
    fn: float = 0
    f1_interval: tuple[float, float] | None = None

    @classmethod
    def from_counts(cls, tp: float, fp: float, fn: float, f1_interval: tuple[float, float] | None = None) -> Metrics:
        """Metrics of true positives, false positives and false negatives.

        >>> Metrics.from_counts(3, 1, 2).f1
        0.6666666666666666
        """
        precision = tp / (tp + fp) if tp + fp else 0.0
        recall = tp / (tp + fn) if tp + fn else 0.0
        f1 = 2 * tp / (2 * tp + fp + fn) if tp else 0.0
        return cls(precision, recall, f1, tp, fp, fn, f1_interval)

    @property
    def support(self) -> int:
        """How many there were to find."""
        return round(self.tp + self.fn)  # halves of one mention are on both sides

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        out: dict[str, Any] = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        out.update(tp=self.tp, fp=self.fp, fn=self.fn, support=self.support)
        if self.f1_interval is not None:
            out["f1_interval"] = list(self.f1_interval)
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Metrics:
        """Inverse of :meth:`to_dict`."""
        interval = data.get("f1_interval")
        numbers = {name: data[name] for name in ("precision", "recall", "f1", "tp", "fp", "fn")}
        return cls(**numbers, f1_interval=None if interval is None else (interval[0], interval[1]))


@dataclass(frozen=True, slots=True)
class SchemeScores:
    """One way of counting: micro, macro and per label.

    ``micro`` sums the counts over labels, and in ``boundary`` and ``partial`` takes pairs of mentions with different
    labels for right as well; ``macro`` is the plain mean of the labels' metrics.
    """

    micro: Metrics
    macro: Metrics
    per_label: Mapping[str, Metrics] = field(default_factory=dict, hash=False)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form: ``{"micro": {...}, "macro": {...}, "per_label": {label: {...}}}``."""
        return {
            "micro": self.micro.to_dict(),
            "macro": self.macro.to_dict(),
            "per_label": {label: metrics.to_dict() for label, metrics in self.per_label.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SchemeScores:
        """Inverse of :meth:`to_dict`."""
        per_label = {label: Metrics.from_dict(metrics) for label, metrics in data["per_label"].items()}
        return cls(Metrics.from_dict(data["micro"]), Metrics.from_dict(data["macro"]), per_label)


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of one system on one set of documents, counted in several ways.

    Printed, it is a table of the first three, side by side because the literature means now one, now another by F1; the
    interval of F1 is below a row where there is one. :meth:`to_dict`, for programs, holds all.

    Args:
        strict: a mention counts when offsets and label are equal.
        lenient: a mention counts when it overlaps one of the same label, each used once.
        token: every word token counts for itself, per label.
        documents: how many documents were scored.
        type: mentions are aligned across labels, best pairs first; a pair counts when its labels are equal. This and
            the next two are "type", "exact" and "partial" of SemEval-2013 task 9.1 (https://aclanthology.org/S13-2056).
            None, like the next three, where scores were written down without it.
        boundary: an aligned pair counts when its offsets are equal, whatever its labels.
        partial: an aligned pair counts one when its offsets are equal, else a half, whatever its labels.
        unique: the set of strings that a document's mentions of a label consist of, case and spacing aside.
    """

    strict: SchemeScores
    lenient: SchemeScores
    token: SchemeScores
    documents: int = 0
    type: SchemeScores | None = None
    boundary: SchemeScores | None = None
    partial: SchemeScores | None = None
    unique: SchemeScores | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form: ``{"strict": {"micro": ..., "macro": ..., "per_label": ...}, "lenient": ..., ...}``."""
        schemes = {name: getattr(self, name) for name in SCHEMES}
        out = {name: scheme.to_dict() for name, scheme in schemes.items() if scheme is not None}
        return out | {"documents": self.documents}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Scores:
        """Inverse of :meth:`to_dict`."""
        schemes = {name: SchemeScores.from_dict(data[name]) for name in SCHEMES if name in data or name in _SHOWN}
        return cls(**schemes, documents=data["documents"])

    def _repr_html_(self) -> str:
        head = ["", *(f"{name} {what}" for name in _SHOWN for what in ("P", "R", "F1")), "support"]
        named = [*((label, label) for label in self.strict.per_label), ("micro", None), ("macro", None)]
        rows = []
        for name, label in named:
            found = [getattr(self, scheme) for scheme in _SHOWN]
            each = [getattr(scheme, name) if label is None else scheme.per_label[label] for scheme in found]
            figures = [figure for m in each for figure in (m.precision, m.recall, m.f1)]
            rows.append([name, *figures, "" if name == "macro" and label is None else each[0].support])
        return html_table(head, rows)

    def __str__(self) -> str:
        schemes = [getattr(self, name) for name in _SHOWN]
        labels = list(self.strict.per_label)
        rows = [(label, [scheme.per_label[label] for scheme in schemes]) for label in labels]
        rows += [(name, [getattr(scheme, name) for scheme in schemes]) for name in ("micro", "macro")]
        width = max(len(name) for name, _ in rows)
        lines = [
            f"{'':{width}}" + "".join(f"  {name:^19}" for name in _SHOWN),
            f"{'':{width}}" + "  {:>5}  {:>5}  {:>5}".format("P", "R", "F1") * 3 + "  support",
        ]
        for name, metrics in rows:
            cells = "".join(f"  {m.precision:.3f}  {m.recall:.3f}  {m.f1:.3f}" for m in metrics)
            support = "" if name == "macro" and name not in labels else str(metrics[0].support)
            lines.append(f"{name:{width}}{cells}  {support:>7}")
            if any(m.f1_interval for m in metrics):
                intervals = ("[{:.3f}, {:.3f}]".format(*m.f1_interval) if m.f1_interval else "" for m in metrics)
                lines.append(" " * width + "".join(f"  {interval:>19}" for interval in intervals))
        return "\n".join(line.rstrip() for line in lines)

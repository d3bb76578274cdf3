"""The systems of a run side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from clinidistill.types import Metrics, SchemeScores, Scores

__all__ = ["System", "markdown", "table"]


@dataclass(frozen=True, slots=True)
class System:
    """One system of a run and how it did on the test documents.

    Args:
        name: how it is called.
        kind: ``"teacher"``, ``"aggregate"``, ``"distilled"`` or ``"human-trained"``.
        scores: strict, lenient and token-level.
        seconds_per_note: mean wall time on one note; None where it was not measured.
    """

    name: str
    kind: str
    scores: Scores
    seconds_per_note: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "name": self.name,
            "kind": self.kind,
            "seconds_per_note": self.seconds_per_note,
            "scores": self.scores.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> System:
        """Inverse of :meth:`to_dict`."""
        return cls(data["name"], data["kind"], Scores.from_dict(data["scores"]), data["seconds_per_note"])


def table(systems: Iterable[System]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: strict and lenient F1 by label and micro, and milliseconds a note.

    A label that a system does not know shows as ``–``.
    """
    rows = list(systems)
    labels = sorted({label for system in rows for label in system.scores.strict.per_label})
    header = ["system", *(f"{label} {way}" for label in [*labels, "micro"] for way in ("strict", "lenient")), "ms/note"]
    return header, [_row(system, labels) for system in rows]


def markdown(systems: Iterable[System]) -> str:
    """:func:`table` in Markdown."""
    header, rows = table(systems)
    rule = ["---", *("---:" for _ in header[1:])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows))


def _row(system: System, labels: list[str]) -> list[str]:
    ways = (system.scores.strict, system.scores.lenient)
    cells = [_f1(way.per_label.get(label)) for label in labels for way in ways]
    micro = [_micro(way, labels) for way in ways]
    speed = "–" if system.seconds_per_note is None else f"{1000 * system.seconds_per_note:.2f}"
    return [system.name, *cells, *micro, speed]


def _f1(metrics: Metrics | None) -> str:
    return "–" if metrics is None else f"{metrics.f1:.3f}".removeprefix("0")


def _micro(scheme: SchemeScores, labels: list[str]) -> str:
    """Micro F1, where the system knows all labels; else the average would compare unlike things."""
    return _f1(scheme.micro) if set(scheme.per_label) == set(labels) else "–"

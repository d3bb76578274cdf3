"""The systems of a run side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from clinidistill.types import Metrics, Scores

__all__ = ["System", "markdown", "table"]


@dataclass(frozen=True, slots=True)
class System:
    """One system of a run and how it did on the test documents.

    Args:
        name: how it is called.
        kind: ``"teacher"``, ``"aggregate"``, ``"distilled"``, ``"distilled, gold last"`` or ``"human-trained"``.
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
    """Header and rows: strict / lenient F1 by label and micro, and milliseconds a note.

    A label that a system does not know shows as ``–``, and so does the micro average of a system that does not know all
    labels, since it would compare unlike things.
    """
    rows = list(systems)
    labels = sorted({label for system in rows for label in system.scores.strict.per_label})
    return ["system", *labels, "micro", "ms/note"], [_row(system, labels) for system in rows]


def markdown(systems: Iterable[System]) -> str:
    """:func:`table` in Markdown."""
    header, rows = table(systems)
    rule = ["---", *("---:" for _ in header[1:])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows))


def _row(system: System, labels: list[str]) -> list[str]:
    strict, lenient = system.scores.strict, system.scores.lenient
    cells = [_f1(strict.per_label.get(label), lenient.per_label.get(label)) for label in labels]
    micro = _f1(strict.micro, lenient.micro) if set(strict.per_label) == set(labels) else _f1(None, None)
    speed = "–" if system.seconds_per_note is None else f"{1000 * system.seconds_per_note:.2f}"
    return [system.name, *cells, micro, speed]


def _f1(strict: Metrics | None, lenient: Metrics | None) -> str:
    if strict is None or lenient is None:
        return "–"
    return " / ".join(f"{metrics.f1:.3f}".removeprefix("0") for metrics in (strict, lenient))

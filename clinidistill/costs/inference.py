"""The same notes through each system, timed alike."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from clinidistill.costs.machine import Machine, this_machine
from clinidistill.errors import ConfigError
from clinidistill.evaluation.scoring import Predictor
from clinidistill.evaluation.text_table import text_table
from clinidistill.progress import track
from clinidistill.types import Document

__all__ = ["InferenceBenchmark", "SystemSpeed", "benchmark_inference"]


@dataclass(frozen=True, slots=True)
class SystemSpeed:
    """How fast one system was.

    Args:
        name: the system's.
        seconds: of all notes together, one figure a repeat.
        latencies: seconds of each of some notes, sent alone.
        notes: how many notes `seconds` is of.
        characters: how many characters they have.
        spans: how many spans it marked in them.
    """

    name: str
    seconds: tuple[float, ...]
    latencies: tuple[float, ...]
    notes: int
    characters: int
    spans: int

    @property
    def seconds_per_note(self) -> float:
        """The median of the repeats."""
        return median(self.seconds) / self.notes

    @property
    def notes_per_second(self) -> float:
        """Its inverse."""
        return self.notes / median(self.seconds)

    @property
    def p50_seconds(self) -> float | None:
        """Median time of a note sent alone; None where none was."""
        return float(np.quantile(self.latencies, 0.5)) if self.latencies else None

    @property
    def p95_seconds(self) -> float | None:
        """95th percentile of the time of a note sent alone; None where none was."""
        return float(np.quantile(self.latencies, 0.95)) if self.latencies else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "name": self.name,
            "notes": self.notes,
            "characters": self.characters,
            "spans": self.spans,
            "seconds": list(self.seconds),
            "seconds_per_note": self.seconds_per_note,
            "notes_per_second": self.notes_per_second,
            "p50_seconds": self.p50_seconds,
            "p95_seconds": self.p95_seconds,
        }


@dataclass(frozen=True, slots=True)
class InferenceBenchmark:
    """Systems side by side on one machine; printed, a table. Iterating yields the systems.

    Args:
        machine: where it ran.
        systems: in the order given.
    """

    machine: Machine
    systems: tuple[SystemSpeed, ...]

    def __getitem__(self, name: str) -> SystemSpeed:
        for system in self.systems:
            if system.name == name:
                return system
        raise KeyError(name)

    def __iter__(self) -> Iterator[SystemSpeed]:
        return iter(self.systems)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"machine": self.machine.to_dict(), "systems": [system.to_dict() for system in self.systems]}

    def __str__(self) -> str:
        fastest = min(system.seconds_per_note for system in self.systems)
        rows = [
            [
                system.name,
                f"{system.notes_per_second:,.1f}",
                f"{1000 * system.seconds_per_note:,.2f}",
                *(
                    f"{1000 * each:,.2f}" if each is not None else "–"
                    for each in (system.p50_seconds, system.p95_seconds)
                ),
                f"{system.seconds_per_note / fastest:,.1f}",
                system.spans,
            ]
            for system in self.systems
        ]
        head = ["system", "notes/s", "ms/note", "p50 ms alone", "p95 ms alone", "times the fastest's", "spans"]
        first = self.systems[0]
        return (
            f"{text_table(head, rows)}\n{first.notes} notes of {first.characters / first.notes:,.0f} characters, "
            f"median of {len(first.seconds)}; {self.machine}"
        )


def benchmark_inference(
    systems: Predictor | Iterable[Predictor] | Mapping[str, Predictor],
    notes: Iterable[Document | str],
    *,
    repeats: int = 3,
    warmup: int = 1,
    alone: int = 20,
    progress: bool | None = None,
) -> InferenceBenchmark:
    """Send the same notes through each system, in turn, so that a busy machine is busy for all.

    Teachers that ask a server are systems, too: they are asked anew, and paid anew, each time.

    Args:
        systems: students, teachers, or anything with a ``predict`` method; one, several, or several by name.
        notes: what they read; without the spans they hold.
        repeats: how many times each reads all of them.
        warmup: how many times each reads all of them before that.
        alone: how many of the notes each reads one at a time as well, for latency.
        progress: whether to show progress; None shows it on a terminal.

    Raises:
        ConfigError: if there are no systems or notes, or a number cannot work.

    >>> class Nothing:
    ...     def predict(self, documents):
    ...         return (document.with_spans([]) for document in documents)
    >>> benchmark_inference({"nothing": Nothing()}, ["On metformin."]).systems[0].spans
    0
    """
    named = _named(systems)
    bare = [
        (note if isinstance(note, Document) else Document(str(n), note)).without_spans() for n, note in enumerate(notes)
    ]
    if not named or not bare:
        raise ConfigError("there is nothing to time: give at least one system and one note")
    if repeats < 1 or warmup < 0 or alone < 0:
        raise ConfigError(f"{repeats=}, {warmup=}, {alone=}: repeats must be 1 or more, the others 0 or more")
    seconds: dict[str, list[float]] = {name: [] for name in named}
    latencies: dict[str, list[float]] = {name: [] for name in named}
    spans = dict.fromkeys(named, 0)
    with track("timing", total=(warmup + repeats) * len(named), show=progress) as bar:
        for turn in range(warmup + repeats):
            for name, system in named.items():
                taken, found = _timed(system, bare)
                bar.advance()
                if turn >= warmup:
                    seconds[name].append(taken)
                    spans[name] = found
    for note in bare[:alone]:
        for name, system in named.items():
            latencies[name].append(_timed(system, [note])[0])
    characters = sum(len(note.text) for note in bare)
    measured = [
        SystemSpeed(name, tuple(seconds[name]), tuple(latencies[name]), len(bare), characters, spans[name])
        for name in named
    ]
    return InferenceBenchmark(this_machine(), tuple(measured))


def _named(systems: Predictor | Iterable[Predictor] | Mapping[str, Predictor]) -> dict[str, Predictor]:
    if isinstance(systems, Mapping):
        return dict(systems)
    several = [systems] if isinstance(systems, Predictor) else list(systems)
    names = [str(getattr(system, "name", type(system).__name__)) for system in several]
    if len(set(names)) < len(names):
        raise ConfigError(f"two systems have one name ({', '.join(sorted(names))}); name them by a mapping")
    return dict(zip(names, several, strict=True))


def _timed(system: Predictor, notes: list[Document]) -> tuple[float, int]:
    """Seconds of reading the notes, and how many spans were marked."""
    began = time.perf_counter()
    found = sum(len(document.spans) for document in system.predict(iter(notes)))
    return time.perf_counter() - began, found

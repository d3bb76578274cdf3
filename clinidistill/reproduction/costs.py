"""What the systems of a task cost, in dollars and seconds for a thousand notes, and how many times the student's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from clinidistill.costs import benchmark_inference, economics
from clinidistill.labels import Labels
from clinidistill.students import Student
from clinidistill.teachers import Teacher
from clinidistill.teachers.recorded import RecordedTeacher
from clinidistill.types import Document

__all__ = ["costs"]

_TIMED = 50  # notes


def costs(
    labels: Labels,
    student: Student,
    *,
    notes: Iterable[Document],
    teachers: Mapping[str, Teacher],
    winners: Sequence[str],
    training_seconds: float,
    usd_per_note: Mapping[str, float],
) -> dict[str, Any]:
    """Teachers, the winning combination and the student, JSON-ready; what nobody knows is None.

    What a recorded teacher's answers took is not in the record: its time is unknown, and so is its price unless told.

    Args:
        labels: what the teachers said of the training documents, with what it took.
        student: the distilled student.
        notes: those that the teachers were timed on; of them, the student is on the first fifty.
        teachers: by name.
        winners: the teachers whose combination won.
        training_seconds: how long the student was trained.
        usd_per_note: dollars a note, as told.
    """
    speed = benchmark_inference({"distilled": student}, islice(notes, _TIMED), progress=False)
    figures = economics(
        labels, _Named(student), speed=speed, usd_per_note=usd_per_note, training_seconds=training_seconds
    ).to_dict()
    systems = {row["name"]: row for row in figures["systems"]}
    for name, teacher in teachers.items():
        if isinstance(teacher, RecordedTeacher):
            unknown = dict.fromkeys(("seconds_per_note", "p50_seconds", "p95_seconds", "times_faster"))
            if name not in usd_per_note:
                unknown |= dict.fromkeys(("usd_per_1k_notes", "usd_per_1m_notes", "times_cheaper", "break_even_notes"))
            systems[name] |= unknown
    own = systems["distilled"]
    rows = [_row(name, "teacher", systems[name]) for name in teachers]
    rows.append(_combined([systems[name] for name in winners], own))
    rows.append(_row("distilled", "distilled", own))
    known = [row["usd_per_1k_notes"] for row in rows[: len(teachers)]]
    return {
        "systems": rows,
        "labeling_usd": None if None in known else figures["labeling_usd"],
        "training_usd": figures["training_usd"],
        "training_seconds": training_seconds,
        "hardware": figures["hardware"],
        "machine": figures["machine"],
    }


class _Named:
    """The student under the name that tables have for it."""

    name = "distilled"

    def __init__(self, student: Student):
        self.predict = student.predict


def _row(name: str, kind: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    seconds = figures["seconds_per_note"]
    return {
        "name": name,
        "kind": kind,
        "usd_per_1k_notes": figures["usd_per_1k_notes"],
        "seconds_per_1k_notes": None if seconds is None else 1000 * seconds,
        "times_cheaper": figures["times_cheaper"],
        "times_faster": figures["times_faster"],
        "break_even_notes": figures["break_even_notes"],
    }


def _combined(winners: Sequence[Mapping[str, Any]], own: Mapping[str, Any]) -> dict[str, Any]:
    """The winning teachers together, asked one after the other."""
    sums = {}
    for name in ("usd_per_1k_notes", "seconds_per_note"):
        each = [row[name] for row in winners]
        sums[name] = None if None in each else sum(each)
    ratios = {
        to: None if sums[name] is None or not own[name] else {"ratio": sums[name] / own[name], "interval": None}
        for to, name in (("times_cheaper", "usd_per_1k_notes"), ("times_faster", "seconds_per_note"))
    }
    return _row("aggregate", "aggregate", {**sums, **ratios, "break_even_notes": None})

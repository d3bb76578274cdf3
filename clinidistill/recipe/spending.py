"""Which notes the paid teachers of a run label: picked round by round, and written down before they are sent.

``selection.json`` holds a record a round: the ids of the notes that it added, what they were estimated to cost, what
all so far did cost, and F1 on the dev documents. A run that was stopped picks no note twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clinidistill.datasets import Dataset
from clinidistill.errors import ConfigError
from clinidistill.labels import Labels
from clinidistill.recipe.schema import Select
from clinidistill.recipe.stages import write_json
from clinidistill.selection import select
from clinidistill.students import Student
from clinidistill.teachers import Teacher
from clinidistill.types import Document

__all__ = ["Spending", "paid_names"]


def paid_names(plan: Select, teachers: Mapping[str, Teacher]) -> list[str]:
    """The paid among the teachers.

    Raises:
        ConfigError: if there are none, or a name is unknown.
    """
    names = [name for name, teacher in teachers.items() if teacher.remote] if plan.teachers is None else plan.teachers
    if unknown := [name for name in names if name not in teachers]:
        raise ConfigError(f"select.teachers names {unknown[0]!r}; the teachers are {', '.join(teachers)}")
    if not names:
        raise ConfigError("no teacher sends notes away; name in select.teachers those that are to label few notes")
    return [name for name in teachers if name in names]


class Spending:
    """The rounds of one run.

    Args:
        plan: what may be spent.
        file: where the rounds are kept.
        inputs: what the rounds follow from; a file of other inputs begins anew.
        paid: the paid teachers.
    """

    def __init__(self, plan: Select, file: Path, inputs: str, paid: Mapping[str, Teacher]):
        self.plan, self.file, self.paid = plan, file, paid
        found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        self.state: dict[str, Any] = found if found.get("inputs") == inputs else {"inputs": inputs, "rounds": []}

    @property
    def rounds(self) -> list[dict[str, Any]]:
        """The records so far."""
        rounds: list[dict[str, Any]] = self.state["rounds"]
        return rounds

    @property
    def picked(self) -> frozenset[str]:
        """Ids of all notes that were picked."""
        return frozenset(key for record in self.rounds for key in record["ids"])

    def pick(self, notes: Dataset, student: Student | None, free: Labels | None) -> bool:
        """Pick the notes of the next round; whether there is one."""
        plan, number = self.plan, len(self.rounds)
        if self.state.get("done") or number >= plan.rounds:
            return False
        share = 2.0 ** (number + 1 - plan.rounds)
        spent = self.rounds[-1]["usd"] if self.rounds else 0.0
        if spent is None:  # nobody knows what it did cost
            spent = sum(record["estimated_usd"] or 0.0 for record in self.rounds)
        already = self.picked
        chosen = select(
            notes.filter(lambda note: note.id not in already),
            student,
            free,
            n=None if plan.notes is None else max(round(plan.notes * share) - len(already), 1),
            budget_usd=None if plan.budget_usd is None else max(plan.budget_usd * share - spent, 0.0),
            price=self._price(),
        )
        if not chosen:
            return False
        ids = [note.id for note in chosen]
        self.rounds.append({"ids": ids, "estimated_usd": chosen.usd, "usd": None, "dev_f1": None})
        self._write()
        return True

    def end_round(self, labels: Labels, dev_f1: float | None) -> bool:
        """Write down what the last round came to; whether another is worth it."""
        costs = [cost.cost_usd for cost in labels.costs() if cost.teacher in self.paid]
        record = self.rounds[-1]
        record["usd"] = None if None in costs else sum(cost for cost in costs if cost is not None)
        record["dev_f1"] = dev_f1
        before = self.rounds[-2]["dev_f1"] if len(self.rounds) > 1 else None
        enough = dev_f1 is not None and before is not None and dev_f1 - before < self.plan.min_gain
        self.state["done"] = enough or len(self.rounds) >= self.plan.rounds
        self._write()
        return not self.state["done"]

    def _price(self) -> Callable[[Document], float] | None:
        if (rate := self.plan.usd_per_1k_characters) is not None:
            return lambda note: rate * len(note.text) / 1000
        if self.plan.budget_usd is None and any(
            teacher.estimate([Document("any", "any")]).cost_usd is None for teacher in self.paid.values()
        ):
            return None

        def price(note: Document) -> float:
            told = [teacher.estimate([note]).cost_usd for teacher in self.paid.values()]
            if None in told:
                raise ConfigError("what a paid teacher takes is unknown; say select.usd_per_1k_characters")
            return sum(cost for cost in told if cost is not None)

        return price

    def _write(self) -> None:
        write_json(self.file, self.state)

"""What a report tells beside the scores: the data, how teachers agree, which together are best, what all cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from statistics import median
from typing import Any

from clinidistill.aggregation import search_teachers
from clinidistill.aggregation.agreement import agreement
from clinidistill.costs import benchmark_inference, economics
from clinidistill.datasets import Dataset
from clinidistill.labels import Labels
from clinidistill.recipe.results import System
from clinidistill.students import Student
from clinidistill.types import Document

__all__ = ["evidence"]

_TIMED = 50  # notes
_MOST_TEACHERS = 8  # whose subsets are all tried
_RANKED = 20


def evidence(
    labels: Labels,
    dev: Labels | None,
    *,
    parts: Mapping[str, Dataset | None],
    student: Student,
    systems: Sequence[System],
    training_seconds: float,
) -> dict[str, Any]:
    """All of it, JSON-ready and without note text.

    Args:
        labels: what the teachers said of the training documents.
        dev: what they said of the dev documents, whose spans are people's; None leaves the ranking out.
        parts: the documents by part.
        student: the distilled student.
        systems: scored on the test documents.
        training_seconds: how long it was trained.
    """
    test = parts["test"]
    assert test is not None
    named = _Named(student, next(system.name for system in systems if system.kind == "distilled"))
    speed = benchmark_inference(named, islice(test, _TIMED), progress=False)
    scores = {system.name: system.scores for system in systems}
    money = economics(labels, named, scores=scores, training_seconds=training_seconds, speed=speed)
    several = len(labels.teachers) > 1
    ranking = None
    if dev is not None and several and len(labels.teachers) <= _MOST_TEACHERS:
        ranking = search_teachers(dev, dev.documents, progress=False).to_dict()
        ranking["combinations"] = len(ranking["rows"])
        del ranking["rows"][_RANKED:]
    agreed = agreement(labels).to_dict() if several else None
    if agreed is not None:
        del agreed["documents"]
    return {
        "data": {name: _summary(part) for name, part in parts.items() if part is not None},
        "agreement": agreed,
        "ranking": ranking,
        "economics": money.to_dict(),
        "ledger": [{**asdict(cost), "by_label_usd": dict(cost.by_label_usd)} for cost in labels.costs()],
    }


class _Named:
    """A student under the name that it has among the systems."""

    def __init__(self, student: Student, name: str):
        self.name, self.predict = name, student.predict


def _summary(documents: Iterable[Document]) -> dict[str, Any]:
    """How many documents and mentions, and how long."""
    sizes, mentions = list[int](), Counter[str]()
    for document in documents:
        sizes.append(len(document.text))
        mentions.update(span.label for span in document.spans)
    return {
        "documents": len(sizes),
        "characters": sum(sizes),
        "median_characters": median(sizes) if sizes else 0,
        "mentions": dict(sorted(mentions.items())),
    }

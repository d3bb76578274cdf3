"""Scores of all systems on one set of documents, and which differences are more than luck.

A teacher whose answers were recorded has none on other notes than those. Where it has none on the test documents (or on
fewer than half of them), it is scored on the documents of the search, which have people's labels as well, and compared
with the student by a bootstrap of two samples; and the student is scored there, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from clinidistill.aggregation import Aggregator
from clinidistill.aggregation.search import out_of_fold
from clinidistill.evaluation import compare, compare_unpaired, evaluate
from clinidistill.labels import Labels
from clinidistill.students import Student
from clinidistill.types import Document

__all__ = ["Answers", "score"]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one system says of some documents with people's labels."""

    name: str
    kind: str
    on: str
    gold: Sequence[Document]
    predicted: Sequence[Document]
    seed: int | None = None


@dataclass
class Answers:
    """What all systems say of one set of documents.

    Args:
        labels: those of the task.
        place: the set's name.
        gold: its documents, with people's labels.
        said: what the teachers say of them.
        search_name: what the documents of the search are called.
        searched: these, for what has no answer on `gold`; None leaves it out then.
        pool: what the teachers say of them, among others.
        supervised: whether aggregators learn from people.
        seed: of the parts in which they do so.
    """

    labels: Sequence[str]
    place: str
    gold: Sequence[Document]
    said: Labels
    search_name: str
    searched: Sequence[Document] | None
    pool: Labels
    supervised: bool
    seed: int
    found: list[_Answer] = field(default_factory=list)

    def add_teachers(self) -> None:
        """Each teacher's answers."""
        for name in self.said.teachers:
            if self._answered([name]):
                self._add(name, "teacher", self.said.predictions(name))
            elif self.searched is not None:
                self._add_elsewhere(name, "teacher", self.pool.predictions(name))

    def add_aggregate(self, fresh: Aggregator, teachers: Sequence[str], fitted: Callable[[], Aggregator]) -> None:
        """What the winning combination makes of the teachers' answers.

        Args:
            fresh: the aggregator before it has learnt, for documents that it would learn from.
            teachers: the winners.
            fitted: makes it ready for documents of others.
        """
        if self._answered(teachers):
            self._add("aggregate", "aggregate", fitted().combine(self.said.select(*teachers)))
        elif self.searched is not None:
            some = self.pool.select(*teachers)
            combined = out_of_fold(fresh, some, self.searched, seed=self.seed, supervised=self.supervised)
            self._add_elsewhere("aggregate", "aggregate", combined)

    def add_student(self, kind: str, seed: int, student: Student) -> None:
        """A student's answers, also on the documents of the search if anything was scored there."""
        bare = (document.without_spans() for document in self.gold)
        self._add(kind, kind, student.predict(bare), seed)
        if self.searched is not None and any(each.on == self.search_name for each in self.found):
            bare = (document.without_spans() for document in self.searched)
            self._add_elsewhere(kind, kind, student.predict(bare), seed)

    def first(self, name: str, on: str | None = None) -> _Answer | None:
        """The first answers of a system, of the first seed that is; on the set itself rather than elsewhere."""
        wanted = [each for each in self.found if each.name == name and on in (None, each.on)]
        return wanted[0] if wanted else None

    def answered(self, each: _Answer) -> int | None:
        """On how many of its documents a teacher has answers; None of other systems, which answer all."""
        if each.kind != "teacher":
            return None
        ids = {document.id for document in each.gold}
        labels = (self.said if each.on == self.place else self.pool).select(each.name)
        return sum(
            not said.failed for found in labels if found.document.id in ids for said in found.annotations.values()
        )

    def _answered(self, teachers: Iterable[str]) -> bool:
        """Whether teachers have answers on half of the documents at least: less is a few that were met by chance."""
        found = [any(not said.failed for said in each.annotations.values()) for each in self.said.select(*teachers)]
        return 2 * sum(found) >= max(len(found), 1)

    def _add(self, name: str, kind: str, predicted: Iterable[Document], seed: int | None = None) -> None:
        self.found.append(_Answer(name, kind, self.place, self.gold, list(predicted), seed))

    def _add_elsewhere(self, name: str, kind: str, predicted: Iterable[Document], seed: int | None = None) -> None:
        assert self.searched is not None
        ids = {document.id for document in self.searched}
        there = [document for document in predicted if document.id in ids]
        self.found.append(_Answer(name, kind, self.search_name, self.searched, there, seed))


def score(answers: Answers, best_teacher: str, resamples: int) -> dict[str, Any]:
    """Scores and comparisons, JSON-ready.

    Args:
        answers: of all systems.
        best_teacher: the teacher that is best where the search was made.
        resamples: for intervals of F1.
    """
    labels, seed = answers.labels, answers.seed
    systems = [
        {
            "name": each.name,
            "kind": each.kind,
            "on": each.on,
            "seed": each.seed,
            "answered": answers.answered(each),
            "scores": evaluate(each.gold, each.predicted, labels=labels, bootstrap=resamples, seed=seed).to_dict(),
        }
        for each in answers.found
    ]
    pairs = [
        (name, rival)
        for name in ("distilled", "distilled, gold last")
        for rival in (best_teacher, "aggregate", "human-trained")
    ]
    comparisons = []
    for name, rival in pairs:
        for on in dict.fromkeys((answers.place, answers.search_name)):
            ours, theirs = answers.first(name, on), answers.first(rival)
            if ours is not None and theirs is not None and on in {answers.place, theirs.on}:
                comparisons.append(_compared(ours, theirs, labels, seed))
    return {"systems": systems, "comparisons": comparisons}


def _compared(ours: _Answer, theirs: _Answer, labels: Sequence[str], seed: int) -> dict[str, Any]:
    if ours.on == theirs.on:
        found = compare(ours.gold, ours.predicted, theirs.predicted, labels=labels, seed=seed)
    else:
        one, other = (ours.gold, ours.predicted), (theirs.gold, theirs.predicted)
        found = compare_unpaired(one, other, labels=labels, seed=seed)
    sides = {"system": ours.name, "on": ours.on, "against": theirs.name, "against_on": theirs.on}
    return sides | found.to_dict()

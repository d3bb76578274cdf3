"""Running a recipe: label → aggregate → train → evaluate, into one folder, each stage done once.

A run folder holds::

    recipe.json         the recipe, no secrets            student/          the distilled student, with its model card
    environment.json    versions, seeds, device           human/            the human-trained baseline
    labels.sqlite       every annotation of each teacher  history*.json     losses and dev scores
    silver.jsonl        what the student learnt from      scores.json       all systems on the test documents
    stages.json         what is done, and from what       gold_last/        the student, with dev labels on top
    test.jsonl          the test documents                results.md        the scores as a table
    predictions.jsonl   what each system says of them     evidence.json     agreement, ranking, costs, the data
    selection.json      what paid teachers label          leakage.json      documents that stand in two parts
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clinidistill.aggregation import Aggregator, load_aggregator
from clinidistill.component import digest, shown
from clinidistill.datasets import Dataset, MemoryDataset, load_dataset
from clinidistill.datasets.atomic import replacing_file
from clinidistill.datasets.leakage import check_leakage
from clinidistill.distiller import Distiller
from clinidistill.errors import ConfigError
from clinidistill.evaluation import evaluate
from clinidistill.labeling import label, named_teachers
from clinidistill.labels import Labels
from clinidistill.recipe.card import run_card
from clinidistill.recipe.evidence import evidence
from clinidistill.recipe.results import System, markdown
from clinidistill.recipe.schema import Recipe, Select
from clinidistill.recipe.spending import Spending, paid_names
from clinidistill.recipe.stages import Stages, environment, read_json, write_json
from clinidistill.recipe.steps import digest_of, fit, looked_at, make_distiller, make_student, only, train
from clinidistill.students import Student, load_student
from clinidistill.teachers import Teacher, load_teacher
from clinidistill.types import Document

__all__ = ["RunResult", "run"]


_RESAMPLES = 1000  # for the intervals of F1
_KINDS = {"student": "distilled", "gold_last": "distilled, gold last", "human": "human-trained"}
"""What the student in each folder is called among the systems."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run came to.

    Attributes:
        folder: the run folder.
        systems: teachers, aggregate, distilled students and the human-trained one, scored on the test documents.
        student: the distilled student's folder, for :func:`clinidistill.load_student`.
    """

    folder: Path
    systems: tuple[System, ...]
    student: Path

    def __str__(self) -> str:
        return markdown(self.systems)


def run(recipe: Recipe | str | Path, folder: str | Path | None = None, *, progress: bool | None = None) -> RunResult:
    """Run a recipe to its end; a stage that is done, and whose inputs have not changed, is not done again.

    Args:
        recipe: a recipe or its file.
        folder: the run folder; None takes ``runs/<name of the recipe>``.
        progress: progress bars on stderr; None shows them on a terminal only.

    Raises:
        ClinidistillError: whatever a stage cannot do; call it again to go on where it stopped.
    """
    plan = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)
    return _Run(plan, Path(folder or Path("runs") / plan.name), progress).go()


class _Run:
    def __init__(self, recipe: Recipe, folder: Path, progress: bool | None):
        self.recipe, self.folder, self.progress = recipe, folder, progress
        self.stages = Stages(folder)
        # Everything is made before anything runs, so that a wrong option costs no labelling.
        self.teachers = named_teachers([load_teacher(each.use, **each.options) for each in recipe.teachers])
        self.aggregator: Aggregator = load_aggregator(recipe.aggregator.use, **recipe.aggregator.options)
        self.paid: list[str] = [] if recipe.select is None else paid_names(recipe.select, self.teachers)
        self.asked = {name: teacher for name, teacher in self.teachers.items() if name not in self.paid}
        if self.paid and self.aggregator.learns_from_dev:
            raise ConfigError(
                f"aggregator {recipe.aggregator.use!r} learns from dev notes, which `select` does not have paid "
                "teachers label; take one that does not, such as dawid-skene"
            )
        self.distiller = self._distiller({})
        self.baseline_distiller = self._distiller(recipe.baseline_distiller)
        self.last_distiller = self._distiller({"patience": None, **(recipe.gold_last or {})}, own=False)
        self._new_student("student")
        self.parts = recipe.data.load()

    def go(self) -> RunResult:
        self.stages.begin()
        write_json(self.folder / "recipe.json", shown(self.recipe.model_dump(mode="json")))
        write_json(self.folder / "environment.json", environment(self.recipe.seed))
        train, dev, test = (self._part(name) for name in ("train", "dev", "test"))
        assert train is not None
        assert test is not None
        write_json(self.folder / "leakage.json", check_leakage(train=train, dev=dev, test=test).to_dict())
        if self.recipe.select is None:
            train_labels = self._label(train)
            silver = self._aggregate(train_labels, dev)
            student = self._distil(silver, dev)
        else:
            train_labels, silver, student = self._spend(self.recipe.select, train, dev)
        trained = [student]
        if self.recipe.gold_last is not None and dev is not None:
            trained.append(self._train("gold_last", dev, None, self.last_distiller, start=student))
        if self.recipe.human_baseline:
            trained.append(self._train("human", train, dev, self.baseline_distiller))
        test_labels = self._label(test)
        systems = self._evaluate(test, test_labels, trained)
        self._gather(train_labels, dev, student, systems)
        self._write_card(student, systems, len(silver))
        return RunResult(self.folder, systems, student)

    def _label(self, documents: Dataset, teachers: Mapping[str, Teacher] | None = None) -> Labels:
        """What teachers say; all but those that `select` keeps for few notes, unless others are given."""
        asked = self.asked if teachers is None else teachers
        if not asked:
            return Labels(documents, (), lambda _, __: {})
        store, remote = self.recipe.store or self.folder / "labels.sqlite", self.recipe.allow_remote
        return label(documents, asked, store, allow_remote=remote, progress=self.progress)

    def _spend(self, plan: Select, train: Dataset, dev: Dataset | None) -> tuple[Labels, Dataset, Path]:
        """Select, label and train until the budget or the gain is used up."""
        paid = {name: self.teachers[name] for name in self.paid}
        free = self._label(train)
        contested = free if len(free.teachers) > 1 else None
        fixed = [self.aggregator, self.distiller, self._new_student("student"), *self.teachers.values()]
        inputs = digest([plan.model_dump(), digest_of(train), *(each.fingerprint for each in fixed)])
        spending = Spending(plan, self.folder / "selection.json", inputs, paid)
        student: Path | None = None
        while spending.rounds or spending.pick(train, None, contested):
            picked = spending.picked
            labels = free.join(self._label(_among(train, picked), paid))
            silver = self._aggregate(labels, dev, sorted(picked))
            student = self._distil(silver, dev)
            if spending.state.get("done"):
                break
            trained = load_student(student)
            f1 = None
            if dev is not None:
                f1 = evaluate(dev, trained.predict(note.without_spans() for note in dev)).strict.micro.f1
            if not spending.end_round(labels, f1) or not spending.pick(train, trained, contested):
                break
        if student is None:
            raise ConfigError("the budget of `select` does not pay for a single note")
        return labels, silver, student

    def _distil(self, silver: Dataset, dev: Dataset | None) -> Path:
        return self._train("student", silver, dev, self.distiller, pool=self.parts["pool"])

    def _part(self, name: str) -> Dataset | None:
        part = self.parts[name]
        keep = self.recipe.labels
        if part is None or keep is None:
            return part
        return part.map(lambda document: only(document, frozenset(keep)))

    def _aggregate(self, labels: Labels, dev: Dataset | None, picked: Sequence[str] = ()) -> Dataset:
        file = self.folder / "silver.jsonl"
        documents = [None if part is None else digest_of(part) for part in (labels.documents, dev)]
        inputs = [self.aggregator.fingerprint, [t.fingerprint for t in self.teachers.values()], documents, *picked]
        # Also when its labels stand, since it combines those of the test notes.
        fit(self.aggregator, labels, dev, self._label)
        combined = self.aggregator.combine(labels).filter(looked_at)
        self.stages.do("aggregate", inputs, file, lambda: combined.save(file, "jsonl"))
        return MemoryDataset(load_dataset("jsonl", path=file))

    def _train(
        self,
        name: str,
        documents: Dataset,
        dev: Dataset | None,
        distiller: Distiller,
        *,
        pool: Dataset | None = None,
        start: Path | None = None,
    ) -> Path:
        """Train a new student, or the one in the folder `start` further, into the folder `name`."""
        student = self._new_student(name) if start is None else load_student(start)
        after = None if start is None else f"train {start.name}"
        return train(
            self.stages,
            name,
            student,
            documents,
            dev=dev,
            distiller=distiller,
            labels=self.recipe.labels,
            pool=pool,
            after=after,
        )

    def _evaluate(self, test: Dataset, labels: Labels, trained: Sequence[Path]) -> tuple[System, ...]:
        file, said = self.folder / "scores.json", self.folder / "predictions.jsonl"
        inputs = [digest_of(test), self.aggregator.fingerprint, [t.fingerprint for t in self.asked.values()]]
        inputs += [self.stages.inputs(f"train {folder.name}") for folder in trained]

        def score() -> None:
            gold = list(test)
            wanted = self.recipe.labels
            rows, predictions = [], dict[str, list[Document]]()

            def add(
                name: str,
                kind: str,
                predicted: Iterable[Document],
                known: Iterable[str] | None,
                seconds: float | None = None,
            ) -> None:
                predictions[name] = list(predicted)
                scores = evaluate(gold, predictions[name], labels=known, bootstrap=_RESAMPLES)
                rows.append(System(name, kind, scores, seconds))

            for name, teacher in self.asked.items():
                known = None if teacher.labels is None else set(teacher.labels)
                if wanted is not None:
                    known = set(wanted) if known is None else known & set(wanted)
                add(name, "teacher", labels.predictions(name), known, _seconds(labels, name))
            if not self.paid:
                add("aggregate", "aggregate", self.aggregator.combine(labels), wanted)
            for folder in trained:
                kind = _KINDS[folder.name]
                model = load_student(folder)
                began = time.perf_counter()
                predicted = list(model.predict(document.without_spans() for document in gold))
                seconds = (time.perf_counter() - began) / max(len(gold), 1)
                add(kind, kind, predicted, wanted, seconds)
            test.save(self.folder / "test.jsonl", "jsonl")
            _write_predictions(said, gold, predictions)
            write_json(file, {"documents": len(gold), "systems": [row.to_dict() for row in rows]})
            (self.folder / "results.md").write_text(markdown(rows) + "\n", encoding="utf-8")

        self.stages.do("evaluate", inputs, file, score, also=said)
        return tuple(System.from_dict(each) for each in json.loads(file.read_text(encoding="utf-8"))["systems"])

    def _gather(self, labels: Labels, dev: Dataset | None, student: Path, systems: Sequence[System]) -> None:
        """What the report tells beside the scores."""
        inputs = [self.stages.inputs(stage) for stage in ("evaluate", "aggregate")]
        file = self.folder / "evidence.json"

        def gather() -> None:
            paid = any(t.remote for t in self.teachers.values()) and not self.aggregator.learns_from_dev
            dev_labels = None if dev is None or paid or self.paid else self._label(dev)
            seconds = self.stages.seconds(f"train {student.name}")
            found = evidence(
                labels,
                dev_labels,
                parts=self.parts,
                student=load_student(student),
                systems=systems,
                training_seconds=seconds,
            )
            if (chosen := self.folder / "selection.json").is_file() and self.paid:
                found["selection"] = [{**record, "ids": len(record["ids"])} for record in read_json(chosen)["rounds"]]
            write_json(file, found)

        self.stages.do("gather", inputs, file, gather)

    def _write_card(self, student: Path, systems: Iterable[System], documents: int) -> None:
        money = read_json(self.folder / "evidence.json")["economics"]
        card = run_card(self.recipe, systems, documents, list(self.teachers), money)
        (student / "README.md").write_text(card, encoding="utf-8")

    def _new_student(self, name: str) -> Student:
        return make_student(self.recipe.student, self.recipe.labels, name=f"{self.recipe.name}-{name}")

    def _distiller(self, overrides: dict[str, Any], *, own: bool = True) -> Distiller:
        """The recipe's Distiller with other options, or (not `own`) one with these alone."""
        common = self.recipe.distiller if own else {}
        return make_distiller(common, overrides, seed=self.recipe.seed, progress=self.progress)


def _write_predictions(file: Path, gold: Iterable[Document], predictions: dict[str, list[Document]]) -> None:
    """A line for each document: its id, and each system's spans, without text."""
    by_id = {name: {document.id: document for document in found} for name, found in predictions.items()}
    with replacing_file(file) as lines:
        for document in gold:
            spans = {name: [span.to_dict() for span in found[document.id].spans] for name, found in by_id.items()}
            lines.write(f"{json.dumps({'id': document.id, 'spans': spans}, ensure_ascii=False)}\n".encode())


def _among(documents: Dataset, ids: frozenset[str]) -> Dataset:
    return documents.filter(lambda document: document.id in ids)


def _seconds(labels: Labels, teacher: str) -> float | None:
    """Mean seconds a note that a teacher took; None where none is known."""
    known = [said.seconds for opinions in labels.select(teacher) for said in opinions.annotations.values()]
    measured = [seconds for seconds in known if seconds is not None]
    return sum(measured) / len(measured) if measured else None

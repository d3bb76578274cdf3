"""One task of an experiment, stage by stage: label, search, silver labels, students, scores, costs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from clinidistill.aggregation import Aggregator, load_aggregator, search_teachers
from clinidistill.component import digest
from clinidistill.datasets import Dataset, MemoryDataset, load_dataset
from clinidistill.errors import ConfigError
from clinidistill.evaluation import evaluate
from clinidistill.labeling import label, named_teachers
from clinidistill.labels import Labels
from clinidistill.recipe.declared import Component
from clinidistill.recipe.stages import Stages, read_json, write_json
from clinidistill.recipe.steps import digest_of, looked_at, make_distiller, make_student, only, together, train
from clinidistill.reproduction.costs import costs
from clinidistill.reproduction.leaks import leaks, overlap
from clinidistill.reproduction.schema import Combiner, Experiment, ExperimentTask, Start
from clinidistill.reproduction.scoring import Answers, score
from clinidistill.students import Student, load_student
from clinidistill.teachers import Teacher, load_teacher
from clinidistill.types import Document

__all__ = ["TaskRun", "cut", "load_part", "made", "told_apart"]

_STUDENTS = {"distilled": "distilled", "gold-last": "distilled, gold last", "human": "human-trained"}
"""What students in each kind of folder are called in tables."""


@dataclass(frozen=True, slots=True)
class _Best:
    """What the search came to.

    Args:
        pool: what the teachers say of the documents that are learnt from and searched on.
        teachers: those of the best combination.
        aggregator: its aggregator's title.
        single: the best teacher by itself.
        rows: all combinations.
    """

    pool: Labels
    teachers: tuple[str, ...]
    aggregator: str
    single: str
    rows: list[dict[str, Any]]


class TaskRun:
    """One task.

    Args:
        experiment: what it is part of.
        task: what to do.
        stages: of the run folder.
        progress: whether progress is shown.

    Raises:
        ClinidistillError: if a component cannot be made, or an option cannot work; nothing has run then.
    """

    def __init__(self, experiment: Experiment, task: ExperimentTask, stages: Stages, progress: bool | None):
        self.experiment, self.task, self.stages, self.progress = experiment, task, stages, progress
        self.shared = experiment.of(task)
        self.folder = stages.folder / task.name
        self.teachers = told_apart([load_teacher(each.use, **each.options) for each in task.teachers])
        if strangers := set(task.usd_per_note) - set(self.teachers):
            names = ", ".join(self.teachers)
            raise ConfigError(f"task {task.name!r}: usd_per_note names {sorted(strangers)[0]!r}; there are {names}")
        self.combiners = {each.title: each for each in self.shared.aggregators or ()}
        for each in self.combiners.values():
            made(each)
            made(each, silver=True)
        for seed in experiment.training_seeds:
            self._distillers(seed)
        if self.shared.start is not None:
            make_distiller(self.shared.start.distiller, seed=experiment.seed, progress=progress)
        self._student("distilled", None)
        self.parts = {name: load_part(task, part) for name, part in task.parts.items()}
        if isinstance(task.dev, float):
            self.parts["train"], self.parts["dev"] = cut(self.parts["train"], task.dev, experiment.seed)
        self.places = ["test", *task.external]
        self.searched = self.parts.get("search", self.parts["dev"])
        self.search_name = "dev" if task.search is None else "search"
        self.trained_on = overlap(self.parts["train"], self.searched)
        self.supervised = not self.trained_on  # else people's labels would get into the silver ones
        self._begin = _start_parts(self.shared.start)

    def go(self) -> dict[str, Any]:
        """Do what is not done yet; what it came to, JSON-ready.

        Raises:
            ClinidistillError: whatever a stage cannot do; call it again to go on where it stopped.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        leaking = leaks(self.parts, chain.from_iterable(self._begin))
        pool = self._label(together(self.parts["train"], self.searched))
        said = {name: self._label(self.parts[name]) for name in self.places}
        best = self._search(pool)
        silver = self._silver(best)
        trained = self._train(silver)
        scored = [self._score(name, said[name], best, trained) for name in self.places]
        return {
            "name": self.task.name,
            "labels": self.task.labels,
            "parts": {name: _summary(part) for name, part in self.parts.items()},
            "leaks": leaking,
            "silver": _summary(silver),
            "search": {
                "on": self.search_name,
                "trained_on": self.trained_on,
                "supervised": self.supervised,
                "best_teacher": best.single,
                "combinations": [{"rank": rank, **row} for rank, row in enumerate(best.rows, 1)],
            },
            "winner": {"teachers": list(best.teachers), "aggregator": best.aggregator},
            "systems": [each for found in scored for each in found["systems"]],
            "comparisons": [each for found in scored for each in found["comparisons"]],
            "costs": self._costs(best, trained),
        }

    # -- labels ----------------------------------------------------------------------------------------------------

    def _label(self, documents: Dataset) -> Labels:
        store, remote = self.stages.folder / "labels.sqlite", self.experiment.allow_remote
        return label(documents, self.teachers, store, allow_remote=remote, progress=self.progress)

    def _search(self, pool: Labels) -> _Best:
        file, gold = self.folder / "combinations.json", self.searched
        aggregators = {title: made(each) for title, each in self.combiners.items()}
        seed, resamples = self.experiment.seed, self.experiment.resamples
        inputs = [_said(pool), digest_of(gold), self.supervised, seed, resamples]
        inputs.append({title: each.fingerprint for title, each in aggregators.items()})

        def search() -> None:
            found = search_teachers(
                pool,
                gold,
                aggregators=aggregators,
                supervised=self.supervised,
                bootstrap=resamples,
                seed=seed,
                progress=self.progress,
            )
            alone = {name: _f1(gold, among(pool.predictions(name), gold), self.task.labels) for name in self.teachers}
            best = max(alone, key=lambda name: alone[name])
            write_json(file, {"best_teacher": best, "teachers": alone, **found.to_dict()})

        self.stages.do(f"search {self.task.name}", inputs, file, search)
        found = read_json(file)
        first = found["rows"][0]
        return _Best(pool, tuple(first["teachers"]), first["aggregator"], found["best_teacher"], found["rows"])

    def _fitted(self, best: _Best, *, silver: bool = False) -> Aggregator:
        """The best aggregator, which has learnt from what the best teachers said (and people, if it may)."""
        aggregator = made(self.combiners[best.aggregator], silver=silver)
        learns = self.supervised and aggregator.learns_from_dev
        return aggregator.fit(best.pool.select(*best.teachers), self.searched if learns else None)

    def _silver(self, best: _Best) -> Dataset:
        file, keep = self.folder / "silver.jsonl", frozenset(self.task.labels)
        aggregator = made(self.combiners[best.aggregator], silver=True)
        people = digest_of(self.searched) if self.supervised and aggregator.learns_from_dev else None
        ids = [document.id for document in self.parts["train"]]
        said = _said(best.pool.select(*best.teachers))
        inputs = [best.teachers, aggregator.fingerprint, said, people, digest(ids), self.task.labels]

        def combine() -> None:
            train = self._label(self.parts["train"]).select(*best.teachers)
            combined = self._fitted(best, silver=True).combine(train)
            combined.map(lambda document: only(document, keep)).filter(looked_at).save(file, "jsonl")

        self.stages.do(f"silver {self.task.name}", inputs, file, combine)
        return MemoryDataset(load_dataset("jsonl", path=file))

    # -- students --------------------------------------------------------------------------------------------------

    def _train(self, silver: Dataset) -> dict[tuple[str, int], Path]:
        """The students' folders by kind of folder and seed, the distilled first."""
        start = self._start()
        dev, human = self.parts["dev"], self.parts["train"]
        folders: dict[tuple[str, int], Path] = {}
        for seed in self.experiment.training_seeds:
            plain, baseline, last = self._distillers(seed)
            labels = self.task.labels
            names = {kind: f"{self.task.name}/{kind}-{seed}" for kind in _STUDENTS}
            new = self._student("distilled", start)
            distilled = train(self.stages, names["distilled"], new, silver, dev=dev, distiller=plain, labels=labels)
            folders["distilled", seed] = distilled
            if last is not None:
                student, after = load_student(distilled), f"train {names['distilled']}"
                folders["gold-last", seed] = train(
                    self.stages,
                    names["gold-last"],
                    student,
                    dev,
                    dev=None,
                    distiller=last,
                    labels=labels,
                    after=after,
                )
            new = self._student("human", start)
            folders["human", seed] = train(
                self.stages, names["human"], new, human, dev=dev, distiller=baseline, labels=labels
            )
        return folders

    def _start(self) -> Path | None:
        """A student of other corpora's labels, to begin from; shared by the tasks unless a task has its own."""
        start = self.shared.start
        if start is None:
            return None
        documents = MemoryDataset(chain.from_iterable(self._begin))
        distiller = make_distiller(start.distiller, seed=self.experiment.seed, progress=self.progress)
        assert self.shared.student is not None
        student = make_student(self.shared.student, start.labels, name=f"{self.experiment.name}-start")
        return train(
            self.stages, self._start_name, student, documents, dev=None, distiller=distiller, labels=start.labels
        )

    @property
    def _start_name(self) -> str:
        shared = self.task.start is None and self.task.student is None
        return "start" if shared else f"{self.task.name}/start"

    def _student(self, kind: str, start: Path | None) -> Student:
        """A new student, from the weights of the student in `start` if there is one."""
        declared = self.shared.student
        assert declared is not None
        if start is not None:
            declared = Component(use=declared.use, **{**declared.options, "base": str(start)})
        return make_student(declared, self.task.labels, name=f"{self.task.name}-{kind}")

    def _distillers(self, seed: int) -> tuple[Any, Any, Any]:
        """That of the distilled student, of the human-trained one, and of gold last (None where there is none)."""
        common, progress, last = self.shared.distiller, self.progress, self.shared.gold_last
        return (
            make_distiller(common, seed=seed, progress=progress),
            make_distiller(common, self.shared.baseline_distiller, seed=seed, progress=progress),
            None if last is None else make_distiller({"patience": None}, last, seed=seed, progress=progress),
        )

    # -- scores and costs ------------------------------------------------------------------------------------------

    def _score(self, place: str, said: Labels, best: _Best, trained: dict[tuple[str, int], Path]) -> dict[str, Any]:
        """The systems on the test documents or an external set, and their comparisons."""
        file, gold = self.folder / f"scores-{place}.json", self.parts[place]
        students = [self.stages.inputs(f"train {self.task.name}/{folder.name}") for folder in trained.values()]
        search = self.stages.inputs(f"search {self.task.name}")
        inputs = [digest_of(gold), _said(said), search, students, self.task.labels]

        def work() -> None:
            answers = Answers(
                labels=self.task.labels,
                place=place,
                gold=list(gold),
                said=said,
                search_name=self.search_name,
                searched=list(self.searched) if place == "test" else None,
                pool=best.pool,
                supervised=self.supervised,
                seed=self.experiment.seed,
            )
            answers.add_teachers()
            fresh = made(self.combiners[best.aggregator])
            answers.add_aggregate(fresh, best.teachers, lambda: self._fitted(best))
            for (kind, seed), folder in trained.items():
                answers.add_student(_STUDENTS[kind], seed, load_student(folder))
            write_json(file, score(answers, best.single, self.experiment.resamples))

        self.stages.do(f"score {self.task.name}/{place}", inputs, file, work)
        return read_json(file)

    def _costs(self, best: _Best, trained: dict[tuple[str, int], Path]) -> dict[str, Any]:
        file, student = self.folder / "costs.json", next(iter(trained.values()))
        stages = [f"train {self.task.name}/{student.name}"]
        if self.shared.start is not None:
            stages.append(f"train {self._start_name}")
        labels = self._label(self.parts["train"])
        trainings = [self.stages.inputs(stage) for stage in stages]
        inputs = [trainings, _said(labels), self.task.usd_per_note, best.teachers]

        def work() -> None:
            figures = costs(
                labels,
                load_student(student),
                notes=self.parts["train"],
                teachers=self.teachers,
                winners=best.teachers,
                training_seconds=sum(map(self.stages.seconds, stages)),
                usd_per_note=self.task.usd_per_note,
            )
            write_json(file, figures)

        self.stages.do(f"costs {self.task.name}", inputs, file, work)
        return read_json(file)


def made(combiner: Combiner, *, silver: bool = False) -> Aggregator:
    """The aggregator, as it is searched with or (`silver`) as it makes the labels to learn from."""
    options = combiner.options | (combiner.silver if silver else {})
    return load_aggregator(combiner.use, **options)


def told_apart(teachers: Iterable[Teacher]) -> dict[str, Teacher]:
    """The teachers by name.

    Raises:
        ConfigError: if two names clash, or one is what tables call another system.
    """
    named = named_teachers(teachers)
    if taken := named.keys() & {"aggregate", *_STUDENTS.values()}:
        raise ConfigError(f"a teacher cannot be called {sorted(taken)[0]!r}, as tables call another system; rename it")
    return named


def load_part(task: ExperimentTask, part: Component) -> Dataset:
    """Documents of a task with the task's labels, in memory."""
    source = load_dataset(part.use, **part.options)
    keep = frozenset(task.labels)
    loaded = MemoryDataset(only(document, keep) for document in source)
    loaded.is_deidentified = source.is_deidentified
    return loaded


def cut(train: Dataset, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """What is left of the training documents when a share of them is cut off for dev, and that share."""
    ordered = train.sorted()
    rest, dev = ordered.split(1 - share, share, seed=seed)
    return rest.sorted(), dev.sorted()


def among(documents: Iterable[Document], wanted: Iterable[Document]) -> list[Document]:
    """Those of the documents whose ids are wanted."""
    ids = {document.id for document in wanted}
    return [document for document in documents if document.id in ids]


def _start_parts(start: Start | None) -> list[Dataset]:
    return [] if start is None else [load_dataset(each.use, **each.options) for each in start.datasets]


def _said(labels: Labels) -> str:
    """Hash of documents and of what was said of them: it changes when a teacher that had stopped goes on."""
    return digest(
        [
            [
                digest([each.document.id, each.document.text]),
                {
                    name: None if said.failed else [[*span.key, span.score, span.fragments] for span in said.spans]
                    for name, said in each.annotations.items()
                },
            ]
            for each in labels
        ]
    )


def _f1(gold: Iterable[Document], predicted: Iterable[Document], labels: list[str]) -> float:
    return evaluate(gold, predicted, labels=labels).strict.micro.f1


def _summary(documents: Iterable[Document]) -> dict[str, int]:
    counts = [(len(document.spans), len(document.text)) for document in documents]
    spans, characters = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
    return {"documents": len(counts), "mentions": spans, "characters": characters}

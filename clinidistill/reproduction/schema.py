"""What the file of an experiment may say, checked before anything runs."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, model_validator

from clinidistill.recipe.declared import Component, Declared, Strict

__all__ = ["Combiner", "Experiment", "ExperimentTask", "Shared", "Start"]

Name = Annotated[str, Field(pattern=r"^[\w-][\w.-]*$")]  # a folder's
_PARTS = {"train", "dev", "test", "search", "start"}
_FOLDERS = {"start", "tables", "checkpoints"}


class Combiner(Component):
    """An aggregator: its name, or a table of ``use`` and options."""

    name: Annotated[
        str | None, Field(description="What tables call it; needed where two differ in their options alone.")
    ] = None
    silver: dict[str, Any] = Field(
        default_factory=dict,
        description="Options in which it differs where it makes the labels to learn from: a lower threshold keeps "
        "unlikely spans as soft labels.",
    )

    @property
    def title(self) -> str:
        """What tables call it."""
        return self.name or self.use


def _component(value: Any) -> Any:
    return {"use": value} if isinstance(value, str) else value


_Named = BeforeValidator(_component, json_schema_input_type=str | Combiner)
Combiners = Annotated[list[Annotated[Combiner, _Named]], Field(min_length=1)]


class Start(Strict):
    """People's labels of other corpora, from which both students begin: the distilled and the human-trained one."""

    datasets: list[Component] = Field(min_length=1)
    labels: list[str] | None = Field(None, min_length=1, description="Labels to learn there; None: those found.")
    distiller: dict[str, Any] = Field(default_factory=dict, description="Options of the Distiller.")


class Shared(Strict):
    """What holds for all tasks, and what a task may say for itself."""

    student: Component | None = None
    distiller: dict[str, Any] = Field(default_factory=dict, description="Options of the Distiller.")
    baseline_distiller: dict[str, Any] = Field(
        default_factory=dict, description="Options in which the human-trained student's Distiller differs."
    )
    gold_last: dict[str, Any] | None = Field(
        None, description="Train the distilled student on `dev` as well, with these options of the Distiller."
    )
    aggregators: Combiners | None = Field(None, description="Tried with every subset of the teachers.")
    start: Start | None = None

    @model_validator(mode="after")
    def _titles(self) -> Self:
        titles = [each.title for each in self.aggregators or ()]
        if len(set(titles)) < len(titles):
            raise ValueError("two aggregators have one name; give each a `name` of its own")
        return self


class ExperimentTask(Shared):
    """One of the tasks: documents with people's labels, and teachers.

    What is said here of student and training goes before what all tasks share: options of Distillers one by one, the
    rest as a whole.
    """

    name: Name
    labels: list[str] = Field(min_length=1, description="Labels to learn and to score.")
    train: Component = Field(description="Its human labels teach the human-trained student alone.")
    dev: Component | Annotated[float, Field(gt=0, lt=1)] = Field(
        description="By which students choose their best epoch; or what share of `train` to cut off for that."
    )
    test: Component
    search: Component | None = Field(
        None, description="Documents on which the combinations are ranked; None takes `dev`."
    )
    external: dict[Name, Component] = Field(default_factory=dict, description="Other sets to score on, by name.")
    teachers: list[Component] = Field(min_length=1)
    usd_per_note: dict[str, float] = Field(
        default_factory=dict, description="Dollars a note of teachers whose answers do not tell it, by name."
    )

    @model_validator(mode="after")
    def _external_names(self) -> Self:
        if taken := _PARTS & set(self.external):
            raise ValueError(f"an external set cannot be called {sorted(taken)[0]!r}")
        return self

    @property
    def parts(self) -> dict[str, Component]:
        """The declared documents by name: train, dev and search unless they are cut off, test, and external sets."""
        own = {"train": self.train, "dev": self.dev, "test": self.test, "search": self.search}
        return {name: part for name, part in own.items() if isinstance(part, Component)} | self.external


class Experiment(Declared, Shared):
    """The tasks, and what they share; see ``docs/reproduce.md``. Read it with :meth:`load`."""

    what: ClassVar[str] = "experiment"

    name: Name = Field(description="Names the run folder.")
    seed: int = 0
    seeds: list[int] | None = Field(
        None, min_length=1, description="Each student is trained once from each of these; None: from `seed` alone."
    )
    resamples: int = Field(1000, ge=1, description="Bootstrap resamples for the intervals of F1.")
    allow_remote: bool = Field(False, description="Let notes leave this machine, for teachers that send them.")
    tasks: list[ExperimentTask] = Field(min_length=1)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        names = [task.name for task in self.tasks]
        if len(set(names)) < len(names):
            raise ValueError("two tasks have one name")
        if taken := _FOLDERS & set(names):
            raise ValueError(f"a task cannot be called {sorted(taken)[0]!r}: the run has a folder of that name")
        for task in self.tasks:
            if task.student is None and self.student is None:
                raise ValueError(f"task {task.name!r} has no student: say [student] for all, or one of its own")
        if self.seeds is not None and len(set(self.seeds)) < len(self.seeds):
            raise ValueError("`seeds` are to differ")
        return self

    @property
    def training_seeds(self) -> list[int]:
        """The seeds that students are trained from; the first's student is the one that is compared."""
        return [self.seed] if self.seeds is None else self.seeds

    def of(self, task: ExperimentTask) -> Shared:
        """What holds for one task."""
        defaults = [Combiner(use="majority"), Combiner(use="union")]
        gold_last = self.gold_last if task.gold_last is None else {**(self.gold_last or {}), **task.gold_last}
        return Shared(
            student=task.student or self.student,
            distiller=self.distiller | task.distiller,
            baseline_distiller=self.baseline_distiller | task.baseline_distiller,
            gold_last=gold_last,
            aggregators=task.aggregators or self.aggregators or defaults,
            start=task.start or self.start,
        )

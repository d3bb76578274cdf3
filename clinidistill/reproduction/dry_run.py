"""What an experiment would trip over, and about what it would cost, before anything is sent or trained."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from clinidistill.bases import resolve_base
from clinidistill.datasets import Dataset, MemoryDataset, load_dataset
from clinidistill.errors import ClinidistillError, describe
from clinidistill.evaluation.text_table import text_table
from clinidistill.labeling import estimate
from clinidistill.labels import Labels
from clinidistill.llm.types import Message, Prompt
from clinidistill.recipe.declared import Component
from clinidistill.recipe.steps import make_distiller, make_student, together
from clinidistill.reproduction.leaks import leaks, overlap
from clinidistill.reproduction.schema import Combiner, Experiment, ExperimentTask, Shared
from clinidistill.reproduction.task_run import cut, load_part, made, told_apart
from clinidistill.teachers import LanguageModelTeacher, Teacher, load_teacher
from clinidistill.teachers.recorded import RecordedTeacher
from clinidistill.teachers.transformers_llm import TransformersTeacher
from clinidistill.types import Document, Estimate, Span

__all__ = ["DryRun", "Problem", "dry_run"]

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that would go wrong.

    Args:
        where: the task and the part of it.
        what: what is wrong, and the cure.
    """

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class PartFound:
    """Documents that were read.

    Args:
        task: the task's name.
        part: train, dev, test, search, or an external set's name.
        documents: how many there are.
        mentions: of the task's labels, by label.
    """

    task: str
    part: str
    documents: int
    mentions: Mapping[str, int]


@dataclass
class DryRun:
    """What a dry run found; printed, its tables.

    Attributes:
        problems: all of them.
        parts: the documents that could be read.
        bill: task, and what one of its teachers has yet to be asked there.
        warnings: what makes scores worth less, and stops nothing: documents that stand in two parts.
    """

    problems: list[Problem] = field(default_factory=list)
    parts: list[PartFound] = field(default_factory=list)
    bill: list[tuple[str, Estimate]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def usd(self) -> float | None:
        """About how many dollars the answers will cost; None if a price is unknown."""
        costs = [each.cost_usd for _, each in self.bill]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    @property
    def most_usd(self) -> float | None:
        """The most they can cost without further attempts; None if a price is unknown."""
        costs = [each.most_usd for _, each in self.bill]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    def __str__(self) -> str:
        tables = []
        if self.parts:
            rows = [
                [f"{p.task}: {p.part}", f"{p.documents:,}", ", ".join(f"{k} {n:,}" for k, n in p.mentions.items())]
                for p in self.parts
            ]
            tables.append(text_table(["documents", "number", "mentions"], rows))
        if self.bill:
            bill = [
                [
                    f"{task}: {each.teacher}",
                    f"{each.documents:,}",
                    f"{each.requests:,}",
                    f"{each.input_tokens:,}",
                    f"{each.output_tokens:,}",
                    _dollars(each.cost_usd),
                    _dollars(each.most_usd),
                ]
                for task, each in self.bill
            ]
            bill.append(["all", "", "", "", "", _dollars(self.usd), _dollars(self.most_usd)])
            head = ["teacher", "notes to ask about", "requests", "tokens in", "tokens out", "about $", "at most $"]
            tables.append(text_table(head, bill))
        if self.warnings:
            tables.append("\n".join(self.warnings))
        if self.problems:
            width = max(len(problem.where) for problem in self.problems)
            lines = [f"{problem.where:{width}}  {problem.what}" for problem in self.problems]
            tables.append("\n".join([f"{len(lines)} problem{'s' * (len(lines) > 1)}", *lines]))
        else:
            tables.append("no problems")
        return "\n\n".join(tables)


def dry_run(experiment: Experiment | str | Path, folder: str | Path | None = None) -> DryRun:
    """Check everything that an experiment needs; nothing is sent, trained or written.

    All documents are read, all teachers, aggregators and students are made; keys, prices, budgets and leave to send
    notes away are looked at, and what is still to be asked is estimated.

    Args:
        experiment: an experiment or its file.
        folder: the run folder, whose answers need not be asked for again; None takes ``runs/<name>``.

    Raises:
        DataError: if the file cannot be read.
        ConfigError: if it is no experiment, naming each field at fault.
    """
    unset: list[str] = []
    plan = experiment if isinstance(experiment, Experiment) else Experiment.load(experiment, unset=unset)
    store = Path(folder or Path("runs") / plan.name) / "labels.sqlite"
    checker = _Checker(plan, store, unset)
    for task in plan.tasks:
        checker.check(task)
    checker.check_budgets()
    return checker.found


class _Checker:
    def __init__(self, plan: Experiment, store: Path, unset: list[str]):
        self.plan, self.store, self.unset = plan, store, unset
        self.found = DryRun()
        self.asked: dict[str, tuple[str, LanguageModelTeacher, float]] = {}
        for name in unset:
            self.complain("environment", f"the experiment uses ${{{name}}}, which is not set")

    def complain(self, where: str, what: str) -> None:
        problem = Problem(where, what)
        if problem not in self.found.problems:
            self.found.problems.append(problem)

    def attempt(self, where: str, work: Callable[P, T], *args: P.args, **options: P.kwargs) -> T | None:
        """What `work` gives; None, and a problem, if it fails."""
        try:
            return work(*args, **options)
        except ClinidistillError as error:
            self.complain(where, str(error))
        except (OSError, ImportError, ValueError) as error:
            self.complain(where, describe(error))
        return None

    def readable(self, component: Component) -> bool:
        """Whether no variable is left in its options, which is a problem already."""
        said = json.dumps(component.model_dump(mode="json"))
        return not any(f"${{{name}}}" in said for name in self.unset)

    def check(self, task: ExperimentTask) -> None:
        shared = self.plan.of(task)
        self._check_student(task, shared)
        parts: dict[str, Dataset] = {}
        for name, part in task.parts.items():
            loaded = self._part(task, name, part)
            if loaded is not None:
                parts[name] = loaded
        if isinstance(task.dev, float) and "train" in parts:
            halves = self.attempt(f"{task.name}: dev", cut, parts["train"], task.dev, self.plan.seed)
            if halves is not None:
                parts["train"], parts["dev"] = halves
                if not len(halves[1]):
                    self.complain(f"{task.name}: dev", f"a share of {task.dev:g} of the training documents is none")
        start = self._start(task, shared)
        if len(parts) == len(task.parts) + isinstance(task.dev, float):
            self.found.warnings += [
                f"{task.name}: {leak['documents']:,} documents of {leak['other']} stand in {leak['part']} as well"
                for leak in leaks(parts, start)
            ]
        self._check_aggregators(task, shared, parts)
        self._check_teachers(task, parts)

    def _start(self, task: ExperimentTask, shared: Shared) -> list[Document]:
        """The documents that students begin from."""
        found: list[Document] = []
        where = "start" if task.start is None else f"{task.name}: start"
        for each in filter(self.readable, shared.start.datasets if shared.start is not None else ()):
            documents = self.attempt(where, _all_of, each)
            if documents == []:
                self.complain(where, f"{each.use} has no documents")
            found += documents or []
        return found

    def _check_student(self, task: ExperimentTask, shared: Shared) -> None:
        where, student, seed = f"{task.name}: student", shared.student, self.plan.seed
        assert student is not None
        start = shared.start and shared.start.distiller
        settings = {
            "distiller": [shared.distiller],
            "baseline_distiller": [shared.distiller, shared.baseline_distiller],
            "gold_last": [shared.gold_last or {}],
            "start": [start or {}],
        }
        for name, options in settings.items():
            self.attempt(f"{task.name}: {name}", make_distiller, *options, seed=seed, progress=False)
        if not self.readable(student) or self.attempt(where, make_student, student, task.labels) is None:
            return
        base = student.options.get("base")
        if base is not None and not _is_here(str(base)):
            self.complain(
                where,
                f"the base {base!r} is neither a folder, nor an installed package, nor in the hub's cache with "
                f"safetensors weights; `hf download {base}` fetches one",
            )

    def _part(self, task: ExperimentTask, name: str, part: Component) -> Dataset | None:
        """The documents, with problems for what is wrong with them."""
        if not self.readable(part):
            return None
        where = f"{task.name}: {name}"
        loaded = self.attempt(where, load_part, task, part)
        if loaded is None:
            return None
        ids = Counter(document.id for document in loaded)
        twice = [key for key, number in ids.items() if number > 1]
        mentions = Counter(span.label for document in loaded for span in document.spans)
        if not ids:
            self.complain(where, "there are no documents")
            return None
        self.found.parts.append(
            PartFound(task.name, name, ids.total(), {label: mentions[label] for label in task.labels})
        )
        if twice:
            self.complain(where, f"{len(twice)} ids occur twice, {twice[0]!r} for one; ids must be unique")
        missing = [label for label in task.labels if not mentions[label]]
        if missing and (name not in task.external or len(missing) == len(task.labels)):
            self.complain(where, f"people have marked nothing as {', '.join(missing)}; check the option `labels`")
        return None if twice else loaded

    def _check_aggregators(self, task: ExperimentTask, shared: Shared, parts: Mapping[str, Dataset]) -> None:
        trained_on = overlap(parts.get("train", ()), parts.get("search", parts.get("dev", ())))
        for each in shared.aggregators or ():
            where = f"{task.name}: {each.title}"
            for silver in (False, True):
                self.attempt(where, made, each, silver=silver)
            if trained_on:
                self.attempt(where, _fit_alone, each)

    def _check_teachers(self, task: ExperimentTask, parts: Mapping[str, Dataset]) -> None:
        teachers = []
        for number, each in enumerate(task.teachers, 1):
            if self.readable(each):
                where = f"{task.name}: {each.options.get('name') or f'teacher {number} ({each.use})'}"
                if (teacher := self.attempt(where, _ready, each)) is not None:
                    teachers.append(teacher)
        named = self.attempt(f"{task.name}: teachers", told_apart, teachers) if teachers else None
        if named is None:
            return
        if strangers := set(task.usd_per_note) - {each.options.get("name") for each in task.teachers} - set(named):
            self.complain(f"{task.name}: usd_per_note", f"no teacher is called {sorted(strangers)[0]!r}")
        groups = self.attempt(f"{task.name}: train", self._to_label, parts)
        if groups is None:
            return
        allowed = self.plan.allow_remote or all(group.is_deidentified for group in groups)
        for name, teacher in named.items():
            where = f"{task.name}: {name}"
            if teacher.labels is not None and not set(teacher.labels) & set(task.labels):
                self.complain(where, f"marks {', '.join(sorted(teacher.labels))}, none of the task's labels")
            self.attempt(where, teacher.check_remote, allowed)
            if isinstance(teacher, LanguageModelTeacher) and not isinstance(teacher, TransformersTeacher):
                self._check_model(where, teacher)
            if isinstance(teacher, RecordedTeacher) and all(said.failed for said in teacher.annotate(groups[0])):
                self.complain(where, "has no recorded answer about any document to learn from or to search on")
            told = [self.attempt(where, estimate, group, teacher, self.store) for group in groups]
            total = _total(name, [each for some in told for each in some or ()])
            if total is not None and total.documents:
                self.found.bill.append((task.name, total))
                if isinstance(teacher, LanguageModelTeacher) and total.cost_usd is not None:
                    before = self.asked.get(teacher.fingerprint, (where, teacher, 0.0))
                    self.asked[teacher.fingerprint] = (before[0], teacher, before[2] + total.cost_usd)

    def _to_label(self, parts: Mapping[str, Dataset]) -> list[Dataset]:
        """What the teachers will be asked about: what is learnt from and searched on, then test and external sets."""
        nothing = MemoryDataset([])
        searched = parts.get("search", parts.get("dev", nothing))
        rest = [part for name, part in parts.items() if name not in {"train", "dev", "search"}]
        return [together(parts.get("train", nothing), searched), *rest]

    def _check_model(self, where: str, teacher: LanguageModelTeacher) -> None:
        """Its key, by building a request that is not sent, and its price."""
        self.attempt(where, teacher.provider.build, Prompt("", (Message("user", "?"),)))
        if teacher.price is None:
            self.complain(
                where,
                f"the price of {teacher.provider.model!r} is unknown; give price = {{ input = …, output = … }} in "
                "dollars a million tokens (0 on a server of your own)",
            )

    def check_budgets(self) -> None:
        """Whether what is to be asked fits the teachers' budgets."""
        for where, teacher, cost in self.asked.values():
            budget = teacher.options.get("budget_usd")
            if budget is not None and cost > budget:
                self.complain(
                    where, f"budget_usd is {budget:g}, and its answers will cost about {_dollars(cost)} dollars"
                )


def _ready(component: Component) -> Teacher:
    """The teacher, its files read: what it knows is in its fingerprint."""
    teacher = load_teacher(component.use, **component.options)
    assert teacher.fingerprint
    return teacher


def _fit_alone(combiner: Combiner) -> None:
    """See that an aggregator can do without people's labels, which it must not see where it makes silver labels."""
    note = Document("n", "On aspirin.", ())
    span = Span(3, 10, "any")
    said = Labels.from_annotations([note], {name: {"n": [span]} for name in ("a", "b")})
    made(combiner, silver=True).fit(said)


def _is_here(base: str) -> bool:
    """Whether a base can be loaded without a network."""
    if Path(resolve_base(base)).exists():
        return True
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    def cached(*names: str) -> bool:
        return any(isinstance(try_to_load_from_cache(base, name), str) for name in names)

    try:
        return cached("config.json") and cached("model.safetensors", "model.safetensors.index.json")
    except HFValidationError:
        return False


def _all_of(component: Component) -> list[Document]:
    """The documents of a dataset."""
    return list(load_dataset(component.use, **component.options))


def _total(name: str, estimates: Iterable[Estimate]) -> Estimate | None:
    total: Estimate | None = None
    for each in estimates:
        if total is None:
            total = replace(each, teacher=name)
            continue
        sums: dict[str, Any] = {}
        for key in ("documents", "requests", "input_tokens", "output_tokens", "cost_usd", "most_usd"):
            one, other = getattr(total, key), getattr(each, key)
            sums[key] = None if one is None or other is None else one + other
        total = replace(total, **sums)
    return total


def _dollars(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.2f}"

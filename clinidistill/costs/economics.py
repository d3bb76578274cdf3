"""Whether a student pays: dollars and seconds a note of teachers and student, what it took to make, when it is earned.

A note's price is what the teacher's server billed for it (usage and dated prices), or, of what runs on one's own
machine, its seconds at the price of an hour. What nobody knows stays unknown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clinidistill.costs.inference import InferenceBenchmark, benchmark_inference
from clinidistill.costs.rates import Rate, hourly_rate
from clinidistill.errors import ConfigError
from clinidistill.evaluation import LearningCurve, evaluate
from clinidistill.evaluation.scoring import Predictor
from clinidistill.evaluation.text_table import text_table
from clinidistill.labels import Labels, TeacherCost
from clinidistill.types import Document, Scores

__all__ = ["CurvePoint", "Economics", "SystemEconomics", "economics"]

_RESAMPLES = 1000
_SAMPLE = 200  # notes that the student is timed on, where nobody says which
Floats = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class SystemEconomics:
    """One system's figures; None is unknown.

    Args:
        name: the system's.
        kind: ``"teacher"`` or ``"student"``.
        notes: how many notes they are measured on.
        f1: strict micro F1.
        usd_per_note: dollars a note.
        seconds_per_note: wall seconds a note, at the concurrency it was run with.
        p50_seconds, p95_seconds: of one note.
        times_cheaper: how many times the student's dollars this system costs, and a 95% interval.
        times_faster: how many times the student's seconds it takes, and a 95% interval.
        break_even_notes: after how many notes making and running the student has cost no more than this system would
            have; None for the student, where a price is unknown, and where it never comes to that.
        best: whether no other system is at least as good in F1, dollars and seconds, and better in one of them.
    """

    name: str
    kind: str
    notes: int
    f1: float | None
    usd_per_note: float | None
    seconds_per_note: float | None
    p50_seconds: float | None
    p95_seconds: float | None
    times_cheaper: tuple[float, Interval] | None = None
    times_faster: tuple[float, Interval] | None = None
    break_even_notes: int | None = None
    best: bool | None = None

    @property
    def usd_per_1k_notes(self) -> float | None:
        """Dollars a thousand notes."""
        return None if self.usd_per_note is None else 1e3 * self.usd_per_note

    @property
    def usd_per_1m_notes(self) -> float | None:
        """Dollars a million notes."""
        return None if self.usd_per_note is None else 1e6 * self.usd_per_note

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        ratios = {
            name: None if ratio is None else {"ratio": ratio[0], "interval": list(ratio[1])}
            for name, ratio in (("times_cheaper", self.times_cheaper), ("times_faster", self.times_faster))
        }
        return {
            "name": self.name,
            "kind": self.kind,
            "notes": self.notes,
            "f1": self.f1,
            "usd_per_1k_notes": self.usd_per_1k_notes,
            "usd_per_1m_notes": self.usd_per_1m_notes,
            "seconds_per_note": self.seconds_per_note,
            "p50_seconds": self.p50_seconds,
            "p95_seconds": self.p95_seconds,
            **ratios,
            "break_even_notes": self.break_even_notes,
            "best": self.best,
        }


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What some dollars of labels buy.

    Args:
        documents: how many labelled notes were learnt from.
        usd: what labelling them cost.
        f1: strict micro F1 of the student, the mean of the repeats.
        spread: its standard deviation.
    """

    documents: int
    usd: float
    f1: float
    spread: float


@dataclass(frozen=True, slots=True)
class Economics:
    """Teachers and the student side by side; printed, a table and a recommendation.

    Args:
        systems: the teachers, in order, and the student.
        labeling_usd: what all teachers' labels cost; None where one's price is unknown.
        training_usd: what training cost; None where the price of the machine is unknown.
        rate: what an hour of the machine costs.
        machine: where the student was timed.
        curve: what more labels buy; empty without a learning curve or a price.
    """

    systems: tuple[SystemEconomics, ...]
    labeling_usd: float | None
    training_usd: float | None
    rate: Rate
    machine: str
    curve: tuple[CurvePoint, ...] = ()

    @property
    def student(self) -> SystemEconomics:
        """The student's figures."""
        return self.systems[-1]

    @property
    def upfront_usd(self) -> float | None:
        """What the student cost before its first note: labels and training."""
        if self.labeling_usd is None or self.training_usd is None:
            return None
        return self.labeling_usd + self.training_usd

    def recommendation(self) -> str:
        """What to do, in words."""
        return " ".join(_advice(self))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; ``break_even_notes``, ``usd_per_1k_notes`` and ``seconds_per_note`` are by system."""
        return {
            "break_even_notes": {s.name: s.break_even_notes for s in self.systems if s.kind == "teacher"},
            "usd_per_1k_notes": {s.name: s.usd_per_1k_notes for s in self.systems},
            "seconds_per_note": {s.name: s.seconds_per_note for s in self.systems},
            "systems": [system.to_dict() for system in self.systems],
            "labeling_usd": self.labeling_usd,
            "training_usd": self.training_usd,
            "upfront_usd": self.upfront_usd,
            "hardware": self.rate.to_dict(),
            "machine": self.machine,
            "curve": [{"documents": p.documents, "usd": p.usd, "f1": p.f1, "spread": p.spread} for p in self.curve],
            "recommendation": self.recommendation(),
        }

    def __str__(self) -> str:
        head = ["system", "F1", "$ per 1k notes", "s per note", "p50", "p95", "dearer", "slower", "break-even", ""]
        rows = [
            [
                s.name,
                _shown(s.f1, ".3f"),
                _dollars(s.usd_per_1k_notes),
                _shown(s.seconds_per_note, ".4f"),
                _shown(s.p50_seconds, ".3f"),
                _shown(s.p95_seconds, ".3f"),
                _times(s.times_cheaper),
                _times(s.times_faster),
                _shown(s.break_even_notes, ",d"),
                "best" if s.best else "",
            ]
            for s in self.systems
        ]
        return f"{text_table(head, rows)}\n{self.rate.says}; {self.machine}\n\n{self.recommendation()}"


def economics(
    labels: Labels,
    student: Predictor,
    *,
    notes: Iterable[Document | str] | None = None,
    gold: Iterable[Document] | None = None,
    scores: Mapping[str, Scores | float] | None = None,
    training_seconds: float = 0.0,
    hardware: str | float | None = None,
    usd_per_note: Mapping[str, float] | None = None,
    speed: InferenceBenchmark | None = None,
    curve: LearningCurve | None = None,
    seed: int = 0,
) -> Economics:
    """What teachers and student cost, in dollars and seconds, and after how many notes the student pays.

    Args:
        labels: what the teachers said of the notes that the student learnt from, with usage and seconds.
        student: the trained student.
        notes: what the student is timed on; None takes the first 200 that were labelled.
        gold: documents with the right spans, for F1: the student's, and that of each teacher that `labels` has an
            answer of on all of them.
        scores: F1 by system, or :class:`~clinidistill.Scores`, where it is known already.
        training_seconds: how long training took (``sum(epoch["seconds"] for epoch in history.epochs)``).
        hardware: the machine's price, as a name in :func:`~clinidistill.costs.hardware_prices` or in dollars an
            hour; None goes by what machine this is.
        usd_per_note: dollars a note of some teachers, in place of what their answers say: for recorded answers, say.
        speed: how fast the student was, from :func:`~clinidistill.benchmark_inference`; None times it now.
        curve: F1 by number of labelled notes, from :func:`~clinidistill.learning_curve`.
        seed: of the resampling that intervals come from.

    Raises:
        ConfigError: if there are no labelled notes, or a name or number cannot work.
    """
    if training_seconds < 0:
        raise ConfigError(f"training_seconds={training_seconds}: cannot be below 0")
    told = dict(usd_per_note or {})
    if strangers := set(told) - set(labels.teachers):
        teachers = ", ".join(labels.teachers)
        raise ConfigError(f"usd_per_note names {sorted(strangers)[0]!r}; the teachers are {teachers}")
    if not (sample := list(islice(labels.documents, _SAMPLE)) if notes is None else list(notes)):
        raise ConfigError("there are no labelled notes to go by")
    name = str(getattr(student, "name", type(student).__name__))
    if name in labels.teachers:
        name = f"{name} (student)"
    speed = speed or benchmark_inference({name: student}, sample, progress=False)
    ours = speed[name] if name in {system.name for system in speed} else speed.systems[0]
    rate = hourly_rate(hardware, speed.machine)
    f1 = _f1(labels, name, student, gold, scores or {})
    mine = np.array(ours.seconds) / ours.notes
    my_price = rate.cost(ours.seconds_per_note)
    draw = np.random.default_rng(seed)
    systems, billed = [], 0.0
    unknown = False
    for cost in labels.costs():
        dollars, seconds = _by_note(labels, cost, rate, told.get(cost.teacher))
        price = None if dollars is None or not len(dollars) else float(dollars.mean())
        wall = _wall(cost, seconds)
        if price is None or dollars is None:
            unknown = True
        else:
            billed += price * cost.documents
        hourly = None if rate.usd_per_hour is None else rate.usd_per_hour / 3600
        dearer = None if price is None or not hourly else _ratio(dollars, mine * hourly, price, draw)
        slower = None if wall is None else _ratio(seconds, mine, wall, draw)
        systems.append(
            SystemEconomics(
                cost.teacher,
                "teacher",
                cost.documents,
                f1.get(cost.teacher),
                price,
                wall,
                cost.p50_seconds,
                cost.p95_seconds,
                dearer,
                slower,
            )
        )
    systems.append(
        SystemEconomics(
            name,
            "student",
            ours.notes,
            f1.get(name),
            my_price,
            ours.seconds_per_note,
            ours.p50_seconds,
            ours.p95_seconds,
        )
    )
    labeling = None if unknown else billed
    training = rate.cost(training_seconds)
    upfront = None if labeling is None or training is None else labeling + training
    rows = [_placed(system, systems, upfront, my_price) for system in systems]
    number = sum(1 for _ in labels.documents)
    per_label = None if labeling is None else labeling / number
    return Economics(tuple(rows), labeling, training, rate, str(speed.machine), _curve(curve, per_label))


def _by_note(labels: Labels, cost: TeacherCost, rate: Rate, told: float | None) -> tuple[Floats | None, Floats]:
    """Dollars of each note that a teacher answered, None if unknown, and the seconds of each that tells them."""
    answers = [opinions.annotations.get(cost.teacher) for opinions in labels.select(cost.teacher)]
    there = [answer for answer in answers if answer is not None]
    seconds = np.array([answer.seconds for answer in there if answer.seconds is not None])
    if told is not None:
        return np.full(len(there), told), seconds
    dollars = []
    for answer in there:
        price = answer.cost_usd
        if price is None and "input_tokens" not in answer.usage and answer.seconds is not None:
            price = rate.cost(answer.seconds)  # what is computed here costs the machine's time
        if price is None:
            return None, seconds
        dollars.append(price)
    return np.array(dollars), seconds


def _wall(cost: TeacherCost, seconds: Floats) -> float | None:
    """Wall seconds a note: as they were run, else as if one after the other."""
    if cost.wall_seconds_per_document is not None:
        return cost.wall_seconds_per_document
    return float(seconds.mean()) if len(seconds) else None


def _ratio(theirs: Floats | None, mine: Floats, value: float, draw: np.random.Generator) -> tuple[float, Interval]:
    """How many times ours theirs is, with a percentile interval from resampling notes and repeats."""
    middle = float(np.median(mine))
    ratio = value / middle
    if theirs is None or not len(theirs) or not theirs.mean():
        return ratio, (ratio, ratio)
    notes = theirs[draw.integers(len(theirs), size=(_RESAMPLES, len(theirs)))].mean(axis=1) / theirs.mean() * value
    ours = np.median(mine[draw.integers(len(mine), size=(_RESAMPLES, len(mine)))], axis=1)
    low, high = np.quantile(notes / ours, (0.025, 0.975))
    return ratio, (float(low), float(high))


def _f1(
    labels: Labels,
    name: str,
    student: Predictor,
    gold: Iterable[Document] | None,
    scores: Mapping[str, Scores | float],
) -> dict[str, float]:
    """Strict micro F1 by system, as far as it is known."""
    found = {key: value.strict.micro.f1 if isinstance(value, Scores) else float(value) for key, value in scores.items()}
    if gold is None:
        return found
    right = list(gold)
    wanted = {document.id for document in right}
    found.setdefault(name, evaluate(right, student.predict(d.without_spans() for d in right)).strict.micro.f1)
    for teacher in labels.teachers:
        predicted = [document for document in labels.predictions(teacher) if document.id in wanted]
        if len(predicted) == len(right):
            found.setdefault(teacher, evaluate(right, predicted).strict.micro.f1)
    return found


def _placed(
    system: SystemEconomics, systems: Sequence[SystemEconomics], upfront: float | None, my_price: float | None
) -> SystemEconomics:
    """The system with its place among the others: break-even and whether it is on the front."""
    even = None
    if system.kind == "teacher" and upfront is not None and my_price is not None and system.usd_per_note is not None:
        saved = system.usd_per_note - my_price
        even = math.ceil(upfront / saved) if saved > 0 else None
    mine = _point(system)
    best = None
    if mine is not None:
        best = not any(_beats(other, mine) for each in systems if (other := _point(each)) is not None)
    return replace(system, break_even_notes=even, best=best)


def _point(system: SystemEconomics) -> tuple[float, float, float] | None:
    """What is to be small: minus F1, dollars, seconds."""
    if system.f1 is None or system.usd_per_note is None or system.seconds_per_note is None:
        return None
    return -system.f1, system.usd_per_note, system.seconds_per_note


def _beats(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))


def _curve(curve: LearningCurve | None, usd_per_note: float | None) -> tuple[CurvePoint, ...]:
    if curve is None or usd_per_note is None:
        return ()
    return tuple(CurvePoint(p.documents, p.documents * usd_per_note, p.f1, p.spread) for p in curve.points)


def _advice(figures: Economics) -> list[str]:
    student, teachers = figures.student, figures.systems[:-1]
    says = []
    if figures.upfront_usd is None:
        says.append("What the student cost to make is unknown, since a price is; give usd_per_note= or hardware=.")
    else:
        says.append(f"Making {student.name} cost {_dollars(figures.upfront_usd)} dollars (labels and training).")
    for teacher in teachers:
        if teacher.break_even_notes is not None and teacher.usd_per_note is not None:
            says.append(
                f"It is cheaper than {teacher.name} from note {max(teacher.break_even_notes, 1):,} on"
                + (f", by a factor of {teacher.times_cheaper[0]:,.0f} a note." if teacher.times_cheaper else ".")
            )
    if student.usd_per_note is not None:
        never = [t.name for t in teachers if t.break_even_notes is None and t.usd_per_note is not None]
        if never:
            names = " and ".join([", ".join(never[:-1]), never[-1]] if len(never) > 1 else never)
            says.append(f"It will never be cheaper than {names}, which cost{'s' * (len(never) == 1)} no more a note.")
    scored = [teacher for teacher in teachers if teacher.f1 is not None]
    if student.f1 is not None and scored:
        top = max(scored, key=lambda teacher: teacher.f1 or 0.0)
        gap = student.f1 - (top.f1 or 0.0)
        if gap >= 0:
            says.append(f"It is at least as good as every teacher that was scored (F1 {student.f1:.3f}): use it.")
        else:
            says.append(
                f"{top.name} has {-gap:.3f} more F1: ask it where that matters more than price, and the student for "
                "the rest."
            )
    return says


def _shown(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _dollars(value: float | None) -> str:
    """Three significant digits, never rounded to nothing."""
    if value is None:
        return "–"
    return f"{value:,.2f}" if value >= 1 or value == 0 else f"{value:.3g}"


def _times(ratio: tuple[float, Interval] | None) -> str:
    if ratio is None:
        return "–"
    value, (low, high) = ratio
    return f"{value:,.3g}x [{low:,.3g}, {high:,.3g}]"

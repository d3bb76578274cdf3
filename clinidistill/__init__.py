"""clinidistill: distil expensive teachers into a small, fast clinical entity extractor.

>>> import clinidistill as cd
>>> note = cd.Document("n1", "Started metformin 500 mg.")
>>> teacher = cd.load_teacher("terminology", terminology=["metformin"], label="medication")
>>> labels = cd.label([note], [teacher])
>>> [note.mention(span) for note in cd.load_aggregator("majority").combine(labels) for span in note.spans]
['metformin']

Names are handed on when they are first used, so that importing the package loads neither torch, transformers
nor httpx.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "clinidistill.aggregation": (
        "Aggregator",
        "Combination",
        "LabelModel",
        "Search",
        "load_aggregator",
        "register_aggregator",
        "search_teachers",
    ),
    "clinidistill.aggregation.agreement": ("Agreement", "agreement"),
    "clinidistill.aggregation.review": ("review_queue",),
    "clinidistill.datasets": ("Dataset", "MemoryDataset", "load_dataset", "register_dataset"),
    "clinidistill.datasets.leakage": ("Leakage", "check_leakage"),
    "clinidistill.distiller": ("Distiller", "History"),
    "clinidistill.costs": ("Economics", "InferenceBenchmark", "benchmark_inference", "economics"),
    "clinidistill.evaluation": (
        "Comparison",
        "ErrorAnalysis",
        "LearningCurve",
        "analyse_errors",
        "compare",
        "compare_unpaired",
        "evaluate",
        "learning_curve",
    ),
    "clinidistill.grounding": ("Grounding", "ground", "ground_markup"),
    "clinidistill.labeling": ("estimate", "label", "relabel"),
    "clinidistill.labels": ("Labels", "Opinions", "TeacherCost"),
    "clinidistill.linking": ("Candidate", "Linker", "link"),
    "clinidistill.llm": ("Provider", "register_provider"),
    "clinidistill.plots": (
        "plot_agreement",
        "plot_break_even",
        "plot_costs",
        "plot_history",
        "plot_learning_curve",
        "plot_scores",
    ),
    "clinidistill.recipe": ("Recipe", "run"),
    "clinidistill.registry": ("ComponentInfo", "available"),
    "clinidistill.reproduction": ("Experiment", "Reproduction", "reproduce"),
    "clinidistill.selection": ("Selection", "select"),
    "clinidistill.store": ("LabelStore",),
    "clinidistill.students": ("Student", "load_student", "register_student"),
    "clinidistill.teachers": ("LanguageModelTeacher", "Teacher", "load_teacher", "register_teacher"),
    "clinidistill.terminologies": ("Concept", "Terminology", "load_terminology", "register_terminology"),
    "clinidistill.types": (
        "CLINICAL",
        "DISEASE",
        "MEDICATION",
        "SYMPTOM",
        "Annotation",
        "Document",
        "EntityType",
        "Estimate",
        "Metrics",
        "SchemeScores",
        "Scores",
        "Span",
        "Task",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", "errors", *sorted(_HOME_OF)]  # noqa: PLE0604 - names come from the table above


def __getattr__(name: str) -> Any:
    if name in ("errors", "interop", "scale", "testing"):
        return importlib.import_module(f"clinidistill.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'clinidistill' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if TYPE_CHECKING:
    from clinidistill import errors as errors
    from clinidistill.aggregation import Aggregator as Aggregator
    from clinidistill.aggregation import Combination as Combination
    from clinidistill.aggregation import LabelModel as LabelModel
    from clinidistill.aggregation import Search as Search
    from clinidistill.aggregation import load_aggregator as load_aggregator
    from clinidistill.aggregation import register_aggregator as register_aggregator
    from clinidistill.aggregation import search_teachers as search_teachers
    from clinidistill.aggregation.agreement import Agreement as Agreement
    from clinidistill.aggregation.agreement import agreement as agreement
    from clinidistill.aggregation.review import review_queue as review_queue
    from clinidistill.costs import Economics as Economics
    from clinidistill.costs import InferenceBenchmark as InferenceBenchmark
    from clinidistill.costs import benchmark_inference as benchmark_inference
    from clinidistill.costs import economics as economics
    from clinidistill.datasets import Dataset as Dataset
    from clinidistill.datasets import MemoryDataset as MemoryDataset
    from clinidistill.datasets import load_dataset as load_dataset
    from clinidistill.datasets import register_dataset as register_dataset
    from clinidistill.datasets.leakage import Leakage as Leakage
    from clinidistill.datasets.leakage import check_leakage as check_leakage
    from clinidistill.distiller import Distiller as Distiller
    from clinidistill.distiller import History as History
    from clinidistill.evaluation import Comparison as Comparison
    from clinidistill.evaluation import ErrorAnalysis as ErrorAnalysis
    from clinidistill.evaluation import LearningCurve as LearningCurve
    from clinidistill.evaluation import analyse_errors as analyse_errors
    from clinidistill.evaluation import compare as compare
    from clinidistill.evaluation import compare_unpaired as compare_unpaired
    from clinidistill.evaluation import evaluate as evaluate
    from clinidistill.evaluation import learning_curve as learning_curve
    from clinidistill.grounding import Grounding as Grounding
    from clinidistill.grounding import ground as ground
    from clinidistill.grounding import ground_markup as ground_markup
    from clinidistill.labeling import estimate as estimate
    from clinidistill.labeling import label as label
    from clinidistill.labeling import relabel as relabel
    from clinidistill.labels import Labels as Labels
    from clinidistill.labels import Opinions as Opinions
    from clinidistill.labels import TeacherCost as TeacherCost
    from clinidistill.linking import Candidate as Candidate
    from clinidistill.linking import Linker as Linker
    from clinidistill.linking import link as link
    from clinidistill.llm import Provider as Provider
    from clinidistill.llm import register_provider as register_provider
    from clinidistill.plots import plot_agreement as plot_agreement
    from clinidistill.plots import plot_break_even as plot_break_even
    from clinidistill.plots import plot_costs as plot_costs
    from clinidistill.plots import plot_history as plot_history
    from clinidistill.plots import plot_learning_curve as plot_learning_curve
    from clinidistill.plots import plot_scores as plot_scores
    from clinidistill.recipe import Recipe as Recipe
    from clinidistill.recipe import run as run
    from clinidistill.registry import ComponentInfo as ComponentInfo
    from clinidistill.registry import available as available
    from clinidistill.reproduction import Experiment as Experiment
    from clinidistill.reproduction import Reproduction as Reproduction
    from clinidistill.reproduction import reproduce as reproduce
    from clinidistill.selection import Selection as Selection
    from clinidistill.selection import select as select
    from clinidistill.store import LabelStore as LabelStore
    from clinidistill.students import Student as Student
    from clinidistill.students import load_student as load_student
    from clinidistill.students import register_student as register_student
    from clinidistill.teachers import LanguageModelTeacher as LanguageModelTeacher
    from clinidistill.teachers import Teacher as Teacher
    from clinidistill.teachers import load_teacher as load_teacher
    from clinidistill.teachers import register_teacher as register_teacher
    from clinidistill.terminologies import Concept as Concept
    from clinidistill.terminologies import Terminology as Terminology
    from clinidistill.terminologies import load_terminology as load_terminology
    from clinidistill.terminologies import register_terminology as register_terminology
    from clinidistill.types import CLINICAL as CLINICAL
    from clinidistill.types import DISEASE as DISEASE
    from clinidistill.types import MEDICATION as MEDICATION
    from clinidistill.types import SYMPTOM as SYMPTOM
    from clinidistill.types import Annotation as Annotation
    from clinidistill.types import Document as Document
    from clinidistill.types import EntityType as EntityType
    from clinidistill.types import Estimate as Estimate
    from clinidistill.types import Metrics as Metrics
    from clinidistill.types import SchemeScores as SchemeScores
    from clinidistill.types import Scores as Scores
    from clinidistill.types import Span as Span
    from clinidistill.types import Task as Task

"""Rules for students."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from clinidistill.component import Component
from clinidistill.errors import DataError
from clinidistill.registry import registry
from clinidistill.students import load_student
from clinidistill.students.base import Student
from clinidistill.testing.marking import Answer, MarkingCase, marking_rules
from clinidistill.testing.notes import HOSTILE, documents_of
from clinidistill.testing.pickles import pickled
from clinidistill.testing.rules import Rule, add, broken, leave_out, try_all
from clinidistill.testing.shared import COMPONENT_RULES
from clinidistill.types import Document

__all__ = ["STUDENT_RULES", "StudentCase", "check_student"]


def check_student(
    student: Student, documents: Iterable[Document | str] | None = None, *, save: bool = True
) -> dict[str, str]:
    """Check that a student keeps the contract of :class:`~clinidistill.students.base.Student`.

    Args:
        student: a trained student.
        documents: a few notes in which it marks something; None takes some of the demo notes.
        save: whether it is saved (to a temporary folder) and loaded.

    Returns:
        The rules that could not be tried on it, with why.

    Raises:
        ConformanceError: at the first rule that it breaks.
    """
    return try_all(STUDENT_RULES, StudentCase(student, documents, save=save))


class StudentCase(MarkingCase):
    """A student under test."""

    group = "students"
    base = Student
    component: Student

    def __init__(self, student: Student, documents: Iterable[Document | str] | None = None, *, save: bool = True):
        super().__init__(student, documents_of(documents))
        self.save = save

    @property
    def labels(self) -> frozenset[str]:
        return frozenset(self.component.labels)

    def beside(self, component: Component) -> StudentCase:
        assert isinstance(component, Student)
        return StudentCase(component, self.documents, save=self.save)

    def stream(self, documents: Iterable[Document]) -> Iterator[Document]:
        if not self.component.labels:
            leave_out("it has no labels yet; train it first")
        return iter(self.component.predict(documents))

    def mark(self, documents: Sequence[Document]) -> list[Answer]:
        found = list(self.stream(documents))
        if [(each.id, each.text) for each in found] != [(each.id, each.text) for each in documents]:
            broken(
                "predict gives other documents, or another order, than it got; yield document.with_spans(...) of each",
                "student/predict",
            )
        return [Answer(each.spans, each.covers) for each in found]

    def saved(self, folder: Path) -> Path:
        """The student saved in a folder below `folder`; the rule is left out where it is not to be saved."""
        if not self.save:
            leave_out("save=False")
        if not self.component.labels:
            leave_out("it has no labels yet; train it first")
        self.component.save(folder / "saved")
        return folder / "saved"


STUDENT_RULES: list[Rule] = []


@add(STUDENT_RULES, "student/predict")
def predict_keeps_documents(case: StudentCase) -> None:
    """`predict` gives one document for each, in order, with its spans in place of theirs and all else kept."""
    texts = [document.text for document in case.documents]
    documents = [Document(each.id, each.text, meta={"n": n}) for n, each in enumerate(case.documents)]
    if [dict(each.meta) for each in case.stream(documents)] != [each.meta for each in documents]:
        broken("predict loses the meta of documents; yield document.with_spans(...) of each")
    found = list(case.component.predict(iter(texts)))
    if [(each.id, each.text) for each in found] != [(str(n), text) for n, text in enumerate(texts)]:
        broken("strings do not become documents with the ids '0', '1', …; take them through as_documents()")
    if list(case.component.predict([])):
        broken("predict gives documents where there are none")


@add(STUDENT_RULES, "student/hostile")
def hostile_notes_are_predicted(case: StudentCase) -> None:
    """No text of well-formed Unicode ends a stream."""
    case.mark([Document(f"hostile-{n}", text) for n, text in enumerate([*HOSTILE, " ".join(HOSTILE), "x" * 5000])])


*_MARKING, _HUGE = marking_rules("student")
STUDENT_RULES += _MARKING


@add(STUDENT_RULES, "student/doubts")
def doubts_are_bits(case: StudentCase) -> None:
    """`doubts` tells for each document, in order, places in it and the entropy there in bits."""
    if not case.component.labels:
        leave_out("it has no labels yet; train it first")
    doubts = list(case.component.doubts(case.documents))
    if len(doubts) != len(case.documents):
        broken(f"doubts gives {len(doubts)} answers on {len(case.documents)} documents")
    for document, (starts, bits) in zip(case.documents, doubts, strict=True):
        if len(starts) != len(bits) or not np.isfinite(bits).all() or (np.asarray(bits) < -1e-6).any():
            broken(f"its doubts about document {document.id!r} are not one number of bits, 0 or more, for each place")
        if len(starts) and (min(starts) < 0 or max(starts) > len(document.text)):
            broken(f"its doubts about document {document.id!r} are at places outside of the text")


@add(STUDENT_RULES, "student/save")
def saved_students_come_back(case: StudentCase) -> None:
    """A student that was saved predicts, when it is loaded from wherever its folder was moved to, what it predicted."""
    with TemporaryDirectory() as folder:
        moved = shutil.move(case.saved(Path(folder)), Path(folder) / "moved")
        again = _loaded(case, Path(moved))
        if tuple(again.labels) != tuple(case.component.labels):
            broken("it has other labels when it is loaded; save them")
        answers = case.beside(again).mark(case.documents)
    for document, before, after in zip(case.documents, case.plain, answers, strict=True):
        if case.component.deterministic and not before.like(after):
            broken(f"it predicts otherwise on document {document.id!r} when it was saved and loaded")


def _loaded(case: StudentCase, folder: Path) -> Student:
    cls, students = type(case.component), registry("students")
    if cls.registered_name not in students.names() or students.get(str(cls.registered_name)) is not cls:
        return cls.load(folder)
    again = load_student(folder)
    if type(again) is not cls:
        broken(
            f"load_student takes its folder for a {type(again).__name__}; write {{'student': registered_name}} into "
            "clinidistill.json"
        )
    return again


@add(STUDENT_RULES, "student/no-pickle")
def nothing_is_pickled(case: StudentCase) -> None:
    """What it saves holds no pickles, which run code when they are loaded: safetensors, JSON, ONNX and the like."""
    with TemporaryDirectory() as folder:
        saved = case.saved(Path(folder))
        if found := [file.relative_to(saved).as_posix() for file in sorted(saved.rglob("*")) if pickled(file)]:
            broken(f"it pickles {', '.join(found[:3])}; write weights as safetensors and settings as JSON")


@add(STUDENT_RULES, "student/load")
def other_folders_are_refused(case: StudentCase) -> None:
    """`load` says DataError of a folder that holds no student."""
    with TemporaryDirectory() as folder:
        try:
            type(case.component).load(folder)
        except DataError:
            return
    broken("load takes an empty folder for a student; raise DataError, which names what is missing")


STUDENT_RULES += [*COMPONENT_RULES, _HUGE]  # the slowest last

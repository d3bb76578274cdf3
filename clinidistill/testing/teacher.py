"""Rules for teachers."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence

from clinidistill.component import Component
from clinidistill.errors import ConfigError
from clinidistill.labeling import label
from clinidistill.teachers.base import Teacher
from clinidistill.testing.marking import Answer, MarkingCase, marking_rules
from clinidistill.testing.notes import CANARY, HOSTILE, LONE_SURROGATE, documents_of, quotes
from clinidistill.testing.rules import Rule, add, broken, leave_out, try_all
from clinidistill.testing.shared import COMPONENT_RULES
from clinidistill.types import Annotation, Document

__all__ = ["TEACHER_RULES", "TeacherCase", "check_teacher"]

_EACH = "teacher/annotations"


def check_teacher(teacher: Teacher, documents: Iterable[Document | str] | None = None) -> dict[str, str]:
    """Check that a teacher keeps the contract of :class:`~clinidistill.teachers.base.Teacher`.

    A teacher that is `remote` is not asked about notes: give its instance the address of a server on this machine.

    Args:
        teacher: the teacher.
        documents: a few notes in which it marks something; None takes some of the demo notes.

    Returns:
        The rules that could not be tried on it, with why.

    Raises:
        ConformanceError: at the first rule that it breaks.
    """
    return try_all(TEACHER_RULES, TeacherCase(teacher, documents))


class TeacherCase(MarkingCase):
    """A teacher under test."""

    group = "teachers"
    base = Teacher
    component: Teacher

    def __init__(self, teacher: Teacher, documents: Iterable[Document | str] | None = None):
        super().__init__(teacher, documents_of(documents))

    @property
    def remote(self) -> bool:
        return self.component.remote

    @property
    def labels(self) -> frozenset[str] | None:
        labels = self.component.labels
        return None if labels is None else frozenset(labels)

    def beside(self, component: Component) -> TeacherCase:
        assert isinstance(component, Teacher)
        return TeacherCase(component, self.documents)

    def stream(self, documents: Iterable[Document]) -> Iterator[Annotation]:
        if self.remote:
            leave_out("it is remote; make it with the address of a server on this machine")
        return iter(self.component.annotate(documents))

    def mark(self, documents: Sequence[Document]) -> list[Answer]:
        found: dict[str, Answer] = {}
        for annotation in self.stream(documents):
            if annotation.document_id in found:
                broken(f"it gives two annotations of document {annotation.document_id!r}", _EACH)
            if annotation.teacher != self.component.name:
                broken(f"it signs an annotation {annotation.teacher!r}, and its name is {self.component.name!r}", _EACH)
            found[annotation.document_id] = Answer(annotation.spans, annotation.covers, annotation.error)
        for document in documents:
            if document.id not in found:
                broken(
                    f"it gives no annotation of document {document.id!r}; one for each, a failed one if need be", _EACH
                )
        if strange := found.keys() - {document.id for document in documents}:
            broken(f"it gives an annotation of {sorted(strange)[0]!r}, a document that it did not get", _EACH)
        return [found[document.id] for document in documents]


TEACHER_RULES: list[Rule] = []


@add(TEACHER_RULES, _EACH)
def one_annotation_each(case: TeacherCase) -> None:
    """`annotate` gives one annotation for each document, in any order, signed with the teacher's name."""
    case.mark(case.documents)
    if case.mark([]):
        broken("it gives annotations where there are no documents")


@add(TEACHER_RULES, "teacher/failures")
def failures_are_annotations(case: TeacherCase) -> None:
    """A document that it dies on gets a failed annotation, and the next ones are annotated all the same."""
    hostile = [*HOSTILE, LONE_SURROGATE, "", f"{LONE_SURROGATE} {CANARY}", "\x00" * 100]
    notes = [Document(f"hostile-{number}", text) for number, text in enumerate(hostile)]
    first, *_ = case.documents
    documents = [first, *notes, Document("last", first.text)]
    answers = case.mark(documents)
    if answers[0].error is None and answers[-1].error is not None and case.mark([documents[-1]])[0].error is None:
        broken("after a document that it fails on it fails on good ones; begin each anew")
    dying = copy.copy(case.component)
    try:
        object.__setattr__(dying, "label_document", _die)
    except AttributeError:  # it has slots
        return
    for answer in case.beside(dying).mark(documents):
        if answer.error is not None and quotes(answer.error, [CANARY]):
            broken(
                "its failed annotation has the message of a stranger's error, which may quote the note; describe() it"
            )


def _die(document: Document) -> None:
    raise RuntimeError(f"{CANARY}: {document.text}")


*_MARKING, _HUGE = marking_rules("teacher")
TEACHER_RULES += _MARKING


@add(TEACHER_RULES, "teacher/predict")
def predict_keeps_documents(case: TeacherCase) -> None:
    """`predict` gives the documents in order, with the spans of `annotate` in place of theirs, and all else kept."""
    good = [
        Document(document.id, document.text, meta={"n": number})
        for number, (document, answer) in enumerate(zip(case.documents, case.plain, strict=True))
        if answer.error is None
    ]
    if not good:
        leave_out("it fails on all of the sample notes; give documents= that it knows")
    plain = [answer for answer in case.plain if answer.error is None]
    predicted = list(case.component.predict(iter(good)))
    if [(d.id, d.text, dict(d.meta)) for d in predicted] != [(d.id, d.text, dict(d.meta)) for d in good]:
        broken("predict gives other documents, or another order, than it got; yield document.with_spans(...) of each")
    if case.component.deterministic:
        for document, answer in zip(predicted, plain, strict=True):
            if not answer.like(Answer(document.spans)):
                broken(f"predict and annotate differ on document {document.id!r}; have one call the other")


@add(TEACHER_RULES, "teacher/label-step")
def label_step_agrees(case: TeacherCase) -> None:
    """In the label step, through a store, it marks what it marks by itself."""
    case.need_determinism()
    try:
        case.component.fingerprint  # noqa: B018 - which the store needs, and component/fingerprint-stable is about
    except ConfigError:
        leave_out("it has no fingerprint")
    plain = {document.id: answer for document, answer in zip(case.documents, case.plain, strict=True)}
    labels = label(case.documents, {"checked": case.component}, progress=False)
    for opinions in labels:
        said = opinions.annotations["checked"]
        if not plain[opinions.document.id].like(Answer(said.spans, said.covers, said.error)):
            broken(f"the label step has other spans of document {said.document_id!r} than annotate gave")


@add(TEACHER_RULES, "teacher/remote")
def remote_waits_for_permission(case: TeacherCase) -> None:
    """A teacher that is `remote` sends nothing before the caller allowed it: `predict` raises ConfigError."""
    if not case.remote:
        leave_out("it is not remote")
    if case.component.options.get("allow_remote"):
        leave_out("it was made with allow_remote=True")
    try:
        next(case.component.predict([Document("n1", "On metformin.")]), None)
    except ConfigError:
        return
    broken("predict goes on though nobody allowed notes to leave this machine; call self.check_remote() first")


TEACHER_RULES += [*COMPONENT_RULES, _HUGE]  # the slowest last

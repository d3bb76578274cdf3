"""Rules for aggregators."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from clinidistill.aggregation.base import Aggregator, covered
from clinidistill.component import Component
from clinidistill.datasets.base import Dataset
from clinidistill.errors import ClinidistillError
from clinidistill.labels import Labels
from clinidistill.testing.listening import listening
from clinidistill.testing.notes import CANARY, HOSTILE, quotes
from clinidistill.testing.options import rebuilt
from clinidistill.testing.rules import Case, Rule, add, broken, leave_out, try_all
from clinidistill.testing.shared import COMPONENT_RULES
from clinidistill.testing.threads import in_threads
from clinidistill.types import Annotation, Document, Span

__all__ = ["AGGREGATOR_RULES", "AggregatorCase", "check_aggregator"]

_LOOK_AHEAD = 4096  # documents
_SCORES = 1e-6


def check_aggregator(
    aggregator: Aggregator, labels: Labels | None = None, dev: Iterable[Document] | None = None
) -> dict[str, str]:
    """Check that an aggregator keeps the contract of :class:`~clinidistill.aggregation.base.Aggregator`.

    Args:
        aggregator: the aggregator; it is fitted on copies made of its options.
        labels: opinions to combine; None takes those of made-up teachers, of whom one knows fewer labels, one fails on
            some notes, and one has not seen all.
        dev: human-labelled documents of these, for one that learns from them.

    Returns:
        The rules that could not be tried on it, with why.

    Raises:
        ConformanceError: at the first rule that it breaks.
    """
    return try_all(AGGREGATOR_RULES, AggregatorCase(aggregator, labels, dev))


class AggregatorCase(Case):
    """An aggregator under test."""

    group = "aggregators"
    base = Aggregator
    component: Aggregator

    def __init__(self, aggregator: Aggregator, labels: Labels | None = None, dev: Iterable[Document] | None = None):
        super().__init__(aggregator)
        if labels is None:
            gold = _gold()
            labels, dev = made_up(gold), gold[:15] if dev is None else dev
        self.labels = labels
        self.dev = None if dev is None else list(dev)

    def answers(self) -> list[Any]:
        return [_comparable(document) for document in self.fitted().combine(self.labels)]

    def beside(self, component: Component) -> AggregatorCase:
        assert isinstance(component, Aggregator)
        return AggregatorCase(component, self.labels, self.dev)

    def fitted(self, labels: Labels | None = None) -> Aggregator:
        """One made of the same options, fitted."""
        fresh = rebuilt(self.component, {})
        assert isinstance(fresh, Aggregator)
        return fresh.fit(self.labels if labels is None else labels, self.dev if fresh.learns_from_dev else None)

    def silver(self, labels: Labels | None = None) -> list[Document]:
        """What it makes of opinions."""
        chosen = self.labels if labels is None else labels
        return list(self.fitted(chosen).combine(chosen))


def _comparable(document: Document) -> tuple[Any, ...]:
    spans = tuple((*span.key, round(span.score, 4), span.code, span.fragments) for span in document.spans)
    return document.id, spans, document.covers


_LABELS = ("medication", "symptom")
_WORDS = {"medication": ("metformin", "aspirin", "warfarin"), "symptom": ("chest pain", "fever", "rash")}


def _gold() -> list[Document]:
    """Thirty short notes with hostile characters, each with a medication and a symptom."""
    notes = []
    for number in range(30):
        strange = HOSTILE[number % len(HOSTILE)]
        text, spans = f"{strange} ", []
        for label in _LABELS:
            mention = _WORDS[label][number % 3]
            spans.append(Span(len(text), len(text) + len(mention), label))
            text += f"{mention} {strange} "
        notes.append(Document(f"note-{number}", text, tuple(spans), frozenset(_LABELS), {"n": number}))
    return notes


def made_up(gold: Sequence[Document]) -> Labels:
    """Opinions of four teachers: a good one, one that errs, one that knows medications only, one that often fails."""

    def opinion(teacher: str, number: int, note: Document) -> Annotation | None:
        drug, symptom = note.spans
        drug, symptom = (Span(span.start, span.end, span.label, source=teacher) for span in (drug, symptom))
        known: frozenset[str] = frozenset(_LABELS)
        if teacher == "good":
            spans = [drug, symptom]
        elif teacher == "erring":
            wide = Span(symptom.start, symptom.end + 1, "symptom", 0.7, teacher)
            spans = [drug, wide] if number % 3 == 0 else [symptom] if number % 3 == 1 else [drug]
        elif teacher == "drugs":
            known = frozenset({"medication"})
            spans = [Span(drug.start, drug.end, "medication", 1.0, teacher, "6809")]
        elif number % 4 == 0:
            return Annotation(note.id, teacher, covers=known, error="ServerError: it broke")
        elif number % 4 == 1:
            return None
        else:
            spans = [drug] if number % 4 == 2 else [symptom]
        return Annotation(note.id, teacher, tuple(spans), known)

    teachers = ("good", "erring", "drugs", "failing")
    table = {
        teacher: {
            note.id: said for number, note in enumerate(gold) if (said := opinion(teacher, number, note)) is not None
        }
        for teacher in teachers
    }
    return labels_of([note.without_spans() for note in gold], table)


def labels_of(documents: Iterable[Document], table: Mapping[str, Mapping[str, Annotation]]) -> Labels:
    """Annotations at hand as labels."""
    return Labels(documents, table, lambda teacher, _: table[teacher])


AGGREGATOR_RULES: list[Rule] = []


@add(AGGREGATOR_RULES, "aggregator/documents")
def documents_are_kept(case: AggregatorCase) -> None:
    """`combine` gives the documents of the labels, in order, with silver spans, and can be iterated again."""
    fitted = case.fitted()
    if not isinstance(fitted, Aggregator):
        broken(f"fit returns a {type(fitted).__name__}; return self")
    silver = fitted.combine(case.labels)
    first, again = list(silver), list(silver)
    given = [(each.document.id, each.document.text, dict(each.document.meta)) for each in case.labels]
    if [(each.id, each.text, dict(each.meta)) for each in first] != given:
        broken("combine gives other documents, or another order, than the labels have")
    if [_comparable(each) for each in first] != [_comparable(each) for each in again]:
        broken("what combine returns gives something else when it is iterated again")


@add(AGGREGATOR_RULES, "aggregator/determinism")
def combines_alike(case: AggregatorCase) -> None:
    """The same labels give the same silver, in any thread, or it declares `deterministic = False`."""
    if not case.component.deterministic:
        leave_out("it declares that it is not deterministic")
    first = case.answers()
    if case.answers() != first:
        broken("fitted and asked again it gives another silver; fix seeds, or declare deterministic = False")
    fitted = case.fitted()
    for found in in_threads(lambda: [_comparable(each) for each in fitted.combine(case.labels)]):
        if found != first:
            broken("with several threads at a time it gives another silver; keep no state on self in combine_document")


@add(AGGREGATOR_RULES, "aggregator/covers")
def covers_what_teachers_knew(case: AggregatorCase) -> None:
    """A silver document covers what at least one teacher with a vote looked for, and its spans have such labels."""
    for opinions, document in zip(case.labels, case.silver(), strict=True):
        known = covered(opinions)
        if document.covers != known:
            broken(f"document {document.id!r} does not cover what its teachers looked for; take base's combine")
        if known is not None and (strange := document.labels - known):
            broken(f"on document {document.id!r} it marks {sorted(strange)}, which no teacher with a vote looked for")


@add(AGGREGATOR_RULES, "aggregator/opinions")
def marks_what_someone_marked(case: AggregatorCase) -> None:
    """Each silver span touches a span of a teacher with a vote on its label, and lies in the text."""
    for opinions, document in zip(case.labels, case.silver(), strict=True):
        for span in document.spans:
            voters = opinions.voters(span.label)
            if not any(span.overlaps(other) for voter in voters for other in voter.spans):
                broken(f"on document {document.id!r} it marks [{span.start}, {span.end}), where no teacher did")


@add(AGGREGATOR_RULES, "aggregator/abstention")
def failures_abstain(case: AggregatorCase) -> None:
    """A teacher that failed on a document has no vote there: it is as if it had not been asked."""
    documents = [opinions.document for opinions in case.labels]
    table: dict[str, dict[str, Annotation]] = {teacher: {} for teacher in case.labels.teachers}
    failed = 0
    for opinions in case.labels:
        for teacher, annotation in opinions.annotations.items():
            failed += annotation.failed
            if not annotation.failed:
                table[teacher][opinions.document.id] = annotation
    if not failed:
        leave_out("no teacher failed in the labels")
    without = case.silver(labels_of(documents, table))
    for one, other in zip(case.silver(), without, strict=True):
        if not _alike(one, other):
            broken(f"a failed annotation changes document {one.id!r}; ask opinions.voters(label) who has a vote")


def _alike(one: Document, other: Document) -> bool:
    return [span.key for span in one.spans] == [span.key for span in other.spans] and all(
        abs(a.score - b.score) < _SCORES for a, b in zip(one.spans, other.spans, strict=True)
    )


@add(AGGREGATOR_RULES, "aggregator/document-by-document")
def documents_by_themselves(case: AggregatorCase) -> None:
    """Once fitted, it combines a document by itself as among others."""
    fitted = case.fitted()
    for opinions, document in zip(case.labels, fitted.combine(case.labels), strict=True):
        alone = opinions.document.with_spans(fitted.combine_document(opinions))
        if not _alike(document, alone):
            broken(f"combine_document says something else of document {document.id!r} than combine does")


@add(AGGREGATOR_RULES, "aggregator/dev")
def dev_is_used_as_declared(case: AggregatorCase) -> None:
    """It learns from human labels if it says so in `learns_from_dev`, and only then."""
    if case.dev is None:
        leave_out("there are no human-labelled documents; give dev=")
    fresh = rebuilt(case.component, {})
    assert isinstance(fresh, Aggregator)
    with_dev = [_comparable(each) for each in fresh.fit(case.labels, case.dev).combine(case.labels)]
    if not fresh.learns_from_dev and case.component.deterministic and with_dev != case.answers():
        broken("human labels change what it gives, and it does not say so; set learns_from_dev = True")


@add(AGGREGATOR_RULES, "aggregator/little")
def little_is_enough(case: AggregatorCase) -> None:
    """Labels without documents, without spans, or of one teacher are combined, or refused with one of our errors."""
    notes = [opinions.document for opinions in case.labels][:3]
    nothing = {note.id: Annotation(note.id, "one", (), frozenset({"medication"})) for note in notes}
    little: dict[str, Labels] = {
        "no documents": labels_of([], {"one": {}}),
        "no spans": labels_of(notes, {"one": nothing}),
        "no annotations": labels_of(notes, {"one": {}}),
        "no teachers": labels_of(notes, {}),
    }
    for what, labels in little.items():
        fresh = rebuilt(case.component, {})
        assert isinstance(fresh, Aggregator)
        try:
            silver = list(fresh.fit(labels).combine(labels))
        except ClinidistillError:
            continue
        if any(document.spans for document in silver):
            broken(f"of labels with {what} it makes spans")
        if len(silver) != sum(1 for _ in labels):
            broken(f"of labels with {what} it gives {len(silver)} documents")


class _Counted(Dataset):
    def __init__(self, documents: Sequence[Document]):
        self.documents, self.drawn = documents, 0

    def __iter__(self) -> Iterator[Document]:
        self.drawn = 0
        for round_ in range(2 * _LOOK_AHEAD // len(self.documents) + 1):
            for document in self.documents:
                self.drawn += 1
                yield Document(f"{round_}-{document.id}", document.text)


@add(AGGREGATOR_RULES, "aggregator/laziness")
def combines_lazily(case: AggregatorCase) -> None:
    """Once fitted, it reads documents as it gives silver: no more than 4096 ahead."""
    by_id = {opinions.document.id: opinions for opinions in case.labels}
    counted = _Counted([opinions.document for opinions in case.labels])

    def lookup(teacher: str, documents: Sequence[Document]) -> Mapping[str, Annotation]:
        found = {}
        for document in documents:
            said = by_id[document.id.partition("-")[2]].annotations.get(teacher)
            if said is not None:
                found[document.id] = said
        return found

    fitted = case.fitted()
    next(iter(fitted.combine(Labels(counted, case.labels.teachers, lookup))))
    if counted.drawn > _LOOK_AHEAD:
        broken(f"it read {counted.drawn} documents before it gave the first; combine as they come")


@add(AGGREGATOR_RULES, "aggregator/inputs")
def inputs_are_left_alone(case: AggregatorCase) -> None:
    """It leaves annotations and documents, their `meta` too, as they are."""
    opinions = list(case.labels)
    before = copy.deepcopy([(each.document, dict(each.annotations)) for each in opinions])
    dev = copy.deepcopy(case.dev)
    fitted = case.fitted()
    for each in opinions:
        list(fitted.combine_document(each))
    if [(each.document, dict(each.annotations)) for each in opinions] != before or case.dev != dev:
        broken("it changes the annotations or documents that it gets; make others")


@add(AGGREGATOR_RULES, "aggregator/privacy")
def notes_stay_private(case: AggregatorCase) -> None:
    """No text of a note stands in its repr, or in what it logs, warns or prints, whatever level it has."""
    documents = [Document(o.document.id, f"{o.document.text} {CANARY}", meta=o.document.meta) for o in case.labels]
    table = {
        teacher: {o.document.id: o.annotations[teacher] for o in case.labels if teacher in o.annotations}
        for teacher in case.labels.teachers
    }
    dev, case_dev = case.dev, None if case.dev is None else {each.id: each for each in case.dev}
    labels = labels_of(documents, table)
    private = AggregatorCase(
        case.component,
        labels,
        None
        if dev is None or case_dev is None
        else [
            Document(d.id, d.text, case_dev[d.id].spans, case_dev[d.id].covers) for d in documents if d.id in case_dev
        ],
    )
    with listening() as heard:
        fitted = private.fitted()
        list(fitted.combine(labels))
    texts = [document.text for document in documents]
    if any(quotes(view, texts) for view in [*heard, repr(fitted), repr(fitted.options)]):
        broken("its repr or its logs hold text of notes; tell ids, labels and counts instead")


AGGREGATOR_RULES += COMPONENT_RULES

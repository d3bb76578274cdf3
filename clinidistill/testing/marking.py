"""What teachers and students are checked for alike: both mark spans in notes."""

from __future__ import annotations

import copy
import sys
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from clinidistill.component import Component
from clinidistill.testing.listening import listening
from clinidistill.testing.notes import CANARY, LONE_SURROGATE, quotes
from clinidistill.testing.rules import Case, Rule, add, broken, leave_out
from clinidistill.testing.threads import in_threads
from clinidistill.testing.twists import TWISTS, UNITS, Twisted
from clinidistill.types import Document, Span

__all__ = ["Answer", "MarkingCase", "marking_rules"]

_LOOK_AHEAD = 4096  # notes
_HUGE = 1_000_000  # characters
_SECONDS = 120.0
_BYTES = 2 << 30
_SCORES = 1e-3  # what the order of sums may change
_UNSTATED = "not among its labels"  # so the base class says it


@dataclass(frozen=True, slots=True)
class Answer:
    """What was marked in one note.

    Args:
        spans: the spans, by place.
        covers: the labels looked for.
        error: why there is no answer, or None.
    """

    spans: tuple[Span, ...] = ()
    covers: frozenset[str] | None = None
    error: str | None = None

    def like(self, other: Answer) -> bool:
        """Whether both say the same, but for what the order of floating-point sums changes."""
        if (self.error is None) != (other.error is None) or len(self.spans) != len(other.spans):
            return False
        return all(
            mine.key == its.key and mine.code == its.code and abs(mine.score - its.score) < _SCORES
            for mine, its in zip(self.spans, other.spans, strict=True)
        )


class MarkingCase(Case):
    """Something that marks spans in notes.

    Args:
        component: the teacher or student.
        documents: notes without spans, in which it should find something.
    """

    def __init__(self, component: Component, documents: Sequence[Document]):
        super().__init__(component)
        self.documents = tuple(documents)

    @property
    @abstractmethod
    def labels(self) -> frozenset[str] | None:
        """The labels it knows; None means all."""

    @abstractmethod
    def stream(self, documents: Iterable[Document]) -> Iterator[Any]:
        """Its answers as they come."""

    @abstractmethod
    def mark(self, documents: Sequence[Document]) -> list[Answer]:
        """Its answer on each document, in their order; breaks the rule where there is not one for each."""

    @cached_property
    def plain(self) -> list[Answer]:
        """Its answers on the samples, found once."""
        return self.mark(self.documents)

    @property
    def marked(self) -> list[tuple[Document, Answer]]:
        """The samples in which it marks something, the shortest first; the rule is left out where there is none."""
        pairs = [pair for pair in zip(self.documents, self.plain, strict=True) if pair[1].spans]
        if not pairs:
            leave_out("it marks nothing in the sample notes; give documents= that hold what it looks for")
        return sorted(pairs, key=lambda pair: len(pair[0].text))

    def answers(self) -> list[tuple[Any, ...]]:
        return [(answer.error is None, [_bare(span) for span in answer.spans]) for answer in self.mark(self.documents)]

    def need_determinism(self) -> None:
        """Leaves the rule out where the component says that it answers differently each time."""
        if not self.component.deterministic:
            leave_out("it declares that it is not deterministic")


def _bare(span: Span) -> tuple[Any, ...]:
    return (*span.key, round(span.score, 3), span.code, span.fragments)


def marking_rules(kind: str) -> list[Rule]:
    """The rules of what marks spans, named for a kind of component."""
    rules: list[Rule] = []
    for name, check in _RULES:
        add(rules, f"{kind}/{name}")(check)
    return rules


def _offsets(case: MarkingCase) -> None:
    """Offsets are half-open and count code points of the text as it is, whatever characters it holds."""
    for document, answer in zip(case.documents, case.plain, strict=True):
        if _misplaced(answer):
            broken(f"its spans do not fit into document {document.id!r}; count characters of document.text")
    _off_by_one(case)
    for document, answer in case.marked[:3]:
        twisted = [Twisted.of(document, answer.spans, number, twist) for number, twist in enumerate(TWISTS)]
        for each, found in zip(twisted, case.mark([one.document for one in twisted]), strict=True):
            size = len(each.document.text)
            if _misplaced(found) or any(span.end > size for span in found.spans):
                broken(f"its spans do not fit into a text with {each.what}; count characters of document.text")
            keys = {span.key for span in found.spans}
            for unit, count in UNITS.items():
                moved = each.counted(count)
                if moved and moved <= keys and keys.isdisjoint(each.expected):
                    broken(
                        f"in a text with {each.what} its offsets count {unit}; count characters of document.text, "
                        "and map back what you look for in another form of it"
                    )
            if len(keys) > 1 and _shifted(each.expected, keys):
                broken(
                    f"in a text with {each.what} all its spans are the same number of characters away from their "
                    "mentions; count characters of document.text as it is"
                )


def _misplaced(answer: Answer) -> bool:
    """Whether it failed since a span does not fit into the text."""
    error = answer.error or ""
    return error.startswith("SpanError") and _UNSTATED not in error


def _shifted(expected: Iterable[tuple[int, int, str]], keys: Iterable[tuple[int, int, str]]) -> bool:
    """Whether spans are where they should be but for one number of characters."""
    right, found = sorted(expected), sorted(keys)
    away = found[0][0] - right[0][0] if right else 0
    return away != 0 and found == [(start + away, end + away, label) for start, end, label in right]


def _off_by_one(case: MarkingCase) -> None:
    """Breaks the rule if all mentions end a letter before their words do, or begin a letter after."""
    places = [(document.text, span.start, span.end) for document, answer in case.marked for span in answer.spans]
    if len({text[start:end].casefold() for text, start, end in places}) < 2:
        return
    is_plural = {text[end : end + 1] for text, _, end in places} == {"s"}
    if not is_plural and all(_lacks_a_letter(text, end) for text, _, end in places):
        broken("all its mentions end a letter before their words do; a span ends behind its last character")
    if all(_lacks_a_letter(text[::-1], len(text) - start) for text, start, _ in places):
        broken("all its mentions begin a letter after their words do; offsets begin at 0")


def _lacks_a_letter(text: str, end: int) -> bool:
    """Whether what ends there lacks the last letter of its word, and no more."""
    return text[end - 1].isalnum() and text[end : end + 1].isalnum() and not text[end + 1 : end + 2].isalnum()


def _labels(case: MarkingCase) -> None:
    """It marks only labels that it states in `labels`, and says that it looked for no others."""
    labels = case.labels
    if labels is not None and not all(isinstance(label, str) and label for label in labels):
        broken("its labels are not all strings")
    for document, answer in zip(case.documents, case.plain, strict=True):
        if _UNSTATED in (answer.error or ""):
            broken(f"on document {document.id!r}: {answer.error}; add them to labels")
        used = {span.label for span in answer.spans}
        for known, where in ((labels, "its labels"), (answer.covers, "what it says it covers there")):
            if known is not None and (strange := used - known):
                broken(f"on document {document.id!r} it marks {sorted(strange)}, which are not among {where}")
        if answer.error is None and labels is not None and (answer.covers is None or answer.covers - labels):
            broken(f"on document {document.id!r} it says that it covers labels that are not among its labels")


def _determinism(case: MarkingCase) -> None:
    """The same note gets the same answer each time, or it declares `deterministic = False`."""
    case.need_determinism()
    for _ in range(2):
        _alike(case, case.plain, case.mark(case.documents), "when it is asked again")


def _independence(case: MarkingCase) -> None:
    """What it says of a note depends neither on the notes beside it nor on their order."""
    case.need_determinism()
    backwards = case.mark(case.documents[::-1])[::-1]
    _alike(case, case.plain, backwards, "when the notes come in another order")
    alone = [answer for document in case.documents for answer in case.mark([document])]
    _alike(case, case.plain, alone, "when the note comes by itself")


def _alike(case: MarkingCase, before: Sequence[Answer], after: Sequence[Answer], when: str) -> None:
    for document, one, other in zip(case.documents, before, after, strict=True):
        if not one.like(other):
            broken(
                f"it answers differently on document {document.id!r} {when}; keep no state from note to note, fix "
                "seeds, or declare deterministic = False"
            )


def _empty(case: MarkingCase) -> None:
    """An empty note, or one of white space, is a note like any other, with nothing in it."""
    blank = [Document(f"blank-{number}", text) for number, text in enumerate(("", " ", "\r\n\t\n", "\x00"))]
    known = case.plain[0].error if case.plain else None
    for document, answer in zip(blank, case.mark(blank), strict=True):
        if answer.error is not None and known is None and case.mark([_fresh(case)])[0].error is None:
            broken(f"it fails on a note of {len(document.text)} blank characters ({answer.error}); return no spans")


def _fresh(case: MarkingCase) -> Document:
    """An ordinary note that it has not seen."""
    return Document("fresh", case.documents[0].text + "\nSeen again in two weeks.")


def _huge(case: MarkingCase) -> None:
    """A note of a megabyte is read to its end, in bounded time and memory."""
    text = "\n\n".join(document.text for document in case.documents)
    whole = "\n\n".join([text] * (_HUGE // (len(text) + 2) + 1))
    before, began = _peak(), time.monotonic()
    (answer,) = case.mark([Document("huge", whole)])
    seconds, grown = time.monotonic() - began, _peak() - before
    if seconds > _SECONDS:
        broken(f"it takes {seconds:.0f} s for a note of a megabyte; look at it in parts")
    if grown > _BYTES:
        broken(f"it takes {grown >> 20} MB of memory for a note of a megabyte; look at it in parts")
    quarter = len(whole) // 4
    places = [span.start for span in answer.spans]
    if any(start < quarter for start in places) and not any(start > 3 * quarter for start in places):
        broken(
            "it finds nothing in the last quarter of a long note that repeats itself; look at it in parts, to its end"
        )


def _peak() -> int:
    """Bytes of memory that this process has had at most; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _laziness(case: MarkingCase) -> None:
    """It reads a stream of notes as it answers: no more than 4096 ahead, and none after nobody asks for more."""
    drawn = 0
    text = min((document.text for document in case.documents), key=len)[:80]

    def endless() -> Iterator[Document]:
        nonlocal drawn
        while drawn <= _LOOK_AHEAD:
            drawn += 1
            yield Document(f"n{drawn}", text)

    stream = case.stream(endless())
    next(stream)
    if drawn > _LOOK_AHEAD:
        broken(f"it read {drawn} notes and more before its first answer; draw documents one by one, as it goes on")
    if hasattr(stream, "close"):
        stream.close()
    if drawn > _LOOK_AHEAD:
        broken("it read on when nobody asked for more answers")


def _threads(case: MarkingCase) -> None:
    """Several threads may use one instance at a time, and get the answers that one would get."""
    before = case.plain
    for result in in_threads(lambda: case.mark(case.documents)):
        for document, one, other in zip(case.documents, before, result, strict=True):
            if case.component.deterministic and not one.like(other):
                broken(
                    f"with several threads at a time it answers differently on document {document.id!r}; keep no state "
                    "on self, or lock it"
                )


def _inputs(case: MarkingCase) -> None:
    """It leaves the documents that it gets, their `meta` too, as they are."""
    documents = [Document(each.id, each.text, meta={"ward": ["A", {"bed": 3}]}) for each in case.documents[:2]]
    before = copy.deepcopy(documents)
    case.mark(documents)
    if documents != before:
        broken("it changes the documents that it gets; make others with with_spans or dataclasses.replace")


def _privacy(case: MarkingCase) -> None:
    """No text of a note stands in logs, warnings, prints, errors or reprs, whatever level they have."""
    blank = [Document("blank", "None.")]
    ends = ("", LONE_SURROGATE)
    plain = [f"{document.text}\nNOTE: {CANARY}.{end}" for document in case.documents[:3] for end in ends]
    notes = [Document(f"private-{number}", text) for number, text in enumerate(plain)]
    texts = [note.text for note in notes]
    with listening() as usual:
        case.mark(blank)
    with listening() as heard:
        answers = case.mark(notes)
    for message in heard:
        if quotes(message, texts):
            broken("it logs, warns or prints text of a note; tell ids, labels, offsets and counts instead")
    for note, answer in zip(notes, answers, strict=True):
        if answer.error is not None and quotes(answer.error, texts):
            broken(f"its error on document {note.id!r} quotes the note; tell offsets and labels instead")
        mentions = {note.text[span.start : span.end] for span in answer.spans if len(span) > 5}
        if leaked := [m for m in heard if any(each in m for each in mentions) and m not in usual]:
            broken(f"it logs, warns or prints mentions ({len(leaked)} times); tell offsets and labels instead")
    if any(quotes(view, texts) for view in (repr(case.component), repr(case.component.options))):
        broken("its repr or its options show text of notes that it has seen; keep none")


_RULES = (
    ("offsets", _offsets),
    ("labels", _labels),
    ("determinism", _determinism),
    ("independence", _independence),
    ("empty", _empty),
    ("laziness", _laziness),
    ("threads", _threads),
    ("inputs", _inputs),
    ("privacy", _privacy),
    ("huge", _huge),
)

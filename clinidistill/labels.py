"""What the teachers said: documents, and each teacher's annotation of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from clinidistill.datasets.base import Dataset, as_dataset
from clinidistill.errors import ConfigError
from clinidistill.types import Annotation, Document, Span
from clinidistill.types.html import html_table

__all__ = ["Labels", "Opinions", "TeacherCost"]

_CHUNK = 256

Lookup = Callable[[str, Sequence[Document]], Mapping[str, Annotation]]
"""(teacher name, documents) → that teacher's annotations by document id; absent where there is none."""


@dataclass(frozen=True, slots=True)
class Opinions:
    """One document and what each teacher said of it.

    Args:
        document: the note.
        annotations: by teacher name, in the order of the teachers; a teacher that has not seen the document
            is absent.
    """

    document: Document
    annotations: Mapping[str, Annotation]

    def voters(self, label: str) -> list[Annotation]:
        """The annotations with a vote on `label`: not failed, and the label looked for."""
        return [annotation for annotation in self.annotations.values() if annotation.knows(label)]


@dataclass(frozen=True, slots=True)
class TeacherCost:
    """What one teacher's annotations took, failures among them.

    Args:
        teacher: the teacher's name.
        documents: number of documents it was asked about.
        failed: number of documents it failed on.
        cost_usd: dollars in all, as far as they are known; None when no annotation has a known cost.
        unknown: number of documents whose cost is unknown.
        input_tokens: tokens sent.
        output_tokens: tokens written.
        seconds: seconds spent on the documents, one after the other.
        wall_seconds_per_document: wall time a document, at the concurrency that the teacher ran with; None if nobody
            timed it.
        p50_seconds, p95_seconds: median and 95th percentile of the seconds that one document took; None if unknown.
        by_label_usd: `cost_usd` by entity type: each document's cost is shared out over the types by the number of
            mentions, and evenly over the types looked for where there is no mention.
    """

    teacher: str
    documents: int
    failed: int
    cost_usd: float | None
    unknown: int
    input_tokens: int
    output_tokens: int
    seconds: float
    by_label_usd: Mapping[str, float]
    wall_seconds_per_document: float | None = None
    p50_seconds: float | None = None
    p95_seconds: float | None = None

    @property
    def per_document_usd(self) -> float | None:
        """Mean dollars a document, of those whose cost is known."""
        known = self.documents - self.unknown
        return None if self.cost_usd is None or not known else self.cost_usd / known


class Labels:
    """Documents with the annotations of several teachers; what :func:`clinidistill.label` returns.

    Iterating yields :class:`Opinions`, one a document, in order; annotations are fetched as they are needed.

    Args:
        documents: the notes.
        teachers: the teachers' names, in order.
        lookup: finds annotations; see :meth:`from_annotations` for annotations at hand.
        pace: tells a teacher's wall seconds a document, None where nobody timed it.
    """

    def __init__(
        self,
        documents: Iterable[Document],
        teachers: Iterable[str],
        lookup: Lookup,
        *,
        pace: Callable[[str], float | None] = lambda _: None,
    ):
        self.documents: Dataset = as_dataset(documents)
        self.teachers: tuple[str, ...] = tuple(teachers)
        self._lookup, self._pace = lookup, pace

    @classmethod
    def from_annotations(
        cls,
        documents: Iterable[Document],
        annotations: Mapping[str, Mapping[str, Iterable[Span]]],
        *,
        covers: Mapping[str, Iterable[str] | None] | None = None,
    ) -> Labels:
        """Labels built by hand.

        Args:
            documents: the notes.
            annotations: ``{teacher name: {document id: spans}}``. A teacher abstains on a document that it has no
                entry for; an entry without spans says that it looked and found nothing.
            covers: ``{teacher name: labels it knows}`` (None: all). A teacher not named here is taken to know the
                labels it uses anywhere, or all if it uses none.

        Raises:
            ConfigError: if `annotations` or `covers` name a document or teacher that is not there.
            SpanError: if a span reaches outside its document.

        >>> note = Document("n1", "On metformin.")
        >>> labels = Labels.from_annotations([note], {"a": {"n1": [Span(3, 12, "medication")]}, "b": {"n1": []}})
        >>> [len(opinions.annotations) for opinions in labels]
        [2]
        """
        dataset = as_dataset(documents)
        texts = {document.id: document for document in dataset}
        table: dict[str, dict[str, Annotation]] = {}
        known = dict(covers or {})
        if strangers := set(known) - set(annotations):
            raise ConfigError(f"covers names teachers without annotations: {sorted(strangers)}")
        for teacher, by_document in annotations.items():
            if strays := [key for key in by_document if key not in texts]:
                raise ConfigError(f"teacher {teacher!r} annotates documents that are not there: {strays[:3]}")
            marked = {key: tuple(_owned(span, teacher) for span in spans) for key, spans in by_document.items()}
            used = frozenset(span.label for spans in marked.values() for span in spans)
            stated = known.get(teacher, used or None)
            labels = None if stated is None else frozenset(stated)
            table[teacher] = {
                key: Annotation(key, teacher, texts[key].with_spans(spans).spans, labels)
                for key, spans in marked.items()
            }
        return cls(dataset, annotations, lambda teacher, _: table[teacher])

    def __len__(self) -> int:
        """Number of documents, where the dataset knows it."""
        return len(self.documents)

    def __iter__(self) -> Iterator[Opinions]:
        chunk: list[Document] = []
        for document in self.documents:
            chunk.append(document)
            if len(chunk) == _CHUNK:
                yield from self._resolve(chunk)
                chunk = []
        yield from self._resolve(chunk)

    def _resolve(self, chunk: Sequence[Document]) -> Iterator[Opinions]:
        found = {teacher: self._lookup(teacher, chunk) for teacher in self.teachers} if chunk else {}
        for document in chunk:
            yield Opinions(
                document,
                {teacher: said[document.id] for teacher, said in found.items() if document.id in said},
            )

    def failures(self) -> list[Annotation]:
        """The annotations that are failures, by document, then teacher."""
        return [a for opinions in self for a in opinions.annotations.values() if a.failed]

    def costs(self) -> list[TeacherCost]:
        """What the annotations took, one entry a teacher, in the order of the teachers."""
        bills = {teacher: _Bill() for teacher in self.teachers}
        for opinions in self:
            for teacher, annotation in opinions.annotations.items():
                bills[teacher].add(annotation)
        return [bill.total(teacher, self._pace(teacher)) for teacher, bill in bills.items()]

    def select(self, *teachers: str) -> Labels:
        """The same documents with some of the teachers.

        Raises:
            ConfigError: if a name is not among the teachers.
        """
        if unknown := [name for name in teachers if name not in self.teachers]:
            raise ConfigError(f"no teacher is called {unknown[0]!r}; teachers: {', '.join(self.teachers)}")
        return Labels(self.documents, teachers, self._lookup, pace=self._pace)

    def join(self, other: Labels) -> Labels:
        """These documents with `other`'s teachers as well, who abstain on documents that `other` does not have.

        Raises:
            ConfigError: if a teacher is in both.
        """
        if both := sorted(set(self.teachers) & set(other.teachers)):
            raise ConfigError(f"teacher {both[0]!r} is in both")
        there = {document.id for document in other.documents}

        def lookup(teacher: str, documents: Sequence[Document]) -> Mapping[str, Annotation]:
            if teacher in self.teachers:
                return self._lookup(teacher, documents)
            return other._lookup(teacher, [document for document in documents if document.id in there])

        def pace(teacher: str) -> float | None:
            return (self if teacher in self.teachers else other)._pace(teacher)

        return Labels(self.documents, (*self.teachers, *other.teachers), lookup, pace=pace)

    def predictions(self, teacher: str) -> Dataset:
        """One teacher's spans as documents, for evaluation; where it failed or is absent, no spans.

        Raises:
            ConfigError: if there is no such teacher.
        """
        return _Predictions(self.select(teacher))

    def _repr_html_(self) -> str:
        """What each teacher did, in figures; the notes are left out."""
        mentions = {teacher: Counter[str]() for teacher in self.teachers}
        answered, failed = Counter[str](), Counter[str]()
        documents = 0
        for opinions in self:
            documents += 1
            for teacher, annotation in opinions.annotations.items():
                mentions[teacher].update(span.label for span in annotation.spans)
                (failed if annotation.failed else answered)[teacher] += 1
        labels = sorted({label for count in mentions.values() for label in count})
        rows = [[t, answered[t], failed[t], *(n[label] for label in labels)] for t, n in mentions.items()]
        return f"<p>{documents} documents</p>" + html_table(["teacher", "answered", "failed", *labels], rows)

    def __repr__(self) -> str:
        return f"Labels({self.documents!r}, teachers={list(self.teachers)})"


class _Bill:
    """Adds annotations up to a :class:`TeacherCost`."""

    def __init__(self) -> None:
        self._documents = self._failed = self._unknown = 0
        self._cost = 0.0
        self._seconds: list[float] = []
        self._tokens: Counter[str] = Counter()
        self._by_label: dict[str, float] = {}

    def add(self, annotation: Annotation) -> None:
        self._documents += 1
        self._failed += annotation.failed
        if annotation.seconds is not None:
            self._seconds.append(annotation.seconds)
        for name in ("input_tokens", "output_tokens"):
            count = annotation.usage.get(name)
            self._tokens[name] += count if isinstance(count, int) else 0
        if annotation.cost_usd is None:
            self._unknown += 1
            return
        self._cost += annotation.cost_usd
        shares = Counter(span.label for span in annotation.spans) or Counter(sorted(annotation.covers or ()))
        for label, share in shares.items():
            self._by_label[label] = self._by_label.get(label, 0.0) + annotation.cost_usd * share / shares.total()

    def total(self, teacher: str, pace: float | None) -> TeacherCost:
        p50, p95 = np.quantile(self._seconds, (0.5, 0.95)).tolist() if self._seconds else (None, None)
        return TeacherCost(
            teacher,
            self._documents,
            self._failed,
            None if self._unknown == self._documents else self._cost,
            self._unknown,
            self._tokens["input_tokens"],
            self._tokens["output_tokens"],
            sum(self._seconds),
            self._by_label,
            pace,
            p50,
            p95,
        )


class _Predictions(Dataset):
    def __init__(self, labels: Labels):
        self._labels = labels

    def __iter__(self) -> Iterator[Document]:
        for opinions in self._labels:
            said = next(iter(opinions.annotations.values()), None)
            spans = said.spans if said is not None else ()
            yield opinions.document.with_spans(spans, said.covers if said is not None else None)

    def __len__(self) -> int:
        return len(self._labels)


def _owned(span: Span, teacher: str) -> Span:
    return span if span.source is not None else replace(span, source=teacher)

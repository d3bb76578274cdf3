"""What the teachers said: documents, and each teacher's annotation of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from clinidistill.datasets.base import Dataset, as_dataset
from clinidistill.errors import ConfigError
from clinidistill.types import Annotation, Document, Span

__all__ = ["Labels", "Opinions"]

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


class Labels:
    """Documents with the annotations of several teachers; what :func:`clinidistill.label` returns.

    Iterating yields :class:`Opinions`, one a document, in order; annotations are fetched as they are needed.

    Args:
        documents: the notes.
        teachers: the teachers' names, in order.
        lookup: finds annotations; see :meth:`from_annotations` for annotations at hand.
    """

    def __init__(self, documents: Iterable[Document], teachers: Iterable[str], lookup: Lookup):
        self.documents: Dataset = as_dataset(documents)
        self.teachers: tuple[str, ...] = tuple(teachers)
        self._lookup = lookup

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

    def select(self, *teachers: str) -> Labels:
        """The same documents with some of the teachers.

        Raises:
            ConfigError: if a name is not among the teachers.
        """
        if unknown := [name for name in teachers if name not in self.teachers]:
            raise ConfigError(f"no teacher is called {unknown[0]!r}; teachers: {', '.join(self.teachers)}")
        return Labels(self.documents, teachers, self._lookup)

    def predictions(self, teacher: str) -> Dataset:
        """One teacher's spans as documents, for evaluation; where it failed or is absent, no spans.

        Raises:
            ConfigError: if there is no such teacher.
        """
        return _Predictions(self.select(teacher))

    def __repr__(self) -> str:
        return f"Labels({self.documents!r}, teachers={list(self.teachers)})"


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

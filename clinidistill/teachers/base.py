"""Teachers: anything that marks spans in a document."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from clinidistill.component import Component
from clinidistill.errors import ClinidistillError, ConfigError, SpanError, describe
from clinidistill.types import Annotation, Document, Estimate, Span

if TYPE_CHECKING:
    from clinidistill.database import Database
    from clinidistill.llm.purse import Purse

__all__ = ["Session", "Teacher"]


@dataclass(frozen=True, slots=True)
class Session:
    """What a run lends its teachers; see :meth:`Teacher.attach`.

    Args:
        database: the label store's tables, for teachers that keep more than annotations there.
        allow_remote: whether the caller lets notes leave this machine.
        retry_failures: whether what failed in an earlier run is to be asked again.
        offline: whether only answers at hand count, and nothing may be asked.
        purse: a budget shared with other processes, for teachers that pay.
    """

    database: Database
    allow_remote: bool = False
    retry_failures: bool = False
    offline: bool = False
    purse: Purse | None = None


class Teacher(Component, ABC):
    """Marks spans in documents.

    A teacher is one method, :meth:`label_document`. It may state what it knows in :attr:`labels`, so that it
    abstains on everything else, and how it is called in :attr:`name`. A teacher that is faster or safer on many
    documents at once overrides :meth:`annotate` instead.

    >>> import re
    >>> class Regex(Teacher):
    ...     '''Marks what a pattern matches.'''
    ...     def __init__(self, pattern: str, label: str):
    ...         self.pattern, self.label = re.compile(pattern), label
    ...     def label_document(self, document):
    ...         return [Span(m.start(), m.end(), self.label) for m in self.pattern.finditer(document.text)]
    >>> teacher = Regex(r"\\w+pril", label="medication")
    >>> from clinidistill.types import Span
    >>> next(iter(teacher.predict([Document("n1", "On lisinopril.")]))).spans
    (Span(start=3, end=13, label='medication', score=1.0, source='Regex', code=None, fragments=(), status=None),)
    """

    remote: bool = False
    """Whether notes leave this machine when it labels; then it does so only after the caller allowed it."""

    keeps_answers: ClassVar[bool] = False
    """Whether it writes raw answers into the session's store before it reads them, so that none is ever lost."""

    @cached_property
    def name(self) -> str:
        """How it is called in stores and tables: its ``name`` option, else its registered or class name."""
        return self.options.get("name") or self.registered_name or type(self).__name__

    @cached_property
    def labels(self) -> frozenset[str] | None:
        """The labels it knows; None means all. By default its ``labels`` or ``label`` option, if it has one."""
        options = self.options
        if options.get("labels") is not None:
            return frozenset(options["labels"])
        return frozenset({options["label"]}) if isinstance(options.get("label"), str) else None

    @abstractmethod
    def label_document(self, document: Document) -> Iterable[Span]:
        """The spans it marks in one document, in any order. Whatever it raises becomes a recorded failure."""

    def annotate(self, documents: Iterable[Document]) -> Iterator[Annotation]:
        """One annotation for each document, lazily, in any order; a document it dies on gets a failed one.

        A teacher with a budget may end early with :class:`~clinidistill.errors.LabelingStopped`.
        """
        for document in documents:
            yield self._annotate_one(document)

    def _annotate_one(self, document: Document) -> Annotation:
        started = time.perf_counter()
        name, labels = self.name, None if self.labels is None else frozenset(self.labels)
        try:
            spans = tuple(_owned(span, name) for span in self.label_document(document))
            document.with_spans(spans)  # refuses spans outside the text
            strange = {span.label for span in spans} - labels if labels is not None else set()
            if strange:
                raise SpanError(f"marked {sorted(strange)}, which are not among its labels {sorted(labels or ())}")
        except Exception as error:  # one document must not end a run over thousands
            return Annotation(
                document.id, name, covers=labels, error=describe(error), seconds=time.perf_counter() - started
            )
        return Annotation(document.id, name, spans, labels, seconds=time.perf_counter() - started)

    def attach(self, session: Session) -> Teacher:
        """The teacher for a run over many documents: itself, or a copy that uses what the session lends."""
        return self

    def luggage(self) -> bytes | None:
        """What a copy in another process would else make anew, for its :meth:`unpack`; None where that is quick."""
        return None

    def unpack(self, luggage: bytes | memoryview) -> None:
        """Take what another made: its :meth:`luggage`, which is trusted to be that."""

    def estimate(self, documents: Iterable[Document], database: Database | None = None) -> Estimate:
        """What marking documents would take; nothing is sent. By default no requests, and no cost unless it is remote.

        Args:
            documents: those without an annotation.
            database: where raw answers may be that need not be paid for again.
        """
        unknown = None if self.remote else 0.0
        return Estimate(self.name, sum(1 for _ in documents), cost_usd=unknown, most_usd=unknown)

    def check_remote(self, allowed: bool = False) -> None:
        """Make sure that notes may go where they would go.

        Args:
            allowed: whether the caller allowed it; an ``allow_remote`` option of the teacher's own counts as well.

        Raises:
            ConfigError: if it is remote and nobody allowed it.
        """
        if self.remote and not (allowed or self.options.get("allow_remote")):
            raise ConfigError(
                f"teacher {self.name!r} sends notes to another machine; if they may leave this one, say "
                "allow_remote=True where you label (--allow-remote on the command line)"
            )

    def predict(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The documents with its spans in place of theirs, for evaluation.

        Raises:
            ConfigError: if it is remote and was not made with ``allow_remote=True``.
            ClinidistillError: if it fails on a document; :func:`clinidistill.label` records failures instead.
        """
        self.check_remote()
        for document in documents:
            annotation = self._annotate_one(document)
            if annotation.error is not None:
                raise ClinidistillError(f"teacher {self.name!r} failed on document {document.id!r}: {annotation.error}")
            yield document.with_spans(annotation.spans, annotation.covers)


def _owned(span: Span, name: str) -> Span:
    return span if span.source is not None else replace(span, source=name)

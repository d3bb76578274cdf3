"""What workers do with a block: read it, have a student or a teacher mark it, and write it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from clinidistill.errors import ClinidistillError, LabelingStopped
from clinidistill.labeling import sound
from clinidistill.scale.blocks import Block
from clinidistill.scale.budget import Lease
from clinidistill.scale.engine import Told, ray_module
from clinidistill.scale.marking import Hopeless, check_hope, marked
from clinidistill.scale.output import Output
from clinidistill.scale.rows import Bad, Reader
from clinidistill.scale.shipping import Parts, put_together, unpacked
from clinidistill.store import LabelStore
from clinidistill.students import load_student
from clinidistill.teachers.base import Session, Teacher
from clinidistill.types import Annotation, Document

__all__ = ["Marker", "StudentMarker", "TeacherMarker", "Teaching"]

_CHUNK = 2048  # documents held at once
_PATIENCE = 3  # blocks, one after another, in which every note fails: then it is what marks them


class Marker(ABC):
    """Marks blocks, each of which it reads and writes by itself.

    Args:
        output: where to.
        model: fingerprint of what marks.
    """

    def __init__(self, output: Output, model: str):
        self._output, self._model = output, model
        self._reader = Reader(output.place.options)
        self._stopped: str | None = None
        self._hopeless = 0

    @abstractmethod
    def mark(self, documents: list[Document], record: dict[str, Any]) -> Iterable[Document | Bad]:
        """Each document marked, or why it could not be, in any order.

        Args:
            documents: with ids of their own.
            record: takes what the manifest is to tell.

        Raises:
            LabelingStopped: if a budget is used up; the block is then left unwritten.
        """

    def __call__(self, item: dict[str, Any]) -> Told:
        """The manifest of a block, or why it is not written.

        Raises:
            ClinidistillError: if it is the third block in a row in which every note fails.
        """
        block = Block(**item)
        if (done := self._output.manifest(block)) is not None:  # by a worker that died before it could tell
            return done
        if self._stopped is None:
            record: dict[str, Any] = {"model": self._model}
            try:
                manifest = self._output.write(block, self._marked(block, record), record)
            except LabelingStopped as stop:
                self._stopped = str(stop)
            except Hopeless as error:
                self._hopeless += 1
                if self._hopeless == _PATIENCE:
                    raise ClinidistillError(str(error)) from None
                return {"left_out": str(error)}
            else:
                self._hopeless = 0
                return manifest
        return {"stopped": self._stopped}

    def _marked(self, block: Block, record: dict[str, Any]) -> Iterator[Document | Bad]:
        """In the order of the block."""
        rows = self._reader.read(block)
        while chunk := list(islice(rows, _CHUNK)):
            documents = [row for row in chunk if isinstance(row, Document)]
            marked = {each.id: each for each in self.mark(documents, record)}
            check_hope(marked.values(), block.name)
            for row in chunk:
                yield marked[row.id] if isinstance(row, Document) else row


class StudentMarker(Marker):
    """A student, loaded once.

    Args:
        output: where to.
        model: the fingerprint of its folder.
        files: reference of the folder's files.
        options: of its ``predict``.
    """

    def __init__(self, output: Output, model: str, files: Any, options: Mapping[str, Any]):
        super().__init__(output, model)
        self._student = load_student(unpacked(model, ray_module().get(files[0])))
        self._options = dict(options)

    def mark(self, documents: list[Document], record: dict[str, Any]) -> Iterable[Document | Bad]:
        return marked(self._student, documents, self._options)


@dataclass(frozen=True, slots=True)
class Teaching:
    """What a worker makes a teacher of.

    Args:
        parts: the teacher's parts.
        luggage: reference of what it need not make anew; empty where there is nothing.
        store: where answers are kept.
        allow_remote: whether notes may leave the cluster.
        budget: the actor that grants leases; None where nothing is paid.
    """

    parts: Parts
    luggage: Sequence[Any]
    store: str
    allow_remote: bool
    budget: Any


class TeacherMarker(Marker):
    """A teacher, made once of its parts.

    Args:
        output: where to.
        model: the teacher's fingerprint.
        teaching: what it is made of.
    """

    def __init__(self, output: Output, model: str, teaching: Teaching):
        super().__init__(output, model)
        self._store = LabelStore(teaching.store)
        self._lease = None if teaching.budget is None else Lease(teaching.budget)
        teacher: Teacher = put_together(teaching.parts)
        for reference in teaching.luggage:
            teacher.unpack(memoryview(ray_module().get(reference)))
        self._teacher = teacher.attach(Session(self._store.database, teaching.allow_remote, purse=self._lease))

    def mark(self, documents: list[Document], record: dict[str, Any]) -> Iterable[Document | Bad]:
        try:
            yield from self._annotated(documents, record)
        finally:
            if self._lease is not None:
                self._lease.end()

    def _annotated(self, documents: list[Document], record: dict[str, Any]) -> Iterator[Document | Bad]:
        waiting = {document.id: document for document in documents}
        for annotation in self._teacher.annotate(document.without_spans() for document in documents):
            document = waiting.pop(annotation.document_id, None)
            if document is None:
                raise ClinidistillError(f"teacher {self._teacher.name!r} answered what it was not asked, or asked once")
            if annotation.cost_usd:
                record["cost_usd"] = record.get("cost_usd", 0.0) + annotation.cost_usd
            yield _settled(document, annotation, self._teacher.name)
        if waiting:
            raise ClinidistillError(f"teacher {self._teacher.name!r} left out {len(waiting)} documents")


def _settled(document: Document, annotation: Annotation, name: str) -> Document | Bad:
    settled = sound(document, annotation, name)
    if settled.error is not None:
        return Bad(document.id, None, settled.error)
    return document.with_spans(settled.spans, settled.covers)

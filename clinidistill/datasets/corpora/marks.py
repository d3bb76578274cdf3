"""Mentions that somebody marked in notes that they may not give out: offsets by document id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clinidistill.datasets.brat import Brat
from clinidistill.datasets.files import FileDataset, located
from clinidistill.datasets.json_items import json_objects
from clinidistill.errors import DataError, SpanError
from clinidistill.types import Document, Span

__all__ = ["Mark", "MarkedNotes", "Marks", "read_marks"]


@dataclass(frozen=True, slots=True)
class Mark:
    """The mentions of one note.

    Args:
        path: the file that they stand in.
        spans: the mentions.
        covers: the labels that were looked for.
        line: the line of the file.
        text: the note that was marked, where the file has it.
    """

    path: Path
    spans: tuple[Span, ...]
    covers: frozenset[str]
    line: int | None = None
    text: str | None = None


Marks = Mapping[str, Mark]
"""Mentions by document id."""


def read_marks(path: Path) -> Marks:
    """The mentions in JSON lines (``id``, ``spans``, if need be ``covers`` and ``text``) or in a folder in BRAT.

    What says nothing of what it covers covers all labels that occur.

    Raises:
        DataError: with file and line, where the file is neither, or an id occurs twice.
    """
    marks: dict[str, Mark] = {}
    labels: set[str] = set()
    open_: set[str] = set()
    for key, mark, covered in _brat(path) if path.is_dir() or path.suffix in Brat.suffixes else _json(path):
        if key in marks:
            raise DataError(f"a second line for the document {key!r}", path=mark.path, line=mark.line)
        marks[key] = mark
        labels |= {span.label for span in mark.spans}
        if not covered:
            open_.add(key)
    return {key: replace(mark, covers=frozenset(labels)) if key in open_ else mark for key, mark in marks.items()}


class MarkedNotes(FileDataset):
    """Notes without labels, or, where there are marks, those that are marked, with their mentions.

    Args:
        path: see :class:`FileDataset`.
        marks: mentions by document id.

    Raises:
        DataError: when iterated to the end, if a mark is of no note.
    """

    def __init__(self, path: str | Path, marks: Marks | None = None):
        super().__init__(path)
        self.marks = marks

    def __iter__(self) -> Iterator[Document]:
        if self.marks is None:
            yield from super().__iter__()
            return
        left = dict(self.marks)
        for document in super().__iter__():
            mark = left.pop(document.id, None)
            if mark is None:
                continue
            try:
                yield _marked(document, mark)
            except DataError as error:
                if self.on_error == "raise":
                    raise
                self.skipped.append(error)
        for key, mark in left.items():
            raise DataError(
                f"there is no note {key!r} in the release ({len(left)} such); ids are as the reader gives them",
                path=mark.path,
                line=mark.line,
            )


def _marked(document: Document, mark: Mark) -> Document:
    if mark.text is not None and mark.text != document.text:
        raise DataError(
            f"the text marked as {document.id!r} is not the release's note; mark what this reader gives",
            path=mark.path,
            line=mark.line,
        )
    with located(mark.path, mark.line):
        return document.with_spans(dict.fromkeys(mark.spans), mark.covers)


def _brat(path: Path) -> Iterator[tuple[str, Mark, bool]]:
    for document in Brat(path):
        if document.covers is None:  # else there is no .ann
            yield document.id, Mark(path, document.spans, frozenset(), text=document.text), False


def _json(path: Path) -> Iterator[tuple[str, Mark, bool]]:
    for line, data in json_objects(path):
        with located(path, line):
            key, spans, covers, text = (data.get(name) for name in ("id", "spans", "covers", "text"))
            if not isinstance(key, str) or not isinstance(spans, list) or not isinstance(text, str | None):
                raise DataError("want an object with id, spans and, if you like, covers and text")
            if not isinstance(covers, list | None):
                raise DataError("covers must be a list of labels")
            mark = Mark(path, tuple(map(_span, spans)), frozenset(map(str, covers or ())), line, text)
        yield key, mark, covers is not None


def _span(data: Any) -> Span:
    if not isinstance(data, dict):
        raise SpanError("a span must be an object with start, end and label")
    return Span.from_dict(data)

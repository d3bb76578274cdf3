"""Notes from files, folders and stdin, and marked notes back out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TextIO

import typer

from clinidistill.datasets.base import Dataset
from clinidistill.datasets.jsonl import JsonLines
from clinidistill.datasets.parquet import Parquet
from clinidistill.datasets.text import TextFiles
from clinidistill.errors import DataError, SpanError
from clinidistill.types import Document

__all__ = ["count_notes", "read_notes", "write_documents"]


def read_notes(
    files: Sequence[Path], stdin: TextIO, *, text_column: str = "text", id_column: str | None = None
) -> Iterator[Document]:
    """Notes of files one after another, or of stdin if there are none, as they are asked for.

    ``.jsonl``, ``.ndjson``: a document a line. ``.parquet``: a note a row (:class:`Parquet`). A folder: its
    ``.txt`` files, sub-folders too, a note each, named by its place in the folder. Any other file: one note, named
    after it.

    Raises:
        DataError: if a file cannot be read; with the line or row, where there is one.
        ConfigError: if pyarrow is needed and not installed.
    """
    for file in files:
        yield from _dataset(file, text_column, id_column)
    if not files:
        yield from _of_stdin(stdin)


def count_notes(files: Sequence[Path]) -> int | None:
    """How many notes the files hold, where that is known without reading them."""
    try:
        return sum(len(_dataset(file)) for file in files) or None
    except TypeError:
        return None


def write_documents(documents: Iterable[Document], output: Path | None) -> None:
    """JSON lines to a file, which appears whole or not at all, or to stdout as they come.

    Raises:
        DataError: if the file cannot be written, or two documents have one id and could not be read back.
    """
    if output is not None:
        JsonLines.write(documents, output)
        return
    for document in documents:
        typer.echo(JsonLines.render(document), nl=False)


def _dataset(file: Path, text_column: str = "text", id_column: str | None = None) -> Dataset:
    if file.name.endswith(JsonLines.suffixes) and not file.is_dir():
        return JsonLines(file)
    if file.name.endswith(Parquet.suffixes) and not file.is_dir():
        return Parquet(file, text_column=text_column, id_column=id_column)
    return TextFiles(file)


def _of_stdin(stdin: TextIO) -> Iterator[Document]:
    """JSON lines if the first character is an opening brace, else one note."""
    first = stdin.readline()
    if not first.lstrip().startswith("{"):
        if text := first + stdin.read():
            yield Document("stdin", text)
        return
    for number, line in enumerate(chain([first], stdin), start=1):
        if not line.strip():
            continue
        try:
            yield Document.from_dict(json.loads(line))
        except SpanError as error:
            raise DataError(str(error), path="stdin", line=number) from None
        except (ValueError, AttributeError, TypeError):
            raise DataError("is no JSON object of a document (id, text)", path="stdin", line=number) from None

"""Notes from files, folders and stdin, and marked notes back out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TextIO

import typer

from clinidistill.cli.parquet import ParquetNotes
from clinidistill.datasets.files import decode
from clinidistill.datasets.jsonl import JsonLines
from clinidistill.errors import DataError, SpanError
from clinidistill.types import Document

__all__ = ["count_notes", "read_notes", "write_documents"]


def read_notes(
    files: Sequence[Path], stdin: TextIO, *, text_column: str = "text", id_column: str | None = None
) -> Iterator[Document]:
    """Notes of files one after another, or of stdin if there are none, as they are asked for.

    ``.jsonl``, ``.ndjson``: a document a line. ``.parquet``: a note a row (:class:`ParquetNotes`). A folder: its
    ``.txt`` files, sub-folders too, a note each, named by its place in the folder. Any other file: one note, named
    after it.

    Raises:
        DataError: if a file cannot be read; with the line or row, where there is one.
        ConfigError: if pyarrow is needed and not installed.
    """
    for file in files:
        if _is_lines(file):
            yield from JsonLines(file)
        elif file.suffix == ".parquet":
            yield from ParquetNotes(file, text_column, id_column)
        elif file.is_dir():
            for text in _text_files(file):
                yield _note(text, text.relative_to(file).with_suffix("").as_posix())
        else:
            yield _note(file, file.stem)
    if not files:
        yield from _of_stdin(stdin)


def count_notes(files: Sequence[Path]) -> int | None:
    """How many notes the files hold, where that is known without reading them."""
    total = 0
    for file in files:
        if _is_lines(file):
            return None
        total += (
            ParquetNotes(file).rows if file.suffix == ".parquet" else len(_text_files(file)) if file.is_dir() else 1
        )
    return total or None


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


def _is_lines(file: Path) -> bool:
    return file.name.endswith(JsonLines.suffixes) and not file.is_dir()


def _text_files(folder: Path) -> list[Path]:
    found = (file for file in folder.rglob("*.txt") if not _is_hidden(file.relative_to(folder)) and file.is_file())
    if files := sorted(found):
        return files
    raise DataError("the folder holds no .txt file; name JSON lines and Parquet files one by one", path=folder)


def _is_hidden(place: Path) -> bool:
    return any(part.startswith(".") for part in place.parts)


def _note(file: Path, name: str) -> Document:
    try:
        return Document(name, decode(file.read_bytes(), file, 1))
    except FileNotFoundError:
        raise DataError("there is no such file; check the path", path=file) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=file) from None


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

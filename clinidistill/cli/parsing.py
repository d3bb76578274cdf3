"""From words on the command line, files and stdin to components and documents, and back."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TextIO

import typer

from clinidistill.datasets.jsonl import JsonLines
from clinidistill.errors import ConfigError, DataError, SpanError
from clinidistill.types import Document

__all__ = ["component", "mapping", "read_notes", "write_documents"]


def component(words: str) -> tuple[str, dict[str, str]]:
    """A name and options, as in ``"terminology path=drugs.csv label=medication"``; quotes keep spaces together.

    Raises:
        ConfigError: if there is no name, or a word after it is not ``option=value``.

    >>> component("terminology path='my drugs.csv' label=medication")
    ('terminology', {'path': 'my drugs.csv', 'label': 'medication'})
    """
    try:
        parts = shlex.split(words)
    except ValueError as error:
        raise ConfigError(f"{words!r} should read 'NAME option=value …' ({error})") from None
    if not parts:
        raise ConfigError(f"{words!r} should read 'NAME option=value …'; there is no name")
    return parts[0], mapping(parts[1:])


def mapping(pairs: Iterable[str]) -> dict[str, str]:
    """``["a=b", …]`` as a dictionary.

    Raises:
        ConfigError: if one is not ``name=value``.
    """
    out = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise ConfigError(f"{pair!r} should read NAME=VALUE")
        out[name] = value
    return out


def read_notes(files: Sequence[Path], stdin: TextIO) -> Iterator[Document]:
    """Notes of files (``.jsonl``: a document a line; anything else: one note, named after the file), or of stdin.

    Raises:
        DataError: if a file cannot be read, or a line of stdin is no document.
    """
    for file in files:
        if file.name.endswith((".jsonl", ".jsonl.gz", ".ndjson")):
            yield from JsonLines(file)
            continue
        try:
            with file.open(encoding="utf-8", newline="") as stream:
                yield Document(file.stem, stream.read())
        except FileNotFoundError:
            raise DataError("there is no such file; check the path", path=file) from None
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"cannot be read as UTF-8 text ({type(error).__name__})", path=file) from None
    if not files:
        yield from _of_stdin(stdin)


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


def write_documents(documents: Iterable[Document], output: Path | None) -> None:
    """JSON lines to a file, or to stdout as they come."""
    if output is not None:
        JsonLines.write(documents, output)
        return
    for document in documents:
        typer.echo(json.dumps(document.to_dict(), ensure_ascii=False))

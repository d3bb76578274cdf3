"""The command ``predict``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from clinidistill.cli.common import Quiet, progress
from clinidistill.cli.notes import count_notes, read_notes, write_documents
from clinidistill.cli.parquet import write_marked
from clinidistill.datasets.parquet import Parquet
from clinidistill.errors import ConfigError
from clinidistill.types import Document

__all__ = ["predict"]


def predict(
    model: Annotated[Path, typer.Argument(help="Folder of a saved student, or of any token classification model.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="JSON lines, Parquet, text files (a note each) or folders of them; stdin if none.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="JSON lines, or Parquet by the ending .parquet; JSON lines to stdout if none."
        ),
    ] = None,
    text_column: Annotated[str, typer.Option(help="Column of Parquet files with the notes; a null is empty.")] = "text",
    id_column: Annotated[
        str | None, typer.Option(help="Column with their ids; by default 'id', or rows are numbered.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; by default this one.")] = None,
    batch_tokens: Annotated[int | None, typer.Option(min=1, help="Most tokens in a batch.")] = None,
    precision: Annotated[str | None, typer.Option(help="'fp32', 'bf16', or 'auto'.")] = None,
    device: Annotated[str | None, typer.Option(help="Where to compute, e.g. 'cpu' or 'cuda:1'.")] = None,
    quiet: Quiet = False,
) -> None:
    """Mark notes with a student: one JSON object a note, or the rows of Parquet files with a column of spans.

    They stream, in order. Stdin is JSON lines if it starts with '{', else one note.
    """
    import clinidistill as cd
    from clinidistill.progress import track

    if not model.is_dir():
        raise ConfigError(f"{model}: there is no such folder; name the one that a student was saved in")
    student = cd.load_student(model)
    given = {"workers": workers, "batch_tokens": batch_tokens, "precision": precision, "device": device}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    paths = files or []
    notes = read_notes(paths, sys.stdin, text_column=text_column, id_column=id_column)
    shown = False if output is None else progress(quiet)
    with track("predicting", count_notes(paths), shown) as bar:

        def mark(documents: Iterable[Document]) -> Iterator[Document]:
            for document in student.predict(documents, **options):
                yield document
                bar.advance()

        if output is None or output.suffix != ".parquet":
            write_documents(mark(notes), output)
            return
        tables = [
            Parquet(path, text_column=text_column, id_column=id_column) for path in paths if path.suffix == ".parquet"
        ]
        if not tables:
            Parquet.write(mark(notes), output)
        elif len(tables) < len(paths):
            raise ConfigError("Parquet keeps the rows of Parquet files; mark the other files apart, or as JSON lines")
        else:
            write_marked(tables, mark, output)

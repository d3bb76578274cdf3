"""Commands around terminologies: codes for what is marked, and why a teacher marked it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from clinidistill.cli.common import Quiet, progress
from clinidistill.cli.notes import read_notes, write_documents
from clinidistill.cli.parsing import component
from clinidistill.errors import ConfigError
from clinidistill.types import Document

__all__ = ["explain", "link"]

Files = Annotated[
    list[Path] | None,
    typer.Argument(
        help="JSON lines, Parquet, text files (a note each) or folders of them; stdin if none.", show_default=False
    ),
]


def link(
    terminology: Annotated[
        str,
        typer.Option(
            "--terminology", "-T", help="'FORMAT option=value …', e.g. 'rxnorm path=RxNorm_full.zip code=ingredient'."
        ),
    ],
    files: Files = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON lines file; stdout if none.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="Only spans with this label. Repeat; none links all.")] = None,
    min_score: Annotated[float, typer.Option(help="Least score that gives a span a code.", min=0, max=1)] = 0.65,
    overwrite: Annotated[bool, typer.Option(help="Link spans that have a code again.")] = False,
    quiet: Quiet = False,
) -> None:
    """Give marked spans the codes of a terminology; a span that cannot be linked has none."""
    import clinidistill as cd
    from clinidistill.progress import track

    name, options = component(terminology)
    concepts = cd.load_terminology(name, **options)
    notes = read_notes(files or [], sys.stdin)
    linked = cd.link(notes, concepts, labels=label, min_score=min_score, overwrite=overwrite)
    with track("linking", show=False if output is None else progress(quiet)) as bar:

        def counted() -> Iterator[Document]:
            for document in linked:
                yield document
                bar.advance()

        write_documents(counted(), output)


def explain(
    teacher: Annotated[
        str,
        typer.Option("--teacher", "-t", help="'NAME option=value …', e.g. 'terminology path=drugs.csv label=drug'."),
    ],
    files: Files = None,
    text: Annotated[bool, typer.Option("--text", help="Show what the note says there, too.")] = False,
) -> None:
    """Say of each name in notes why a terminology teacher marked it, or did not."""
    import clinidistill as cd

    name, options = component(teacher)
    made: Any = cd.load_teacher(name, **options)
    if not hasattr(made, "explain"):
        raise ConfigError(f"the teacher {name!r} cannot explain itself; terminologies can")
    for document in read_notes(files or [], sys.stdin):
        for each in made.explain(document):
            quoted = f" {document.text[each.start : each.end]!r}" if text else ""
            typer.echo(f"{document.id} {each}{quoted}")

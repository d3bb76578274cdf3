"""The command that shows what kinds of errors a system makes."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from clinidistill.cli.common import Format, Rename, err, load
from clinidistill.cli.parsing import component
from clinidistill.errors import ConfigError

__all__ = ["errors"]


class By(enum.StrEnum):
    """What :meth:`ErrorAnalysis.by` divides mentions by."""

    label = "label"
    length = "length"
    frequency = "frequency"
    seen = "seen"
    section = "section"


def errors(
    gold: Annotated[Path, typer.Argument(help="Human-labelled notes.")],
    predicted: Annotated[Path | None, typer.Option(help="The same notes with predicted spans.")] = None,
    student: Annotated[Path | None, typer.Option(help="Folder of a saved student to run on them.")] = None,
    teacher: Annotated[
        str | None, typer.Option("--teacher", "-t", help="'NAME option=value …' to run on them.")
    ] = None,
    train: Annotated[Path | None, typer.Option(help="Labelled notes that the system learned from.")] = None,
    by: Annotated[
        list[By] | None, typer.Option(help="Scores and errors by what mentions have in common. Repeat.")
    ] = None,
    worst: Annotated[int, typer.Option(min=0, help="How many of the documents with most errors to show.")] = 10,
    csv: Annotated[Path | None, typer.Option(help="Write a row for each mention there; it holds note text.")] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the worst documents, highlighted, there; it holds note text.")
    ] = None,
    format: Format = "jsonl",
    rename: Rename = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a system misses and invents, and where: kinds of errors, confusions, the worst documents."""
    import clinidistill as cd
    from clinidistill.evaluation.text_table import text_table

    if sum(each is not None for each in (predicted, student, teacher)) != 1:
        raise ConfigError("errors needs exactly one of --predicted, --student and --teacher")
    if by and By.seen in by and train is None:
        raise ConfigError("--by seen needs --train, the notes that the system learned from")
    notes = load(format, gold, rename)
    sides: tuple[Any, Any]
    if predicted is not None:
        sides = notes, load(format, predicted, rename)
    elif student is not None:
        sides = cd.load_student(student), notes
    else:
        name, options = component(str(teacher))
        sides = cd.load_teacher(name, **options), notes
    analysis = cd.analyse_errors(*sides, train=None if train is None else load(format, train, rename))
    breakdowns = {each.value: analysis.by(each.value) for each in by or ()}
    documents = analysis.worst(worst)
    for path, write in ((csv, analysis.to_csv), (html, lambda path: analysis.to_html(path, n=worst))):
        if path is not None:
            write(path)
            err.print(f"wrote {path}, which holds note text", markup=False, highlight=False, soft_wrap=True)
    if as_json:
        data = analysis.to_dict() | {"by": {name: each.to_dict() for name, each in breakdowns.items()}}
        data["worst"] = [
            {"document": each.document_id, "errors": each.errors, "f1": each.metrics.f1} for each in documents
        ]
        typer.echo(json.dumps(data, indent=2))
        return
    worst_table = text_table(
        ["worst documents", "errors", "F1"], [[each.document_id, each.errors, each.metrics.f1] for each in documents]
    )
    typer.echo("\n\n".join(map(str, [analysis, *breakdowns.values(), *([worst_table] if documents else [])])))

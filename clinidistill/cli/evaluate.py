"""The commands ``evaluate`` and ``compare``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from clinidistill.cli.common import Format, Rename, load
from clinidistill.cli.parsing import component
from clinidistill.errors import ConfigError

__all__ = ["compare", "evaluate"]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Gold = Annotated[Path, typer.Argument(help="Human-labelled notes.")]


def evaluate(
    gold: Gold,
    predicted: Annotated[Path | None, typer.Option(help="The same notes with predicted spans.")] = None,
    student: Annotated[Path | None, typer.Option(help="Folder of a saved student to run on them.")] = None,
    teacher: Annotated[
        str | None, typer.Option("--teacher", "-t", help="'NAME option=value …' to run on them.")
    ] = None,
    format: Format = "jsonl",
    rename: Rename = None,
    bootstrap: Annotated[int, typer.Option(min=0, help="Resamples for confidence intervals of F1.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Score predictions, a student or a teacher: strict, lenient and token-level, and with --json in more ways."""
    import clinidistill as cd

    if sum(each is not None for each in (predicted, student, teacher)) != 1:
        raise ConfigError("evaluate needs exactly one of --predicted, --student and --teacher")
    notes = load(format, gold, rename)
    if predicted is not None:
        scores = cd.evaluate(notes, load(format, predicted, rename), bootstrap=bootstrap)
    elif student is not None:
        scores = cd.evaluate(cd.load_student(student), notes, bootstrap=bootstrap)
    else:
        name, options = component(str(teacher))
        scores = cd.evaluate(cd.load_teacher(name, **options), notes, bootstrap=bootstrap)
    typer.echo(json.dumps(scores.to_dict(), indent=2) if as_json else str(scores))


def compare(
    gold: Gold,
    a: Annotated[Path, typer.Argument(help="The same notes with one system's spans.")],
    b: Annotated[Path, typer.Argument(help="The same notes with the other system's spans.")],
    scheme: Annotated[
        str, typer.Option(help="What counts: strict, lenient, token, type, boundary, partial or unique.")
    ] = "strict",
    of: Annotated[str | None, typer.Option(help="Compare the F1 of this label; none compares the micro F1.")] = None,
    bootstrap: Annotated[int, typer.Option(min=1, help="Resamples, and shuffles for p.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    format: Format = "jsonl",
    rename: Rename = None,
    as_json: AsJson = False,
) -> None:
    """The difference of two systems' F1 on the same notes, its interval, and how probable it is by chance."""
    import clinidistill as cd

    notes, one, other = (load(format, path, rename) for path in (gold, a, b))
    result = cd.compare(notes, one, other, scheme=scheme, label=of, resamples=bootstrap, seed=seed)
    typer.echo(json.dumps(result.to_dict(), indent=2) if as_json else str(result))

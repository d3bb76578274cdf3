"""The commands ``combine`` and ``search``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from clinidistill.cli.common import Format, Quiet, Rename, err, load, progress
from clinidistill.cli.notes import write_documents
from clinidistill.cli.opinions import Names, Opinions, Store, read_labels
from clinidistill.cli.parsing import component

__all__ = ["combine", "search"]

Dev = Annotated[Path | None, typer.Option(help="Human-labelled notes among them, in the same format, to learn from.")]


def combine(
    notes: Opinions,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON lines file; stdout if none.")] = None,
    aggregator: Annotated[str, typer.Option("--aggregator", "-a", help="'NAME option=value …'.")] = "auto",
    dev: Dev = None,
    store: Store = "labels.sqlite",
    teacher: Names = None,
    format: Format = "jsonl",
    rename: Rename = None,
) -> None:
    """Make one silver label set of what several teachers said."""
    import clinidistill as cd

    labels = read_labels({path: load(format, path, rename) for path in notes}, store, teacher)
    name, options = component(aggregator)
    model = cd.load_aggregator(name, **options).fit(labels, None if dev is None else load(format, dev, rename))
    if reason := getattr(model, "reason", None):
        err.print(reason, highlight=False, markup=False)
    write_documents(model.combine(labels), output)


def search(
    notes: Opinions,
    dev: Annotated[Path, typer.Option(help="Human-labelled notes among them, in the same format, to score on.")],
    aggregator: Annotated[
        list[str] | None,
        typer.Option("--aggregator", "-a", help="Repeat; by default union, majority, weighted and dawid-skene."),
    ] = None,
    store: Store = "labels.sqlite",
    teacher: Names = None,
    scheme: Annotated[str, typer.Option(help="Rank by F1 in this scheme: strict, lenient or token.")] = "strict",
    bootstrap: Annotated[int, typer.Option(min=0, help="Resamples for confidence intervals of F1.")] = 1000,
    seed: Annotated[int, typer.Option()] = 0,
    format: Format = "jsonl",
    rename: Rename = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Which teachers together are best: every subset of them with every aggregator, by F1 on human labels."""
    import clinidistill as cd
    from clinidistill.aggregation.search import AGGREGATORS

    labels = read_labels({path: load(format, path, rename) for path in notes}, store, teacher)
    found = cd.search_teachers(
        labels,
        load(format, dev, rename),
        aggregators=aggregator or AGGREGATORS,
        scheme=scheme,
        bootstrap=bootstrap,
        seed=seed,
        progress=progress(quiet),
    )
    typer.echo(json.dumps(found.to_dict(), indent=2) if as_json else str(found))

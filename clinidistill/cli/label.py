"""The commands ``label`` and ``relabel``."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from clinidistill.cli.common import Format, Quiet, Rename, err, load, out, progress
from clinidistill.cli.opinions import Store, opened
from clinidistill.cli.parsing import component
from clinidistill.errors import ConfigError
from clinidistill.registry import registry

if TYPE_CHECKING:
    from clinidistill.labels import Labels
    from clinidistill.teachers import Teacher
    from clinidistill.types import Estimate

__all__ = ["label", "relabel"]

Notes = Annotated[Path, typer.Argument(help="Notes: a file or folder in FORMAT.")]
Teachers = Annotated[
    list[str],
    typer.Option(
        "--teacher",
        "-t",
        help="'NAME option=value …', e.g. 'terminology path=drugs.csv label=medication' or 'openai model=gpt-4o-mini'. "
        "Repeat. Keys come from the environment (OPENAI_API_KEY, GEMINI_API_KEY, ANTHROPIC_API_KEY).",
    ),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Where the silver notes go; the ending tells the format.")
]
Aggregator = Annotated[str, typer.Option("--aggregator", "-a", help="'NAME option=value …'.")]
Model = Annotated[str | None, typer.Option(help="Model of the language-model teachers.")]
BaseUrl = Annotated[str | None, typer.Option("--base-url", help="Address of their API, e.g. http://localhost:8000/v1.")]
TaskName = Annotated[str | None, typer.Option("--task", help="Their task: clinical, medication, disease or symptom.")]
Examples = Annotated[Path | None, typer.Option(help="Annotated notes (JSON lines) to choose their examples from.")]


def label(
    notes: Notes,
    teacher: Teachers,
    output: Output = None,
    store: Store = "labels.sqlite",
    aggregator: Aggregator = "majority",
    model: Model = None,
    base_url: BaseUrl = None,
    task: TaskName = None,
    examples: Examples = None,
    budget_usd: Annotated[
        float | None, typer.Option("--budget-usd", help="The most dollars that each of them may spend in the store.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(help="Requests in flight; by default as many as the API takes.")
    ] = None,
    batch: Annotated[
        bool, typer.Option("--batch", help="Ask in batches: about half the price; takes minutes to a day.")
    ] = False,
    estimate: Annotated[bool, typer.Option("--estimate", help="Only tell what it would ask and cost.")] = False,
    format: Format = "jsonl",
    rename: Rename = None,
    retry_failures: Annotated[bool, typer.Option(help="Ask again where a teacher failed earlier.")] = False,
    allow_remote: Annotated[bool, typer.Option(help="Let notes leave this machine, if a teacher sends them.")] = False,
    quiet: Quiet = False,
) -> None:
    """Have teachers mark notes, and write what they agree on. Run again, it asks only for what is missing."""
    import clinidistill as cd

    shared = {"model": model, "base_url": base_url, "task": task, "examples": examples}
    run = {"budget_usd": budget_usd, "concurrency": concurrency, "batch": True if batch else None}
    teachers = _teachers(teacher, {**shared, **run})
    dataset = load(format, notes, rename)
    if estimate:
        _show_estimates(cd.estimate(dataset, teachers, store), store)
        return
    labels = cd.label(
        dataset,
        teachers,
        store,
        retry_failures=retry_failures,
        allow_remote=allow_remote,
        progress=progress(quiet),
    )
    _finish(labels, aggregator, output, store)


def relabel(
    notes: Notes,
    teacher: Teachers,
    output: Output = None,
    store: Store = "labels.sqlite",
    aggregator: Aggregator = "majority",
    model: Model = None,
    base_url: BaseUrl = None,
    task: TaskName = None,
    examples: Examples = None,
    format: Format = "jsonl",
    rename: Rename = None,
    quiet: Quiet = False,
) -> None:
    """Read the raw answers in the store again, as after an upgrade; asks nothing and costs nothing.

    Give the teachers as they were given to `label`.
    """
    import clinidistill as cd

    kept = opened(store)
    teachers = _teachers(teacher, {"model": model, "base_url": base_url, "task": task, "examples": examples})
    labels = cd.relabel(load(format, notes, rename), teachers, kept, progress=progress(quiet))
    _finish(labels, aggregator, output, store)


def _teachers(words: Sequence[str], shared: dict[str, Any]) -> list[Teacher]:
    """The teachers, with the options that all who know them share."""
    import clinidistill as cd

    given = {name: value for name, value in shared.items() if value is not None}
    unused, teachers = set(given), []
    for name, options in map(component, words):
        if "api_key" in options:
            raise ConfigError("a key on the command line is seen by all; set the environment's variable for it instead")
        known = inspect.signature(registry("teachers").get(name)).parameters
        ours = {option: value for option, value in given.items() if option in known and option not in options}
        unused -= {option for option in given if option in known}
        teachers.append(cd.load_teacher(name, **options, **ours))
    if unused:
        flags = ", ".join(f"--{option.replace('_', '-')}" for option in sorted(unused))
        raise ConfigError(f"no teacher takes {flags}")
    return teachers


def _finish(labels: Labels, aggregator: str, output: Path | None, store: str) -> None:
    """Write what the teachers agree on, and tell what it took."""
    import clinidistill as cd

    _show_costs(labels)
    names = ", ".join(labels.teachers)
    if output is None:
        err.print(f"notes labelled by {names}; annotations in {store}", highlight=False)
        return
    kind, options = component(aggregator)
    combiner = cd.load_aggregator(kind, **options)
    count = combiner.fit(labels).combine(labels).save(output)
    err.print(f"{count} notes labelled by {names}; silver labels in {output}", highlight=False)


def _show_costs(labels: Labels) -> None:
    """What each teacher cost, by entity type, if any cost something."""
    costs = labels.costs()
    if not any(cost.cost_usd for cost in costs):
        return
    types = sorted({each for cost in costs for each in cost.by_label_usd})
    table = _table("notes", "failed", "tokens in", "tokens out", "$", "$/1,000", *(f"$ {name}" for name in types))
    for cost in costs:
        each = cost.per_document_usd
        table.add_row(
            cost.teacher,
            f"{cost.documents:,}",
            f"{cost.failed:,}",
            f"{cost.input_tokens:,}",
            f"{cost.output_tokens:,}",
            _dollars(cost.cost_usd) + (f" + {cost.unknown:,} unknown" if cost.cost_usd and cost.unknown else ""),
            _dollars(None if each is None else each * 1000),
            *(_dollars(cost.by_label_usd.get(name)) for name in types),
        )
    err.print(table)


def _show_estimates(estimates: Iterable[Estimate], store: str) -> None:
    table = _table("notes", "requests", "tokens in", "tokens out", "about $", "at most $")
    for each in estimates:
        counts = (each.documents, each.requests, each.input_tokens, each.output_tokens)
        table.add_row(
            each.teacher, *(f"{count:,}" for count in counts), _dollars(each.cost_usd), _dollars(each.most_usd)
        )
    out.print(table)
    out.print(f"Nothing was sent. Notes answered in {store} are not counted.", markup=False, highlight=False)


def _table(*numbers: str) -> Table:
    """A table of teachers; names stay whole, also in narrow terminals."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("teacher", no_wrap=True, min_width=12)
    for number in numbers:
        table.add_column(number, justify="right")
    return table


def _dollars(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.4f}" if value < 1 else f"{value:,.2f}"

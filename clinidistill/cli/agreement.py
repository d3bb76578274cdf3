"""The command ``agreement``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clinidistill.cli.common import Format, Rename, err, load
from clinidistill.errors import ConfigError

if TYPE_CHECKING:
    from clinidistill.datasets import Dataset
    from clinidistill.labels import Labels

__all__ = ["agreement"]


def agreement(
    notes: Annotated[
        list[Path],
        typer.Argument(
            help="Notes that the teachers in the store have marked; or two or more files of the same notes, "
            "each marked by one teacher or person."
        ),
    ],
    store: Annotated[Path, typer.Option(help="Label store (SQLite) that `label` wrote.")] = Path("labels.sqlite"),
    teacher: Annotated[
        list[str] | None, typer.Option("--teacher", "-t", help="Only teachers of this name. Repeat; none takes all.")
    ] = None,
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

    datasets = {path: load(format, path, rename) for path in notes}
    labels = _of_files(datasets) if len(datasets) > 1 else _of_store(datasets[notes[0]], store)
    if teacher:
        labels = labels.select(*teacher)
    found = cd.agreement(labels)
    typer.echo(json.dumps(found.to_dict(), indent=2) if as_json else str(found))
    if queue is not None:
        kind = queue_format or ("label-studio" if queue.name.endswith(".json") else None)
        count = cd.review_queue(labels, limit).save(queue, kind)
        err.print(f"{count} notes for review in {queue}", highlight=False, markup=False)
        if kind == "label-studio":
            from clinidistill.datasets.label_studio import labelling_config

            err.print(f"labelling configuration:\n{labelling_config(found.alpha)}", highlight=False, markup=False)


def _of_store(notes: Dataset, path: Path) -> Labels:
    """What the store's teachers said of the notes; of teachers of one name each has six digits of its fingerprint."""
    import clinidistill as cd

    if not path.exists():
        raise ConfigError(f"{path}: there is no such label store; name the one that `label` wrote, or several files")
    store = cd.LabelStore(path)
    teachers = [each for each in store.teachers() if each.answered]
    known = Counter(each.name for each in teachers)
    fingerprints = {
        each.name if known[each.name] == 1 else f"{each.name}-{each.fingerprint[:6]}": each.fingerprint
        for each in teachers
    }
    return cd.Labels(notes, fingerprints, lambda name, chunk: store.get(fingerprints[name], chunk, name))


def _of_files(datasets: dict[Path, Dataset]) -> Labels:
    """Each file's spans as one teacher's opinions; a note that a file lacks is one that it has not seen."""
    import clinidistill as cd

    notes: dict[str, cd.Document] = {}
    table: dict[str, dict[str, cd.Annotation]] = {}
    for name, dataset in zip(_names(list(datasets)), datasets.values(), strict=True):
        table[name] = said = {}
        for note in dataset:
            if notes.setdefault(note.id, note.without_spans()).text != note.text:
                raise ConfigError(f"{name}: the text of {note.id!r} is not that of the files before; use one version")
            said[note.id] = cd.Annotation(note.id, name, note.spans, note.covers)
    return cd.Labels(notes.values(), table, lambda name, _: table[name])


def _names(paths: Sequence[Path]) -> list[str]:
    """The files' names without endings, or their whole paths where these are the same."""
    names = [path.name.split(".")[0] for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]

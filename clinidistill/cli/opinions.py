"""What teachers said, from a label store or from files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clinidistill.database import exists, has_password
from clinidistill.errors import ConfigError

if TYPE_CHECKING:
    from clinidistill.datasets import Dataset
    from clinidistill.labels import Labels
    from clinidistill.store import LabelStore

__all__ = ["Names", "Opinions", "Store", "opened", "read_labels"]

Opinions = Annotated[
    list[Path],
    typer.Argument(
        help="Notes that the teachers in the store have marked; or two or more files of the same notes, "
        "each marked by one teacher or person."
    ),
]


def _place(store: str) -> str:
    """A store's place, if it may stand on a command line."""
    if has_password(store):
        raise ConfigError(
            "a password on the command line is seen by all; leave it out of the URL, for PGPASSWORD or .pgpass"
        )
    return store


Store = Annotated[
    str,
    typer.Option(
        help="Label store: an SQLite file, or postgresql://USER@HOST/DATABASE, which machines may share.",
        callback=_place,
    ),
]
Names = Annotated[
    list[str] | None, typer.Option("--teacher", "-t", help="Only teachers of this name. Repeat; none takes all.")
]


def read_labels(datasets: Mapping[Path, Dataset], store: str, teachers: Sequence[str] | None) -> Labels:
    """Labels of one set of notes from a store, or of several files of the same notes.

    Raises:
        ConfigError: if there is no such store or teacher, or the files hold different texts of a note.
    """
    labels = _of_files(datasets) if len(datasets) > 1 else _of_store(next(iter(datasets.values())), opened(store))
    return labels.select(*teachers) if teachers else labels


def opened(store: str) -> LabelStore:
    """A store that is there.

    Raises:
        ConfigError: if it is not.
    """
    import clinidistill as cd

    if not exists(store):
        raise ConfigError(f"{store}: there is no such label store; name the one that `label` wrote")
    return cd.LabelStore(store)


def _of_store(notes: Dataset, store: LabelStore) -> Labels:
    """What the store's teachers said of the notes; of teachers of one name each has six digits of its fingerprint."""
    import clinidistill as cd

    teachers = [each for each in store.teachers() if each.answered]
    known = Counter(each.name for each in teachers)
    fingerprints = {
        each.name if known[each.name] == 1 else f"{each.name}-{each.fingerprint[:6]}": each.fingerprint
        for each in teachers
    }
    return cd.Labels(notes, fingerprints, lambda name, chunk: store.get(fingerprints[name], chunk, name))


def _of_files(datasets: Mapping[Path, Dataset]) -> Labels:
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

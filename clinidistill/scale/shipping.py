"""What workers need, on its way to them: names, options and files, never live objects.

Files and compiled tables go into Ray's object store, which brings them to each node once.
"""

from __future__ import annotations

import inspect
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clinidistill.bases import base_fingerprint
from clinidistill.component import Component
from clinidistill.errors import ConfigError, DataError
from clinidistill.scale.storage import Place
from clinidistill.settings import Settings
from clinidistill.students import Student

__all__ = ["Parts", "packed", "put_together", "student_folder", "taken_apart", "unpacked"]


@dataclass(frozen=True, slots=True)
class Parts:
    """A component as its class and its options, in which components are taken apart, too."""

    cls: type[Component]
    options: Mapping[str, Any]


def taken_apart(value: Any) -> Any:
    """A component as its parts, wherever it stands in lists and mappings; anything else as it is.

    Raises:
        ConfigError: if an option can be read but once, and so has been.
    """
    if isinstance(value, Iterator):
        raise ConfigError(f"an option is a {type(value).__name__}, which is used up when it is read; give a list")
    if isinstance(value, Component):
        return Parts(type(value), {name: taken_apart(option) for name, option in value.options.items()})
    if isinstance(value, dict):
        return {name: taken_apart(item) for name, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(taken_apart, value))
    return value


def put_together(value: Any) -> Any:
    """Inverse of :func:`taken_apart`."""
    if isinstance(value, dict):
        return {name: put_together(item) for name, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(put_together, value))
    if not isinstance(value, Parts):
        return value
    options: dict[str, Any] = put_together(dict(value.options))
    positional: list[Any] = []
    for parameter in inspect.signature(value.cls).parameters.values():
        if parameter.name in options and parameter.kind is parameter.POSITIONAL_ONLY:
            positional.append(options.pop(parameter.name))
        elif parameter.name in options and parameter.kind is parameter.VAR_POSITIONAL:
            positional.extend(options.pop(parameter.name))
    return value.cls(*positional, **options)


@contextmanager
def student_folder(model: Student | str | Path, options: Mapping[str, Any]) -> Iterator[Path]:
    """A folder of this machine that holds a student.

    Args:
        model: a student, which is saved there; a folder; or the URL of one, which is fetched.
        options: of the store, for a URL.

    Raises:
        DataError: if there is no such folder, or it cannot be fetched.
    """
    with tempfile.TemporaryDirectory(prefix="clinidistill-") as draft:
        folder = Path(draft) / "student"
        if isinstance(model, Student):
            model.save(folder)
            yield folder
            return
        place = Place.of(model, options)
        if place.is_local:
            folder = Path(place.path)
        else:
            place.fetch(folder)
        if not folder.is_dir():
            raise DataError("there is no such folder; name the one that a student was saved in", path=str(model))
        yield folder


def packed(folder: Path) -> tuple[str, dict[str, Any]]:
    """The fingerprint and the files of a student's folder, as arrays, which workers of one node share."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return base_fingerprint(folder), {
        file.relative_to(folder).as_posix(): np.frombuffer(file.read_bytes(), dtype=np.uint8) for file in files
    }


def unpacked(fingerprint: str, files: Mapping[str, Any]) -> Path:
    """A folder with these files, in the cache of this node, where it is made once."""
    folder = Settings().cache / "students" / fingerprint
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder.parent))
    try:
        for name, data in files.items():
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            (draft / name).write_bytes(memoryview(data))
        os.rename(draft, folder)
    except OSError:
        if not folder.is_dir():  # else another worker was faster
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder

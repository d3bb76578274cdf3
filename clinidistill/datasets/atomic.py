"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import gzip
import io
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from clinidistill.errors import DataError

__all__ = ["private_file", "replacing_file", "replacing_folder"]


@contextmanager
def replacing_file(path: str | Path, *, private: bool = False) -> Iterator[BufferedIOBase]:
    """A new file to write, gzipped where the name ends in ``.gz``; it takes `path`'s place when all went well.

    Args:
        path: the file; its folder is made if absent.
        private: whether only its owner may read it (mode 0600).

    Raises:
        DataError: if it cannot be written.
    """
    target, draft = _places(path)
    with _cannot_write(path):
        try:
            with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if private else 0o666), "wb") as file:
                if target.name.endswith(".gz"):  # no time and no name inside: the same documents, the same bytes
                    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
                        yield packed
                else:
                    yield file
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)


@contextmanager
def private_file(path: str | Path) -> Iterator[TextIO]:
    """A new UTF-8 file that holds note text: :func:`replacing_file` for its owner alone.

    A lone surrogate, which a text may hold and UTF-8 cannot, becomes a question mark.

    Raises:
        DataError: if it cannot be written.
    """
    with replacing_file(path, private=True) as file:
        text = io.TextIOWrapper(cast(BinaryIO, file), encoding="utf-8", errors="replace", newline="")
        yield text
        text.detach()


@contextmanager
def replacing_folder(path: str | Path, endings: tuple[str, ...], also: tuple[str, ...] = ()) -> Iterator[Path]:
    """A new folder to fill; it takes `path`'s place when all went well.

    A folder already there is replaced only if each of its files comes with every ending, as a former save left
    them, or has one of the names in `also`; anything else might be the only copy of someone's notes.

    Raises:
        DataError: if it cannot be written, or would replace other files.
    """
    target, draft = _places(path)
    with _cannot_write(path):
        if target.is_dir():
            _refuse_strangers(target, endings, also)
        try:
            draft.mkdir()
            yield draft
            if target.is_dir():
                former = draft.with_name(f"{draft.name}.old")
                target.rename(former)
                try:
                    draft.rename(target)
                except OSError:
                    former.rename(target)
                    raise
                shutil.rmtree(former)
            else:
                draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _places(path: str | Path) -> tuple[Path, Path]:
    """The target, symbolic links resolved, and a hidden name beside it, on the same file system."""
    target = Path(os.path.realpath(Path(path).expanduser()))
    return target, target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.tmp")


@contextmanager
def _cannot_write(path: str | Path) -> Iterator[None]:
    try:
        Path(os.path.realpath(Path(path).expanduser())).parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror}", path=path) from None


def _refuse_strangers(folder: Path, endings: tuple[str, ...], also: tuple[str, ...]) -> None:
    for file in folder.rglob("*"):
        own = file.name.endswith(endings) and all(file.with_suffix(ending).is_file() for ending in endings)
        if not file.is_dir() and not own and file.name not in also:
            pairs = "pairs of " * (len(endings) > 1)
            raise DataError(
                f"will not replace this folder, which holds more than {pairs}{' and '.join(endings)} files; "
                "save to a new one",
                path=folder,
            )

"""A publisher's release: the folder, zip or file that its tables are read from, unpacked nowhere."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from clinidistill.errors import DataError
from clinidistill.terminologies.files import open_bytes

__all__ = ["Release"]


class Release:
    """The tables that a terminology is published as, wherever they lie.

    Tables are named by their path within the release, with ``/``. Any of them may be packed by itself (``.gz``).
    Files whose name begins with a dot are not seen.

    Args:
        path: the release's folder; its zip (``.zip``, or NLM's ``.nlm``), read in place; or one of its tables,
            which stands for those in the same folder (in SNOMED CT's ``Terminology`` folder: in the folder above
            it, where the reference sets lie too).
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        folder = self.path.is_dir()
        self._zipped = self.path.suffix.lower() in (".zip", ".nlm") and not folder
        self._root, self._given, self._deep = self.path, "", True
        if not (folder or self._zipped):
            file = self.path.absolute()
            self._deep = file.parent.name.lower() == "terminology"
            self._root = file.parent.parent if self._deep else self.path.parent
            self._given = file.relative_to(self._root.absolute()).as_posix()

    def find(self, pattern: str) -> list[str]:
        """The tables whose file name, with or without ``.gz``, matches a glob pattern in any case, sorted.

        Of a release given as one of its tables, that one goes before all others that match.

        Raises:
            DataError: if the release is not there, or is a broken zip.
        """
        matching = [name for name in self._names if fnmatchcase(_base(name), pattern.lower())]
        return [self._given] if self._given in matching else matching

    def one(self, pattern: str, what: str, *, among: Sequence[str] | None = None) -> str:
        """The one table whose name matches.

        Args:
            pattern: as for :meth:`find`.
            what: what the table holds, for the error.
            among: the tables to take it from; None finds them.

        Raises:
            DataError: if there is none, or several.
        """
        found = self.find(pattern) if among is None else among
        if not found:
            raise DataError(
                f"no {pattern} ({what}) in it; give the release's folder or its zip as it was downloaded",
                path=self.path,
            )
        if len(found) > 1:
            raise DataError(
                f"{len(found)} tables are called {pattern} ({what}): {', '.join(found[:4])}"
                f"{', …' if len(found) > 4 else ''}; give the path of the one, or of its folder",
                path=self._root,
            )
        return found[0]

    def where(self, name: str) -> Path:
        """The table's path, for messages; within a zip, it goes on from the zip's."""
        return self._root / name

    def files(self, names: Iterable[str]) -> list[Path]:
        """The files on disk that hold these tables, sorted: for a zip, the zip."""
        return [self.path] if self._zipped else sorted(map(self.where, names))

    def rows(
        self,
        name: str,
        *,
        delimiter: str,
        width: int | None = None,
        header: Sequence[str] | None = None,
        terminated: bool = False,
    ) -> Iterator[tuple[int, list[str]]]:
        """Line number and cells of each row. Nothing is quoted or escaped in these tables; blank lines are passed over.

        Args:
            name: the table, as :meth:`find` gives it.
            delimiter: what stands between cells.
            width: how many cells each row has; None takes the header's, or leaves it unchecked.
            header: the first line's cells, which must be these and do not come as a row; None has no header line.
            terminated: whether a delimiter ends each row, too (NLM's RRF); a row's last cell is then empty and one more
                than `width`.

        Raises:
            DataError: with file, line and column, where bytes are not UTF-8 or a row has too few or many cells; if
                the header is another, or the file is not whole.
        """
        if width is None and header is not None:
            width = len(header)
        expected = 0 if width is None else width + terminated
        with self._open(name) as file:
            start = 1
            if header is not None:
                self._check_header(name, file.readline(), delimiter, header)
                start = 2
            for number, raw in enumerate(file, start):
                try:
                    cells = raw.rstrip(b"\r\n").decode().split(delimiter)
                except UnicodeDecodeError as error:
                    raise self._not_utf8(name, number, error) from None
                if len(cells) != expected and width is not None:
                    if cells == [""]:
                        continue
                    raise self._wrong_width(name, number, cells, width, terminated)
                yield number, cells

    @cached_property
    def _names(self) -> list[str]:
        names = set(self._listed())
        return sorted(
            name
            for name in names
            if not name.rpartition("/")[2].startswith(".")
            and not (name.lower().endswith(".gz") and name[: -len(".gz")] in names)  # unpacked beside it
        )

    def _listed(self) -> Iterator[str]:
        if self._zipped:
            with self._archive() as archive:
                yield from (each.filename for each in archive.infolist() if not each.is_dir())
            return
        if not self.path.exists():
            raise DataError("no such file or folder; check the path, or download the release first", path=self.path)
        for folder, below, files in os.walk(self._root):
            if not self._deep:
                below.clear()
            yield from ((Path(folder) / each).relative_to(self._root).as_posix() for each in files)

    @contextmanager
    def _archive(self) -> Iterator[zipfile.ZipFile]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                yield archive
        except FileNotFoundError:
            raise DataError("no such file; check the path, or download the release first", path=self.path) from None
        except PermissionError:
            raise DataError("may not be read; ask its owner for permission (chmod +r)", path=self.path) from None
        except (OSError, zipfile.BadZipFile) as error:
            raise _not_whole(self.path, error) from error

    @contextmanager
    def _open(self, name: str) -> Iterator[io.BufferedReader]:
        """The table's bytes after its byte order mark, buffered in C: members of zips are not."""
        if not self._zipped:
            with open_bytes(self.where(name)) as file:
                yield _after_mark(file)
            return
        with self._archive() as archive:
            try:
                with archive.open(name) as member:
                    if name.lower().endswith(".gz"):
                        with gzip.open(member) as unpacked:
                            yield _after_mark(unpacked)
                    else:
                        yield _after_mark(member)
            except (OSError, EOFError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile) as error:
                raise _not_whole(self.where(name), error) from error

    def _check_header(self, name: str, raw: bytes, delimiter: str, header: Sequence[str]) -> None:
        try:
            cells = raw.rstrip(b"\r\n").decode().split(delimiter)
        except UnicodeDecodeError as error:
            raise self._not_utf8(name, 1, error) from None
        if cells != list(header):
            raise DataError(
                f"its first line is not the header {delimiter.join(header)!r}; is it this table, and whole?",
                path=self.where(name),
                line=1,
            )

    def _not_utf8(self, name: str, line: int, error: UnicodeDecodeError) -> DataError:
        return DataError(
            "not UTF-8 text; take the file as it was published, or save it as UTF-8",
            path=self.where(name),
            line=line,
            column=len(error.object[: error.start].decode()) + 1,
        )

    def _wrong_width(self, name: str, line: int, cells: list[str], width: int, terminated: bool) -> DataError:
        columns = len(cells) - terminated
        return DataError(
            f"{columns} columns{', each with its end,' if terminated else ''} where this table has {width}; "
            "is the file as it was published, and whole?",
            path=self.where(name),
            line=line,
            column=sum(len(cell) + 1 for cell in cells[:width]) + (columns > width),
        )


def _base(name: str) -> str:
    return name.rpartition("/")[2].lower().removesuffix(".gz")


def _after_mark(file: Any) -> io.BufferedReader:
    reader = io.BufferedReader(file, 1 << 18)
    if reader.peek(3).startswith(codecs.BOM_UTF8):
        reader.read(3)
    return reader


def _not_whole(path: Path, error: Exception) -> DataError:
    return DataError(
        f"cannot be read ({type(error).__name__}: {error}); is it whole? Download it again and compare its checksum",
        path=path,
    )

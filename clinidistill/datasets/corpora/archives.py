"""A publisher's files wherever they lie: in a folder, in archives within it, or in an archive as downloaded."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, Self

from clinidistill.errors import DataError

__all__ = ["PublishedFiles"]

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_DEEPEST = 6
"""How many folders below the given one are looked into: enough for any release, and the end of a walk from ``/``."""
_DAMAGED = (OSError, EOFError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile, tarfile.TarError)


@dataclass(frozen=True)
class _Place:
    """Where a file lies: by itself, or as a member of an archive, which may have lain in another (`shown`)."""

    path: Path
    member: str | None = None
    shown: Path | None = None


class PublishedFiles:
    """The files below a folder, those in its archives (and in archives in these) among them.

    A file is named by its path from the given folder on, with ``/``; an archive counts as a folder of its name without
    ending. Files whose
    name begins with a dot, and those in such folders, are not seen, and neither is what macOS puts into archives. Where
    a file lies both in an archive and unpacked, the unpacked one is taken. What is needed of an archive is unpacked
    into a temporary folder that only its owner can read, and that goes when the ``with`` block ends.

    Args:
        path: a folder, an archive (zip or tar, packed or not), or one plain file, which stands for itself alone.
    """

    def __init__(self, path: str | Path):
        self.root = Path(path).expanduser()

    def __enter__(self) -> Self:
        self._temporary = tempfile.TemporaryDirectory(prefix="clinidistill-")
        self._unpacked: dict[str, Path] = {}
        return self

    def __exit__(self, *_: object) -> None:
        self._temporary.cleanup()

    def find(self, pattern: str) -> list[str]:
        """The names whose last parts match a glob pattern, part by part and in any case, sorted.

        ``train/*.ann`` matches ``release/Train/7.ann``, not ``release/train/more/7.ann``.

        Raises:
            DataError: if there is no such file or folder, or an archive is damaged or names files outside itself.
        """
        parts = pattern.lower().split("/")
        found = [name for name in self._places if _matches(name.lower().split("/")[-len(parts) :], parts)]
        loose = {_base(name) for name in found if self._places[name].member is None}
        return sorted(name for name in found if self._places[name].member is None or _base(name) not in loose)

    def paths(self, pattern: str) -> list[Path]:
        """The files that match, each as one that can be opened: unpacked, if need be.

        Raises:
            DataError: as :meth:`find`.
        """
        names = self.find(pattern)
        self._unpack(names)
        return [self._unpacked.get(name, self._places[name].path) for name in names]

    def one(self, pattern: str) -> Path:
        """The only file that matches, as one that can be opened.

        Raises:
            DataError: if there is none, or several; and as :meth:`find`.
        """
        names = self.find(pattern)
        if len(names) != 1:
            many = f"{len(names)} files are called {pattern} ({', '.join(names[:3])} …); give the path of one release"
            raise DataError(many if names else f"there is no {pattern}", path=self.root)
        return self.paths(pattern)[0]

    def folder(self, pattern: str) -> Path:
        """The deepest folder that holds all files that match; archives are unpacked into one.

        Raises:
            DataError: if none match, or some are packed and others not; and as :meth:`find`.
        """
        paths = self.paths(pattern)
        if not paths:
            raise DataError(f"there is no {pattern}", path=self.root)
        if len({path.is_relative_to(self._temporary.name) for path in paths}) > 1:
            raise DataError(f"some of {pattern} are packed and others not; unpack all, or none", path=self.root)
        return Path(os.path.commonpath([path.parent for path in paths]))

    def digests(self, patterns: Iterable[str]) -> list[tuple[str, str]]:
        """Base names and SHA-256 of the files that match any of the patterns, sorted: the same packed or not.

        Raises:
            DataError: as :meth:`find`.
        """
        names = sorted({name for pattern in patterns for name in self.find(pattern)})
        self._unpack(names)
        found = []
        for name in names:
            with self._unpacked.get(name, self._places[name].path).open("rb") as file:
                found.append((_base(name), hashlib.file_digest(file, "sha256").hexdigest()))
        return sorted(found)

    def placed(self, error: DataError) -> DataError:
        """The error with the place of an unpacked file in its archive instead of that in the temporary folder."""
        if error.path is None or not error.path.is_relative_to(self._temporary.name):
            return error
        for name, path in self._unpacked.items():
            if path == error.path:
                place = self._places[name]
                return DataError(error.reason, path=(place.shown or place.path) / (place.member or ""), line=error.line)
        return DataError(error.reason, path=self.root / error.path.relative_to(self._temporary.name), line=error.line)

    @cached_property
    def _places(self) -> dict[str, _Place]:
        if self.root.is_dir():
            loose = [path for path in _walk(self.root) if path.is_file()]
            root = self.root.absolute()
            found = {f"{root.name}/{path.relative_to(self.root).as_posix()}": _Place(path) for path in loose}
        elif self.root.is_file():
            found = {f"{self.root.absolute().parent.name}/{self.root.name}": _Place(self.root)}
        else:
            raise DataError("there is no such file or folder; check the path, or download it first", path=self.root)
        return {name: place for name, place in _opened(found, Path(self._temporary.name) / "archives") if _seen(name)}

    def _unpack(self, names: Iterable[str]) -> None:
        """Unpack what is not yet, in one pass over each archive."""
        wanted: dict[Path, dict[str, str]] = {}
        for name in names:
            place = self._places[name]
            if place.member is not None and name not in self._unpacked:
                wanted.setdefault(place.path, {})[place.member] = name
        for archive, members in wanted.items():
            with _readable(self._places[next(iter(members.values()))].shown or archive):
                for member, file in _members(archive, members):
                    target = Path(self._temporary.name) / "files" / members[member]
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with file, target.open("wb") as copy:
                        shutil.copyfileobj(file, copy)
                    self._unpacked[members[member]] = target


def _opened(found: dict[str, _Place], inner: Path, depth: int = 0) -> Iterator[tuple[str, _Place]]:
    """The files, and in place of each archive its members; archives in archives are unpacked into `inner`."""
    for name, place in sorted(found.items()):
        if not name.lower().endswith(_ARCHIVES):
            yield name, place
            continue
        shown = place.shown or place.path
        packed = _without_ending(name)
        with _readable(shown):
            listed = {member: f"{packed}/{_safe(member, shown)}" for member in _listed(place.path)}
            nested = {member for member in listed if member.lower().endswith(_ARCHIVES) and depth < 1}
            copies = {}
            for number, (member, file) in enumerate(_members(place.path, nested)):
                copy = inner / f"{len(packed)}-{number}-{_base(member)}"
                copy.parent.mkdir(exist_ok=True)
                with file, copy.open("wb") as target:
                    shutil.copyfileobj(file, target)
                copies[listed[member]] = _Place(copy, shown=shown / member)
        yield from ((listed[member], _Place(place.path, member, shown)) for member in listed if member not in nested)
        yield from _opened(copies, inner, depth + 1)


def _walk(folder: Path) -> Iterator[Path]:
    for here, below, files in os.walk(folder):
        deep = len(Path(here).relative_to(folder).parts) >= _DEEPEST
        below[:] = [] if deep else sorted(each for each in below if not each.startswith("."))
        yield from (Path(here) / each for each in files)


def _listed(archive: Path) -> list[str]:
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as packed:
            return [each.filename for each in packed.infolist() if not each.is_dir()]
    with tarfile.open(archive) as tape:
        return [each.name for each in tape if each.isfile()]


def _members(archive: Path, wanted: Iterable[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """The wanted members of an archive, each open, in one pass; of links and devices, none."""
    names = set(wanted)
    if not names:
        return
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as packed:
            for name in sorted(names):
                yield name, packed.open(name)
        return
    with tarfile.open(archive) as tape:
        for each in tape:
            file = tape.extractfile(each) if each.name in names and each.isfile() else None
            if file is not None:
                yield each.name, file


def _safe(member: str, archive: Path) -> str:
    """The member's name, if it stays below the archive."""
    path = PurePosixPath(member.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or any(":" in part for part in path.parts[:1]):
        raise DataError("the archive names files outside itself; take it from its publisher again", path=archive)
    return path.as_posix()


def _without_ending(name: str) -> str:
    ending = next(each for each in sorted(_ARCHIVES, key=len, reverse=True) if name.lower().endswith(each))
    return name[: -len(ending)]


def _matches(parts: list[str], patterns: list[str]) -> bool:
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def _seen(name: str) -> bool:
    return not any(part.startswith(".") or part == "__MACOSX" for part in name.split("/")[1:])


def _base(name: str) -> str:
    return name.rpartition("/")[2]


@contextmanager
def _readable(archive: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except _DAMAGED as error:
        raise DataError(
            f"the archive cannot be read ({type(error).__name__}); is it whole, and without a password? "
            "Download it again",
            path=archive,
        ) from None

"""Folders by URL, wherever fsspec reaches: this machine, S3 and what speaks like it, and others."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Self

from clinidistill.datasets.atomic import replacing_file
from clinidistill.errors import ClinidistillError, ConfigError, DataError

__all__ = ["Place", "Source"]


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is there.

    Args:
        name: its path below the place that was asked.
        url: where it is.
        size: its length in bytes.
        stamp: changes when it does: the store's hash of its content, or when it was last written.
    """

    name: str
    url: str
    size: int
    stamp: str


@dataclass(frozen=True, repr=False)
class Place:
    """A file or folder, and how it is reached. Ships to workers as it is.

    Args:
        url: its absolute URL.
        options: fsspec's for that kind of store; may hold secrets, and so is in no message.
    """

    url: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, url: str | Path, options: Mapping[str, Any] | None = None) -> Self:
        """The place at a plain path or a URL.

        Raises:
            ConfigError: if there is no such protocol, the library for it is not installed, it cannot be connected to,
                or a password stands in the URL.
        """
        if re.search(r"://[^/@]*:[^/@]*@", str(url)):
            raise ConfigError("a password does not belong in a URL, which manifests repeat; give it in storage_options")
        place = cls(str(url), dict(options or {}))
        return place if "::" in place.url else cls(place.fs.unstrip_protocol(place.path), place.options)

    @property
    def fs(self) -> Any:
        """What reaches it."""
        return self._opened[0]

    @property
    def path(self) -> str:
        """What the store calls it."""
        return str(self._opened[1]).rstrip("/")

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        try:
            fs, path = url_to_fs(self.url, **self.options)
        except (ImportError, ValueError, TypeError, OSError) as error:
            raise ConfigError(
                f"{self.url}: cannot be reached ({str(error).partition(chr(10))[0]}); s3:// needs s3fs, "
                "gs:// gcsfs, abfs:// adlfs"
            ) from None
        return fs, path

    @property
    def is_local(self) -> bool:
        """Whether it is a path of this machine."""
        protocol = self.fs.protocol
        return "file" in ((protocol,) if isinstance(protocol, str) else protocol)

    def __truediv__(self, name: str) -> Place:
        return Place(f"{self.url.rstrip('/')}/{name}", self.options)

    @property
    def parent(self) -> Place:
        """The folder that it lies in."""
        return Place(self.url.rpartition("/")[0], self.options)

    def sources(self, endings: tuple[str, ...]) -> list[Source]:
        """The file, the files of the folder with one of the endings, or those that a glob matches, by name.

        What begins with a dot or an underscore, or lies in such a folder, is left out.

        Raises:
            DataError: if there is none, or it cannot be looked up.
        """
        fs, path = self.fs, self.path
        with self._reaching("read"):
            fs.invalidate_cache()
            if fs.isfile(path):
                found, root = {path: fs.info(path)}, path.rpartition("/")[0]
            elif (sign := re.search(r"[*?[]", path)) and not fs.isdir(path):
                found, root = fs.glob(path, detail=True), path[: sign.start()].rpartition("/")[0]
            else:
                found, root = fs.find(path, detail=True), path
        sources = []
        for each, info in sorted(found.items()):
            name = each.removeprefix(root).lstrip("/")
            hidden = any(part.startswith((".", "_")) for part in name.split("/"))
            if info["type"] == "file" and name.endswith(endings) and not hidden:
                stamp = str(info.get("ETag") or info.get("etag") or info.get("mtime") or info.get("LastModified") or "")
                sources.append(Source(name, str(fs.unstrip_protocol(each)), int(info["size"]), stamp))
        if not sources:
            raise DataError(f"there is no file ending in {', '.join(endings)}", path=self.url)
        return sources

    def takes_in(self, file: Place) -> bool:
        """Whether a file would lie in the folder, or match the glob, once it is there."""
        from fsspec.utils import glob_translate

        if file.url.startswith(f"{self.url.rstrip('/')}/"):
            return True
        try:
            return re.match(glob_translate(self.url), file.url) is not None
        except ValueError:  # which is no glob
            return False

    def names(self) -> dict[str, int]:
        """The files right in the folder with their sizes; none where there is no folder."""
        with self._reaching("read"):
            self.fs.invalidate_cache()
            if not self.fs.isdir(self.path):
                return {}
            listed = self.fs.ls(self.path, detail=True)
        return {each["name"].rpartition("/")[2]: int(each["size"] or 0) for each in listed if each["type"] == "file"}

    @property
    def is_file(self) -> bool:
        """Whether it is one file, and no folder."""
        with self._reaching("read"):
            return bool(self.fs.isfile(self.path))

    def exists(self) -> bool:
        """Whether there is such a file."""
        with self._reaching("read"):
            self.fs.invalidate_cache()
            return bool(self.fs.exists(self.path))

    def read_json(self, *names: str) -> list[dict[str, Any]]:
        """The JSON objects in files of the folder; many at once, where the store can.

        Raises:
            DataError: if one cannot be read.
        """
        paths = [f"{self.path}/{name}" for name in names]
        with self._reaching("read"):
            if self.is_local:  # where names may hold what is a glob's elsewhere, and many at once are no faster
                return [json.loads(Path(path).read_bytes()) for path in paths]
            texts = self.fs.cat(paths) if paths else {}
            return [json.loads(texts[path]) for path in paths]

    def write_json(self, value: Mapping[str, Any]) -> None:
        """Write a JSON object; the file appears whole or not at all."""
        with self._reaching("written"):
            data = json.dumps(value, indent=1).encode() + b"\n"
            if self.is_local:
                with replacing_file(self.path) as file:
                    file.write(data)
            else:
                self.fs.pipe_file(self.path, data)

    def fetch(self, folder: Path) -> None:
        """Copy the folder to this machine."""
        with self._reaching("read"):
            self.fs.get(f"{self.path}/", f"{folder}/", recursive=True)

    def put(self, file: IO[bytes]) -> None:
        """Put the rest of a file here, whole or not at all."""
        with (
            self._reaching("written"),
            replacing_file(self.path) if self.is_local else self.fs.open(self.path, "wb") as target,
        ):
            shutil.copyfileobj(file, target)

    def remove(self, *names: str) -> None:
        """Delete files of the folder."""
        with self._reaching("written"):
            paths = [f"{self.path}/{name}" for name in names]
            if self.is_local:
                for path in paths:
                    Path(path).unlink()
            elif paths:
                self.fs.rm(paths)

    @contextmanager
    def open(self, compression: str | None = None) -> Iterator[Any]:
        """The file's bytes, to be read."""
        with self._reaching("read"), self.fs.open(self.path, "rb", compression=compression) as file:
            yield file

    @contextmanager
    def _reaching(self, what: str) -> Iterator[None]:
        """Every store has errors of its own; here they become one that names the place."""
        try:
            yield
        except ClinidistillError:
            raise
        except Exception as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise DataError(f"cannot be {what}: {reason}; check the address and the rights", path=self.url) from error

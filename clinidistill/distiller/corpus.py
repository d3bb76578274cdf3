"""Training examples that need not fit in memory.

A corpus is one flat file: the arrays of the examples one after another (``input_ids`` int32, ``targets`` int16,
``soft`` float16), a table with a few numbers for each, and a header with a checksum. It is written as a stream;
afterwards an example is one read. (A mapped file would count as memory of this process wherever it was touched.)

Token ids are note text. So the file has no name, and is gone with the process however that ends; one that outlives it
is written only to a folder that the caller gave, for its owner alone.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.metadata
import json
import logging
import os
import tempfile
import time
import weakref
from array import array
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import IO, Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from clinidistill.bases import base_fingerprint
from clinidistill.component import digest
from clinidistill.errors import ConfigError, DataError
from clinidistill.students.trainable import Example, TrainableStudent
from clinidistill.types import Document

__all__ = ["Corpus"]

_LOG = logging.getLogger(__name__)
_MEMORY = 64 << 20  # bytes; what is smaller is held in memory
_MAGIC = b"clinidistill corpus 1\n"
_END = 32 + 8 + len(_MAGIC)  # SHA-256 and length of the header before them, and the kind of file
_COLUMNS = 4  # length, tokens that take part in the loss, tags of soft targets (0: none), pattern of allowed tags (-1)
_DRAFT = ".corpus.part"
_ABANDONED = 24 * 3600.0  # seconds


class Corpus(Sequence[Example]):
    """Examples, in memory where they are few, else in a file.

    Args:
        examples: read once, as a stream.
        memory: most bytes of examples to hold in memory; more go to a nameless file in the system's temporary folder
            (``$TMPDIR``), which leaves 24 bytes an example in memory.

    Attributes:
        lengths: tokens of each example, shape ``(examples,)``.
        learnt: how many of them take part in the loss, shape ``(examples,)``.
        fingerprint: hash of all examples, known from writing them.

    Raises:
        ConfigError: if the arrays of an example do not fit each other.
        DataError: if they cannot be written.

    >>> corpus = Corpus([Example(np.array([101, 7, 102]), np.array([-100, 0, -100]))])
    >>> corpus.lengths, corpus.learnt, corpus[0].input_ids
    (array([3], dtype=int32), array([1], dtype=int32), array([101,   7, 102]))
    """

    lengths: NDArray[np.int32]
    learnt: NDArray[np.int32]
    fingerprint: str

    def __init__(self, examples: Iterable[Example], *, memory: int = _MEMORY):
        file = cast(IO[bytes], tempfile.SpooledTemporaryFile(max(memory, 1)))  # noqa: SIM115 - closed by _Records
        try:
            _write(examples, file, Path(tempfile.gettempdir()))
            self._open(file, memory)
        except BaseException:
            with suppress(OSError):  # a full disk refuses what is still in the buffer once more
                file.close()
            raise

    @classmethod
    def cached(cls, student: TrainableStudent, documents: Iterable[Document], folder: str | Path) -> Self:
        """The examples that `student` makes of `documents`, from `folder` if they were made before.

        A file goes by a hash of the documents (without ``meta``), the student's options, its base and our code. It gets
        its name when it is whole, and is checked against its checksum before it is used; one that is damaged is made
        anew. What a kill left half written is removed after a day. Several processes may make the same at once.

        Args:
            student: prepared for its labels.
            documents: iterated once for their hash, and again where their examples are not there.
            folder: made if absent, for its owner alone. It then holds what the notes say: delete it when you delete
                them.

        Raises:
            DataError: if the folder cannot be written.
        """
        path = Path(folder) / f"{_key(student, documents)}.corpus"
        if path.exists():
            try:
                return cls.load(path)
            except DataError as error:
                _LOG.warning("cached examples are made anew: %s", error)
        _keep(student.encode(documents), path)
        return cls._load(path, check=False)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The corpus in a file that :meth:`cached` wrote; it is read once, at a gigabyte a second, to be checked.

        Raises:
            DataError: if it cannot be read, is cut off, or is not what its checksum says.
        """
        return cls._load(Path(path), check=True)

    @classmethod
    def _load(cls, path: Path, *, check: bool) -> Self:
        self = cls.__new__(cls)
        try:
            file = path.open("rb")
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", path=path) from None
        try:
            self._open(file, _MEMORY, check=check)
        except (OSError, ValueError, TypeError, LookupError):
            file.close()
            raise DataError("is damaged, or no corpus; delete it", path=path) from None
        return self

    def _open(self, file: IO[bytes], memory: int, *, check: bool = False) -> None:
        """Read the header and the table.

        Raises:
            ValueError, TypeError, LookupError: if they are damaged.
        """
        header, end = _header(file)
        number = int(header["examples"])
        if check and _sha256(file, end) != header["sha256"]:
            raise ValueError
        self._allowed = [np.array([*map(int, pattern)], dtype=bool) for pattern in header["allowed"]]
        size = end - 4 * _COLUMNS * number
        file.seek(size)
        table = np.frombuffer(file.read(end - size), "<i4").reshape(_COLUMNS, number)
        self.lengths, self.learnt, self._tags, self._pattern = table
        sizes = self.lengths.astype(np.int64) * (6 + 2 * self._tags)
        self._starts = np.cumsum(sizes) - sizes
        if sizes.sum() != size:
            raise ValueError
        self.fingerprint = digest(header)
        self._records = _Records(file, size, memory)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> Example:  # type: ignore[override]
        start, tokens, tags = int(self._starts[index]), int(self.lengths[index]), int(self._tags[index])
        record = self._records.read(start, tokens * (6 + 2 * tags))
        ids = np.frombuffer(record, "<i4", tokens).astype(np.int64)
        targets = np.frombuffer(record, "<i2", tokens, 4 * tokens).astype(np.int64)
        soft = np.frombuffer(record, "<f2", tokens * tags, 6 * tokens).reshape(tokens, tags).astype(np.float16)
        pattern = int(self._pattern[index])
        return Example(ids, targets, None if pattern < 0 else self._allowed[pattern], soft if tags else None)

    def learnable(self) -> Corpus:
        """A view of the examples with a token that takes part in the loss."""
        kept = self.learnt > 0
        if kept.all():
            return self
        view = copy.copy(self)
        view.lengths, view.learnt, view._starts = self.lengths[kept], self.learnt[kept], self._starts[kept]
        view._tags, view._pattern = self._tags[kept], self._pattern[kept]
        view.fingerprint = digest([self.fingerprint, "learnable"])
        return view


class _Records:
    """The first bytes of a file, held in memory if they are no more than `memory`."""

    def __init__(self, file: IO[bytes], size: int, memory: int):
        self._data: bytes | None = None
        if size <= memory:
            file.seek(0)
            self._data = file.read(size)
            file.close()
        else:
            self._file = file
            weakref.finalize(self, file.close)

    def read(self, start: int, size: int) -> bytes:
        if self._data is not None:
            return self._data[start : start + size]
        if hasattr(os, "pread"):  # which threads and forks may share a file with
            data = os.pread(self._file.fileno(), size, start)
        else:
            self._file.seek(start)
            data = self._file.read(size)
        if len(data) < size:
            raise DataError("a file of training examples was cut off while it was in use; start again")
        return data


def _write(examples: Iterable[Example], file: IO[bytes], place: Path) -> None:
    """Write a corpus; `place` is for messages."""
    checksum = hashlib.sha256()
    columns = [array("i") for _ in range(_COLUMNS)]
    patterns: dict[bytes, int] = {}

    def put(data: bytes) -> None:
        checksum.update(data)
        try:
            file.write(data)
        except OSError as error:
            raise _unwritable(place, error) from None

    for number, example in enumerate(examples):
        put(_record(example, number))
        pattern = -1
        if example.allowed is not None:
            pattern = patterns.setdefault(example.allowed.astype(bool).tobytes(), len(patterns))
        tags = 0 if example.soft is None else example.soft.shape[1]
        line = (len(example), int(np.count_nonzero(example.targets >= 0)), tags, pattern)
        for column, value in zip(columns, line, strict=True):
            column.append(value)
    for column in columns:
        put(np.asarray(column, "<i4").tobytes())
    allowed = ["".join(map(str, pattern)) for pattern in patterns]
    header = json.dumps({"examples": len(columns[0]), "allowed": allowed, "sha256": checksum.hexdigest()}).encode()
    put(header + hashlib.sha256(header).digest() + len(header).to_bytes(8, "little") + _MAGIC)
    try:
        file.flush()
    except OSError as error:
        raise _unwritable(place, error) from None


def _record(example: Example, number: int) -> bytes:
    targets = example.targets.astype("<i2")
    soft = np.empty((len(example), 0)) if example.soft is None else example.soft
    if not np.array_equal(targets, example.targets) or len(targets) != len(example) or len(soft) != len(example):
        raise ConfigError(
            f"example {number} cannot be kept: it needs a target for each token, a tag id below 32,768, and a row of "
            "soft targets for each or none"
        )
    return example.input_ids.astype("<i4").tobytes() + targets.tobytes() + soft.astype("<f2").tobytes()


def _header(file: IO[bytes]) -> tuple[dict[str, Any], int]:
    """The header of a corpus, and where what it describes ends.

    Raises:
        ValueError: if it is damaged.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END))
    end = file.read(_END)
    length = int.from_bytes(end[32:40], "little")
    start = size - _END - length
    if end[40:] != _MAGIC or start < 0:
        raise ValueError
    file.seek(start)
    header = file.read(length)
    if hashlib.sha256(header).digest() != end[:32]:
        raise ValueError
    return cast(dict[str, Any], json.loads(header)), start


def _sha256(file: IO[bytes], size: int) -> str:
    checksum = hashlib.sha256()
    file.seek(0)
    for start in range(0, size, 1 << 20):
        checksum.update(file.read(min(1 << 20, size - start)))
    return checksum.hexdigest()


def _keep(examples: Iterable[Example], path: Path) -> None:
    """Write a corpus that appears under its name when it is whole."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for draft in path.parent.glob(f"*{_DRAFT}"):
            with suppress(FileNotFoundError):  # another process was quicker
                if time.time() - draft.stat().st_mtime > _ABANDONED:
                    draft.unlink()
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.stem}.", suffix=_DRAFT)  # its owner's alone
    except OSError as error:
        raise _unwritable(path.parent, error) from None
    try:
        with open(handle, "wb") as file:
            _write(examples, file, path.parent)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def _unwritable(place: Path, error: OSError) -> DataError:
    return DataError(
        f"cannot take the training examples ({error.strerror}): make room, or name another folder ($TMPDIR for a "
        "temporary file)",
        path=place,
    )


def _key(student: TrainableStudent, documents: Iterable[Document]) -> str:
    """Hash of all that the examples depend on."""
    notes = hashlib.sha256()
    for document in documents:
        line = json.dumps({**document.to_dict(), "meta": None}, sort_keys=True).encode()
        notes.update(b"%d:%b" % (len(line), line))
    code = hashlib.sha256(_MAGIC)
    for file in sorted(resources.files("clinidistill.students").iterdir(), key=lambda file: file.name):
        if file.is_file():
            code.update(file.name.encode() + b"\0" + file.read_bytes())
    base = student.options.get("base")
    return digest(
        [
            student.fingerprint,
            student.labels,
            None if base is None else base_fingerprint(base),
            importlib.metadata.version("tokenizers"),
            code.hexdigest(),
            notes.hexdigest(),
        ]
    )

"""What the file formats share: finding files, decoding lines, selecting labels, leaving faulty documents out."""

from __future__ import annotations

import glob
import gzip
import hashlib
import logging
import zlib
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from clinidistill.datasets.atomic import replacing_file
from clinidistill.datasets.base import Dataset
from clinidistill.errors import DataError, OptionError, SpanError
from clinidistill.types import Document, Span

__all__ = [
    "Block",
    "FileDataset",
    "Line",
    "LineFormat",
    "OnError",
    "decode",
    "each_once",
    "encode",
    "flat",
    "located",
    "quoted",
    "read_lines",
    "selected",
]

OnError = Literal["raise", "skip"]
Line = tuple[int, bytes]
"""A line's 1-based number and its bytes, line ending included."""

_BOM = b"\xef\xbb\xbf"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Block:
    """What one document is read from: some lines of a file, or a file as a whole.

    Args:
        path: the file.
        name: its place in the dataset, without its ending.
        number: 1-based number of the block in its file.
        lines: the lines; empty for the file as a whole.
    """

    path: Path
    name: str
    number: int = 1
    lines: tuple[Line, ...] = ()

    @property
    def line(self) -> int | None:
        """Number of the first line; None for a file as a whole."""
        return self.lines[0][0] if self.lines else None

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """Line numbers and lines, decoded, without their endings.

        Raises:
            DataError: where a line is not UTF-8.
        """
        for number, raw in self.lines:
            yield number, decode(raw, self.path, number).removesuffix("\n").removesuffix("\r")


class FileDataset(Dataset):
    """Documents in files; the base of the formats.

    A format finds the blocks that documents are read from (:meth:`blocks`) and reads one (:meth:`parse`).

    Args:
        path: a file, a folder (its files with the format's endings, sub-folders too, hidden ones not), or a glob.
        labels: renames and selects: a label that is not a key is left out, and documents cover the values.
            None keeps all labels as they are.
        on_error: ``"raise"``, or ``"skip"`` to leave a document with a fault out, whole, and go on. A path that
            is missing and a file that cannot be read to its end are errors either way.

    Attributes:
        skipped: the faults of the documents that the latest iteration left out.

    Raises:
        DataError: when iterated, with file and line of the fault.
        OptionError: if `on_error` is neither of the two.
    """

    def __init__(self, path: str | Path, labels: Mapping[str, str] | None = None, on_error: OnError = "raise"):
        if on_error not in ("raise", "skip"):
            raise OptionError(f"on_error must be 'raise' or 'skip', not {on_error!r}")
        self.path = Path(path).expanduser()
        self.labels = labels
        self.on_error = on_error
        self.skipped: list[DataError] = []

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """What documents are read from, one block a document, in order."""

    @abstractmethod
    def parse(self, block: Block) -> Document:
        """The document of one block, passed through :meth:`select`.

        Raises:
            DataError: where the block is not what the format asks for.
        """

    def __iter__(self) -> Iterator[Document]:
        self.skipped = skipped = []
        seen: set[str] = set()
        for block in self.blocks():
            try:
                with located(block.path, block.line):
                    document = self.parse(block)
                    if document.id in seen:
                        raise DataError(f"a second document has the id {document.id!r}; ids must be unique")
            except DataError as error:
                if self.on_error == "raise":
                    raise
                skipped.append(error)
                continue
            seen.add(document.id)
            yield document
        if skipped:
            _log.warning(
                "documents of %s left out for their faults: %d; the first: %s", self.path, len(skipped), skipped[0]
            )

    def select(self, document: Document) -> Document:
        """The document with its labels renamed and selected as the `labels` option says."""
        return document if self.labels is None else selected(document, self.labels)

    def files(self) -> dict[str, Path]:
        """The files by their place below `path` (posix style), sorted.

        Raises:
            DataError: if there are none.
        """
        root, found = self.path, [self.path]
        if self.path.is_dir():
            found = self._inside(self.path)
            if not found:
                raise DataError(f"the folder holds no file ending in {' or '.join(self.suffixes)}", path=self.path)
        elif self.path.is_file():
            root = self.path.parent
        else:
            pattern = str(self.path)
            if not glob.has_magic(pattern):
                raise DataError("there is no such file or folder", path=self.path)
            matches = sorted(Path(match) for match in glob.glob(pattern, recursive=True))
            found = [path for match in matches for path in (self._inside(match) if match.is_dir() else [match])]
            if not found:
                raise DataError("no file matches this pattern", path=self.path)
            while glob.has_magic(str(root)):
                root = root.parent
        return {path.relative_to(root).as_posix(): path for path in found}

    def _inside(self, folder: Path) -> list[Path]:
        return sorted(
            path
            for path in folder.rglob("*")
            if path.name.endswith(self.suffixes)
            and not any(part.startswith(".") for part in path.relative_to(folder).parts)
            and path.is_file()
        )

    def fingerprint_data(self) -> Mapping[str, Any]:
        """Options and file contents; where the files lie does not matter."""
        contents = {}
        for name, path in self.files().items():
            with path.open("rb") as file:
                contents[name] = hashlib.file_digest(file, "sha256").hexdigest()
        return {**super().fingerprint_data(), "path": contents}


class LineFormat(FileDataset):
    """A format with many documents a file, each a block of lines; gzip where the name ends in ``.gz``."""

    @abstractmethod
    def split_lines(self, lines: Iterator[Line], path: Path) -> Iterator[list[Line]]:
        """The lines cut into blocks, one a document. Looks at bytes only, so that a fault stays in its block."""

    @classmethod
    @abstractmethod
    def render(cls, document: Document) -> str:
        """The document as this format writes it, last line ended.

        Raises:
            DataError: if the format cannot say it.
        """

    def blocks(self) -> Iterator[Block]:
        for name, path in self.files().items():
            ending = max(
                (suffix for suffix in self.suffixes if name.endswith(suffix)), key=len, default=Path(name).suffix
            )
            for number, lines in enumerate(self.split_lines(read_lines(path), path), 1):
                yield Block(path, name.removesuffix(ending), number, tuple(lines))

    @classmethod
    def write(cls, documents: Iterable[Document], path: str | Path) -> int:
        """Write documents, streaming; the file appears whole or not at all. Returns how many.

        Raises:
            DataError: if the format cannot say a document, two have one id, or the file cannot be written.
        """
        count = 0
        with replacing_file(path) as file:
            for document in each_once(documents):
                file.write(encode(cls.render(document), document))
                count += 1
        return count


def selected(document: Document, names: Mapping[str, str]) -> Document:
    """The document with its labels renamed; a label that is not a key is left out, and the values are covered."""
    spans = [replace(span, label=names[span.label]) for span in document.spans if span.label in names]
    covered = names if document.covers is None else document.covers & names.keys()
    return document.with_spans(dict.fromkeys(spans), {names[label] for label in covered})


def each_once(documents: Iterable[Document]) -> Iterator[Document]:
    """The documents, as long as no two have one id.

    Raises:
        DataError: if two do; what is written then could not be read back.
    """
    seen: set[str] = set()
    for document in documents:
        if document.id in seen:
            raise DataError(f"two documents have the id {document.id!r}; give each its own before saving")
        seen.add(document.id)
        yield document


def encode(text: str, document: Document) -> bytes:
    """Text of a document in UTF-8.

    Raises:
        DataError: if there are characters that UTF-8 does not know.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise DataError(f"document {document.id!r} holds lone surrogates, no UTF-8; save it as jsonl") from None


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a file as bytes, numbered; a byte order mark at its start is left out.

    Lines end at line feeds only, so that offsets count every other character, carriage returns too.

    Raises:
        DataError: if the file cannot be read, or its compression is damaged.
    """
    number = 0
    try:
        with gzip.GzipFile(path) if path.name.endswith(".gz") else path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                yield number, raw.removeprefix(_BOM) if number == 1 else raw
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DataError("the gzip stream is damaged or cut short from here", path=path, line=number + 1) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from None


def decode(raw: bytes, path: Path, line: int) -> str:
    """UTF-8 bytes that begin at a line as text.

    Raises:
        DataError: with the line of the first byte that is not UTF-8.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        at = line + raw.count(b"\n", 0, error.start)
        raise DataError("this line is not UTF-8; convert the file to UTF-8", path=path, line=at) from None


_FLAT = dict.fromkeys(map(ord, "\t\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029"), " ")


def flat(text: str) -> str:
    """The text with each tab and line break as one space, so that offsets stay.

    >>> flat("a\\r\\nb")
    'a  b'
    """
    return text.translate(_FLAT)


def quoted(text: str, span: Span, quote: str) -> Span:
    """The span, if a file's `quote` of its mention agrees with the text, up to white space at the ends.

    Raises:
        SpanError: if it does not, or the span reaches outside the text.
    """
    if span.end > len(text):
        raise SpanError(f"span [{span.start}, {span.end}) reaches outside the text of {len(text)} characters")
    mention = " ".join(text[start:end] for start, end in span.fragments or ((span.start, span.end),))
    if mention != quote and flat(mention).strip() != flat(quote).strip():
        raise SpanError(
            f"the mention at [{span.start}, {span.end}) is not what the text has there; offsets count code points"
        )
    return span


@contextmanager
def located(path: Path, line: int | None) -> Iterator[None]:
    """Gives errors that have no place yet their place in a file."""
    try:
        yield
    except SpanError as error:
        raise DataError(str(error), path=path, line=line) from None
    except DataError as error:
        if error.path is not None:
            raise
        raise DataError(error.reason, path=path, line=line) from None

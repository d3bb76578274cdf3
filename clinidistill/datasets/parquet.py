"""Parquet: a note a row, its spans a list in a column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clinidistill.datasets.atomic import replacing_file
from clinidistill.datasets.columns import ROWS, pyarrow, record_batches, row_document, row_id, schema
from clinidistill.datasets.files import Block, FileDataset, OnError, located
from clinidistill.errors import DataError
from clinidistill.types import Document

__all__ = ["Batch", "Parquet"]


@dataclass(frozen=True, slots=True)
class _Row(Block):
    """A row as Python values, and which columns hold what; errors give its number as the line."""

    row: Any = None
    columns: Any = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a file.

    Args:
        path: the file.
        name: its place in the dataset, without its ending.
        first: number of the first row, from 1.
        rows: an Arrow record batch, not empty.
        columns: the columns with ``id``, ``text``, ``spans``, ``covers`` and ``meta``; None where there is none.
    """

    path: Path
    name: str
    first: int
    rows: Any
    columns: Mapping[str, str | None]

    def blocks(self) -> Iterator[Block]:
        """A block a row."""
        wanted = [name for name in dict.fromkeys(self.columns.values()) if name is not None]
        with _read(self.path):
            rows = self.rows.select(wanted).to_pylist()
        for number, row in enumerate(rows, self.first):
            yield _Row(self.path, self.name, number, ((number, b""),), row, self.columns)


class Parquet(FileDataset):
    """Parquet: a note a row, read some rows at a time; a null is an empty note.

    Spans are a list of structs with ``start`` and ``end`` in code points and ``label``, and ``score``, ``source``,
    ``code`` and ``fragments`` where they are known; ``text``, where it is there, must be what the note has at that
    place. Without such a column, and where it is null, nobody labelled the note: it covers no label. The columns
    ``covers``, a list of labels, and ``meta``, JSON or a struct, are read; others are not. (Tokens and tags in Parquet
    files are read by :class:`~clinidistill.datasets.hugging_face.HuggingFace`.)

    Args:
        path: a file, a folder, or a glob.
        labels: see :class:`FileDataset`.
        on_error: see :class:`FileDataset`.
        text_column: the column with the notes.
        id_column: the column with their ids, text or whole numbers; None takes ``id`` if there is such a column, else
            ids are the file's name and the row's number, from 1.
        spans_column: the column with their spans; None takes ``spans`` if there is such a column, of such structs.

    Raises:
        ConfigError: when it is read, if pyarrow is not installed.
    """

    suffixes = (".parquet",)

    def __init__(
        self,
        path: str | Path,
        labels: Mapping[str, str] | None = None,
        on_error: OnError = "raise",
        *,
        text_column: str = "text",
        id_column: str | None = None,
        spans_column: str | None = None,
    ):
        super().__init__(path, labels, on_error)
        self.text_column, self.id_column, self.spans_column = text_column, id_column, spans_column

    def __len__(self) -> int:
        if self.on_error == "skip":
            return super().__len__()
        total = 0
        for path in self.files().values():
            with _opened(path) as file:
                total += file.metadata.num_rows
        return total

    def blocks(self) -> Iterator[Block]:
        for batch in self.batches():
            yield from batch.blocks()

    def documents(self, batch: Batch) -> Iterator[Document]:
        """The documents of some rows.

        Raises:
            DataError: with the row, at the first that holds none.
        """
        for block in batch.blocks():
            with located(block.path, block.line):
                yield self.parse(block)

    def batches(self, all_columns: bool = False) -> Iterator[Batch]:
        """The rows as they are read, with the columns that documents need, or all.

        Raises:
            DataError: if a file is no Parquet, or lacks a column.
        """
        for name, path in self.files().items():
            with _opened(path) as file:
                columns = self.columns(file.schema_arrow, path)
                wanted = None if all_columns else list(dict.fromkeys(filter(None, columns.values())))
                first = 1
                for rows in file.iter_batches(ROWS, columns=wanted):
                    if rows.num_rows:
                        yield Batch(path, name.removesuffix(".parquet"), first, rows, columns)
                    first += rows.num_rows

    def columns(self, found: Any, path: Path) -> dict[str, str | None]:
        """Which columns of an Arrow schema hold what; ``None`` where none does.

        Raises:
            DataError: if it lacks one that was named.
        """
        kinds = pyarrow().types
        for column in (self.text_column, self.id_column, self.spans_column):
            if column is not None and column not in found.names:
                choice = ", ".join(map(repr, found.names))
                raise DataError(f"has no column {column!r}; choose among {choice}", path=path)

        def is_list(kind: Any) -> bool:
            return bool(kinds.is_list(kind) or kinds.is_large_list(kind))

        def is_spans(kind: Any) -> bool:
            if not is_list(kind) or not kinds.is_struct(kind.value_type):
                return False
            return {"start", "end", "label"} <= {each.name for each in kind.value_type}

        if self.spans_column is not None and not is_spans(found.field(self.spans_column).type):
            raise DataError(f"{self.spans_column!r} holds no lists of structs with start, end and label", path=path)
        has = {name: found.field(name).type for name in ("id", "spans", "covers", "meta") if name in found.names}
        return {
            "text": self.text_column,
            "id": self.id_column or ("id" if "id" in has else None),
            "spans": self.spans_column or ("spans" if "spans" in has and is_spans(has["spans"]) else None),
            "covers": "covers" if "covers" in has and is_list(has["covers"]) else None,
            "meta": "meta" if "meta" in has else None,
        }

    def parse(self, block: Block) -> Document:
        assert isinstance(block, _Row)
        columns, row = block.columns, block.row
        key = f"{block.name}-{block.number}" if columns["id"] is None else row_id(row[columns["id"]], columns["id"])
        return self.select(row_document(key, row[columns["text"]], row, columns))

    @classmethod
    def write(cls, documents: Iterable[Document], path: str | Path) -> int:
        """Write documents, all that they hold, streaming; the file appears whole or not at all. Returns how many.

        Raises:
            ConfigError: if pyarrow is not installed.
            DataError: if two have one id, a string is not UTF-8, ``meta`` is not JSON, or the file cannot be written.
        """
        pyarrow()
        from pyarrow.parquet import ParquetWriter

        count = 0
        with replacing_file(path) as file, ParquetWriter(file, schema()) as writer:
            for rows in record_batches(documents):
                writer.write_batch(rows)
                count += rows.num_rows
        return count


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    pyarrow()
    from pyarrow.parquet import ParquetFile

    with _read(path), path.open("rb") as source, ParquetFile(source) as file:
        yield file


@contextmanager
def _read(path: Path) -> Iterator[None]:
    try:
        yield
    except (pyarrow().ArrowException, UnicodeDecodeError) as error:
        raise DataError(f"no whole Parquet file of UTF-8 text ({type(error).__name__})", path=path) from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or type(error).__name__}", path=path) from None

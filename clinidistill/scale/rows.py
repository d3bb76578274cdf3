"""Blocks → documents, and documents → parts of an output: JSON lines or Parquet, a document a row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from clinidistill.datasets import files
from clinidistill.datasets.columns import record_batches, schema
from clinidistill.datasets.jsonl import JsonLines
from clinidistill.datasets.parquet import Batch, Parquet
from clinidistill.errors import DataError, describe
from clinidistill.scale.blocks import Block, parquet_module
from clinidistill.scale.storage import Place
from clinidistill.types import Document

__all__ = ["Bad", "Part", "Reader"]

_ROWS = 256
_LINES, _TABLES = JsonLines("-"), Parquet("-")  # parse lines and rows, whatever file they come from


@dataclass(frozen=True, slots=True)
class Bad:
    """What could not be done, for the side table.

    Args:
        id: the document's, if that could be read.
        at: where it begins in its file: a byte of JSON lines, a row of Parquet (from 0).
        reason: why; holds no note text.
    """

    id: str | None
    at: int | None
    reason: str


class Reader:
    """Reads blocks in any order; fastest one after another of one file: a Parquet file's pages are then read once.

    Args:
        options: of the store that they lie in.
    """

    def __init__(self, options: Mapping[str, Any]):
        self._options = options
        self._stack = ExitStack()
        self._table: _Table | None = None

    def read(self, block: Block) -> Iterator[Document | Bad]:
        """The documents of a block, and what is none.

        Raises:
            DataError: if the file cannot be read.
        """
        seen: set[str] = set()
        parser, rows = (_TABLES, self._rows(block)) if block.is_parquet else (_LINES, self._lines(block))
        for at, raw in rows:
            try:
                if block.is_parquet and _field(raw, "text") is None:
                    raise DataError("has no text but null")
                document = parser.parse(raw)
                if document.id in seen:
                    raise DataError(f"a second document of this block has the id {document.id!r}")
            except Exception as error:  # one row must not end a run over millions
                name = _field(raw, "id")
                reason = error.reason if isinstance(error, DataError) else describe(error)
                yield Bad(str(name) if isinstance(name, str | int) else None, at, reason)
                continue
            seen.add(document.id)
            yield document

    def close(self) -> None:
        """Close the file that it was reading."""
        self._table = None
        self._stack.close()

    def _lines(self, block: Block) -> Iterator[tuple[int, files.Block]]:
        packed = block.end is None
        with Place(block.url, self._options).open("gzip" if packed else None) as file:
            at = block.begin
            if at:
                file.seek(at - 1)
                at += len(file.readline()) - 1  # the line that began before belongs to the block before
            while (block.end is None or at < block.end) and (line := file.readline()):
                raw = line.removeprefix(b"\xef\xbb\xbf") if at == 0 else line
                if raw.strip():
                    yield at, files.Block(Path(block.url), "", 1, ((1, raw),))
                at += len(line)

    def _rows(self, block: Block) -> Iterator[tuple[int, files.Block]]:
        assert block.end is not None
        if self._table is None or not self._table.leads_to(block):
            self.close()
            file = self._stack.enter_context(Place(block.url, self._options).open())
            table = self._stack.enter_context(parquet_module().ParquetFile(file, buffer_size=1 << 20))
            self._table = _Table(block.url, table, block.begin)
        return self._table.rows(block.begin, block.end)


class _Table:
    """A Parquet file read forwards, from the row group of a row on; by pages, however long its groups are."""

    def __init__(self, url: str, table: Any, row: int):
        self._url, self._path = url, Path(url)
        self._columns = _TABLES.columns(table.schema_arrow, self._path)
        self._firsts = [0]
        for group in range(table.metadata.num_row_groups):
            self._firsts.append(self._firsts[-1] + table.metadata.row_group(group).num_rows)
        group = self._group(row)
        self._at = self._firsts[group]
        wanted = list(dict.fromkeys(filter(None, self._columns.values())))
        self._batches = table.iter_batches(
            _ROWS, row_groups=range(group, table.metadata.num_row_groups), columns=wanted
        )
        self._left: list[files.Block] = []

    def leads_to(self, block: Block) -> bool:
        """Whether reading on is the shortest way to a block."""
        return self._url == block.url and self._firsts[self._group(block.begin)] <= self._at <= block.begin

    def rows(self, begin: int, end: int) -> Iterator[tuple[int, files.Block]]:
        """The rows from `begin` to `end` by number, as the dataset of that name reads them."""
        while self._at < end:
            if not self._left:
                rows = next(self._batches)
                if self._at + rows.num_rows <= begin:  # not even looked at
                    self._at += rows.num_rows
                    continue
                batch = Batch(self._path, self._path.stem, self._at + 1, rows, self._columns)
                self._left = list(batch.blocks())[::-1]
            row = self._left.pop()
            self._at += 1
            if self._at > begin:
                yield self._at - 1, row

    def _group(self, row: int) -> int:
        return max(group for group, first in enumerate(self._firsts) if first <= row)


class Part:
    """The file of a block while it is written: on this machine, as it is put in its place whole.

    Args:
        file: where to, open for writing; it stays open.
        format: ``"jsonl"`` or ``"parquet"``.
    """

    def __init__(self, file: IO[bytes], format: str):
        self.rows = 0
        self._file = file
        self._table = parquet_module().ParquetWriter(file, schema()) if format == "parquet" else None

    def add(self, documents: Sequence[Document]) -> list[Bad]:
        """Write documents; those that the format cannot say come back."""
        try:
            if self._table is not None:
                data = list(record_batches(documents))
            else:
                data = [files.encode(JsonLines.render(document), document) for document in documents]
        except DataError as error:
            if len(documents) == 1:
                return [Bad(documents[0].id, None, error.reason)]
            return [bad for document in documents for bad in self.add([document])]
        for each in data:
            self._file.write(each) if self._table is None else self._table.write_batch(each)
        self.rows += len(documents)
        return []

    def close(self) -> None:
        """The file is whole."""
        if self._table is not None:
            self._table.close()


def _field(raw: Any, name: str) -> Any:
    """A field of a row, or of a line that may be anything; None where there is none."""
    if raw.lines[0][1] == b"":  # a row
        return raw.row[raw.columns[name]] if raw.columns[name] else None
    try:
        return json.loads(raw.lines[0][1])[name]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None

"""Notes in a column of a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clinidistill.datasets.files import Block, FileDataset, decode, read_lines
from clinidistill.errors import DataError
from clinidistill.types import Document

__all__ = ["CsvNotes", "Row"]

_LONGEST = 1 << 28


@dataclass(frozen=True, slots=True)
class Row(Block):
    """A row's cells by the names of their columns, in lower case."""

    cells: Mapping[str, str] = field(default_factory=dict)


class CsvNotes(FileDataset):
    """Unlabelled notes, one a row, in files with a header; rows without a note are passed over.

    Args:
        path: the file.
        text: the column that holds the note. Names of columns are compared in any case.
        keys: columns that may hold a row's number; the first that is there makes the document's id.
        meta: columns that go into a document's ``meta``, where they are there and not empty.
        prefix: stands before the ids.
    """

    suffixes = (".csv", ".csv.gz")

    def __init__(self, path: Path, text: str, keys: Sequence[str], meta: Sequence[str] = (), prefix: str = ""):
        super().__init__(path)
        self.text, self.keys, self.meta, self.prefix = text, keys, meta, prefix

    def blocks(self) -> Iterator[Block]:
        lines = (decode(raw, self.path, number) for number, raw in read_lines(self.path))
        csv.field_size_limit(_LONGEST)  # a note may be longer than the 131,072 characters that csv allows by itself
        reader = csv.reader(lines, strict=True)
        line = 1
        try:
            header = [cell.strip().lower() for cell in next(reader, [])]
            if self.text not in header:
                raise DataError(f"no column {self.text!r}; take the file as it was published", path=self.path, line=1)
            line = reader.line_num + 1
            for number, cells in enumerate(reader, 1):
                if cells and len(cells) != len(header):
                    reason = f"a row of {len(cells)} cells under a header of {len(header)}; are its quotes in pairs?"
                    raise DataError(reason, path=self.path, line=line)
                row = dict(zip(header, cells, strict=False))
                if row.get(self.text, "").strip():
                    yield Row(self.path, self.path.name, number, ((line, b""),), row)
                line = reader.line_num + 1
        except csv.Error as error:
            raise DataError(f"not a table: {error}; are its quotes in pairs?", path=self.path, line=line) from None

    def parse(self, block: Block) -> Document:
        assert isinstance(block, Row)
        row = block.cells
        key = next((row[name] for name in self.keys if row.get(name)), None)
        if key is None:
            raise DataError(f"no number in any column of {', '.join(map(repr, self.keys))}, which would be the id")
        meta = {name: row[name].strip() for name in self.meta if row.get(name, "").strip()}
        return Document(self.prefix + key, row[self.text], covers=frozenset(), meta=meta)

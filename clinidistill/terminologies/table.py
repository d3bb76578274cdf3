"""Terminologies in tables: CSV, TSV, Parquet, or a plain list of terms."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from clinidistill.errors import ConfigError, DataError
from clinidistill.terminologies.base import Concept, Terminology
from clinidistill.terminologies.files import open_bytes, read_lines, stem

__all__ = ["Table", "csv_rows"]


class Table(Terminology):
    """A CSV, TSV or Parquet file with a column of names, or a list of terms, one a line.

    Text is UTF-8, ``.gz`` too; Parquet needs the extra ``parquet``. Adjacent rows with the same code are one
    concept; its first row's name is the preferred one. (Only adjacent ones, since the file is streamed: sort it by
    code if need be.) A row without a code has its name as the code.

    Args:
        path: the file.
        code: header of the column of codes; None goes by usual headers (``code``, ``id``, ``rxcui``, …).
        name: header of the column of names; None goes by usual headers (``name``, ``term``, ``label``, …), or
            takes a file of one column for a list of terms.
        synonyms: header of the column of synonyms; None goes by usual headers.
        separator: what stands between the synonyms of a cell; in Parquet a cell may be a list of them, too.

    Iterating raises:
        DataError: with file and line, where the header names no such column or a row has too few or many cells; with
            the column, where one in Parquet holds no text.
        ConfigError: if pyarrow is needed and not installed.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv", ".txt", ".parquet")
    display_options: ClassVar[frozenset[str]] = frozenset()  # `name` is a column here

    def __init__(
        self,
        path: str | Path,
        *,
        code: str | None = None,
        name: str | None = None,
        synonyms: str | None = None,
        separator: str = "|",
    ):
        self.path = Path(path)
        self._wanted = {"code": code, "name": name, "synonyms": synonyms}
        self._separator = separator

    @cached_property
    def name(self) -> str:
        """The file's name without its ending (the option ``name`` is a column here)."""
        return stem(self.path)

    def source_files(self) -> Sequence[Path]:
        return [self.path]

    def __iter__(self) -> Iterator[Concept]:
        for code, rows in groupby(self._rows(), key=itemgetter(0)):
            names: list[str] = []
            synonyms: list[str] = []
            for _, name, others in rows:
                names.append(name)
                synonyms += others
            yield Concept.named(code, names + synonyms)

    def _rows(self) -> Iterator[tuple[str, str, list[str]]]:
        """Code, name and synonyms of each row that has a name."""
        for code, name, synonyms in self._parquet() if self.path.suffix.lower() == ".parquet" else self._text():
            terms = [term for part in (name, *synonyms) if (term := part.strip())]
            if terms:
                yield code.strip() or terms[0], terms[0], terms[1:]

    def _text(self) -> Iterator[tuple[str, str, list[str]]]:
        header = next((line for line in read_lines(self.path) if line.strip()), "")
        layout = self._layout(header)
        if layout is None:
            for line in read_lines(self.path):
                yield "", line, []
            return
        rows = csv_rows(read_lines(self.path), self.path, layout.delimiter)
        next(rows)
        for start, cells in rows:
            if len(cells) != layout.width:
                raise DataError(
                    f"{len(cells)} cells, while the header has {layout.width}; is a cell with "
                    f"{layout.delimiter!r} or a line break in it not quoted?",
                    path=self.path,
                    line=start,
                )
            code, name, synonyms = ("" if at is None else cells[at] for at in layout.columns)
            yield code, name, self._split(synonyms)

    def _parquet(self) -> Iterator[tuple[str, str, list[str]]]:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise ConfigError("reading Parquet needs pyarrow: pip install 'clinidistill[parquet]'") from None
        try:
            with open_bytes(self.path) as source, parquet.ParquetFile(source) as file:
                header = file.schema_arrow.names
                columns = self._columns(header)
                if columns is None:
                    raise self._no_column("name", header)
                names = [None if at is None else header[at] for at in columns]
                for role, at in zip(_HEADERS, columns, strict=True):
                    if at is not None:
                        _check_type(self.path, role, file.schema_arrow.field(at))
                for batch in file.iter_batches(columns=[name for name in names if name is not None]):
                    cells = (
                        [None] * batch.num_rows if name is None else batch.column(name).to_pylist() for name in names
                    )
                    for code, name, synonyms in zip(*cells, strict=True):
                        listed = synonyms if isinstance(synonyms, list) else self._split(_str(synonyms))
                        yield _str(code), _str(name), [_str(each) for each in listed]
        except (pyarrow.ArrowException, UnicodeDecodeError) as error:
            raise DataError(f"no whole Parquet file of UTF-8 text ({type(error).__name__})", path=self.path) from error

    def _split(self, synonyms: str) -> list[str]:
        return synonyms.split(self._separator) if self._separator else [synonyms]

    def _layout(self, header: str) -> _Layout | None:
        """Which column is which, by the file's first line; None for a list of terms."""
        by_ending = "\t" if ".tsv" in self.path.suffixes else ","
        guesses = [by_ending, *(each for each in "\t,;|" if each != by_ending and each in header)]
        fields = [next(csv.reader([header.rstrip("\r\n")], delimiter=guess), []) for guess in guesses]
        named = self._wanted["name"] is not None
        for delimiter, cells in zip(guesses, fields, strict=True):
            if (columns := self._columns(cells)) is not None:
                return _Layout(delimiter, len(cells), columns)
        widest = max(fields, key=len)
        if named or (len(widest) > 1 and ".txt" not in self.path.suffixes):
            raise self._no_column("name", widest)
        return None

    def _columns(self, header: Sequence[str]) -> _Columns | None:
        """Which column is which; None if none is known to hold the names."""
        if (name := _column(header, "name", self._wanted["name"])) is None:
            return None
        code, synonyms = (_column(header, role, self._wanted[role]) for role in ("code", "synonyms"))
        for role, found in (("code", code), ("synonyms", synonyms)):
            if found is None and self._wanted[role] is not None:
                raise self._no_column(role, header)
        return code, name, synonyms

    def _no_column(self, role: str, cells: Sequence[str]) -> DataError:
        wanted = self._wanted[role]
        what = f"no column {wanted!r}" if wanted is not None else f"no column is known to hold the {role}"
        columns = ", ".join(repr(cell.strip()) for cell in cells)
        return DataError(
            f"{what}; columns: {columns or 'none'}. Name the right one with the option {role}=", path=self.path, line=1
        )


_Columns = tuple[int | None, int, int | None]  # of code, name, synonyms


class _Layout(NamedTuple):
    delimiter: str
    width: int
    columns: _Columns


_HEADERS = {
    "code": (
        *("code", "concept code", "id", "concept id", "conceptid", "cui", "rxcui", "sctid", "doid", "drugbank id"),
        *("identifier", "curie", "icd10", "icd10cm", "icd 10 cm", "mesh id", "umls cui"),
    ),
    "name": (
        *("name", "preferred name", "preferred term", "preferred label", "common name", "concept name", "term"),
        *("label", "title", "str", "string", "concept"),
    ),
    "synonyms": (
        *("synonyms", "synonym", "aliases", "alias", "alternative names", "alternative name", "alternative terms"),
        *("other names", "also known as"),
    ),
}


def _column(cells: Sequence[str], role: str, wanted: str | None) -> int | None:
    """Position of the column that plays a role; the role's headers are in order of preference."""
    headers = [" ".join(cell.replace("_", " ").replace("-", " ").split()).casefold() for cell in cells]
    if wanted is not None:
        exact = [cell.strip().casefold() for cell in cells]
        return exact.index(wanted.strip().casefold()) if wanted.strip().casefold() in exact else None
    return next((headers.index(header) for header in _HEADERS[role] if header in headers), None)


def _check_type(path: Path, role: str, column: Any) -> None:
    """Refuses a Parquet column that holds no text; codes may be whole numbers, synonyms lists of text."""
    from pyarrow import types

    type_ = column.type
    if role == "synonyms" and (types.is_list(type_) or types.is_large_list(type_)):
        type_ = type_.value_type
    if types.is_dictionary(type_):
        type_ = type_.value_type
    text = types.is_string(type_) or types.is_large_string(type_) or types.is_string_view(type_) or types.is_null(type_)
    if not text and not (role == "code" and types.is_integer(type_)):
        raise DataError(f"the column {column.name!r} ({role}) holds {column.type}, not text", path=path)


def _str(cell: object) -> str:
    return "" if cell is None else str(cell)


def csv_rows(lines: Iterable[str], path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the line it begins on.

    Raises:
        DataError: with `path` and line, where a quote is not closed or otherwise odd.
    """
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"not a table: {error}; are its quotes in pairs?", path=path, line=line) from None

"""Terminologies in tables: CSV, TSV, or a plain list of terms."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import ClassVar, NamedTuple

from clinidistill.errors import DataError
from clinidistill.terminologies.base import Concept, Terminology
from clinidistill.terminologies.files import read_lines, stem

__all__ = ["Table"]


class Table(Terminology):
    """A CSV or TSV file with a column of names, or a list of terms, one a line.

    UTF-8, ``.gz`` too. Adjacent rows with the same code are one concept; its first row's name is the preferred
    one. (Only adjacent ones, since the file is streamed: sort it by code if need be.) A row without a code has
    its name as the code.

    Args:
        path: the file.
        code: header of the column of codes; None goes by usual headers (``code``, ``id``, ``rxcui``, …).
        name: header of the column of names; None goes by usual headers (``name``, ``term``, ``label``, …), or
            takes a file of one column for a list of terms.
        synonyms: header of the column of synonyms; None goes by usual headers.
        separator: what stands between the synonyms of a cell.

    Iterating raises:
        DataError: with file and line, where the header names no such column or a row has too few or many cells.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv", ".txt")
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
            names, synonyms = zip(*((name, others) for _, name, others in rows), strict=True)
            yield Concept.named(code, [*names, *(term for others in synonyms for term in others)])

    def _rows(self) -> Iterator[tuple[str, str, list[str]]]:
        """Code, name and synonyms of each row that has a name."""
        header = next((line for line in read_lines(self.path) if line.strip()), "")
        layout = self._layout(header)
        if layout is None:
            for line in read_lines(self.path):
                if term := line.strip():
                    yield term, term, []
            return
        rows = _cells(self.path, layout.delimiter)
        next(rows)
        for start, cells in rows:
            if len(cells) != layout.width:
                raise DataError(
                    f"{len(cells)} cells, while the header has {layout.width}; is a cell with "
                    f"{layout.delimiter!r} or a line break in it not quoted?",
                    path=self.path,
                    line=start,
                )
            code, name, others = ("" if at is None else cells[at].strip() for at in layout.columns)
            parts = others.split(self._separator) if self._separator else [others]
            terms = [term for part in (name, *parts) if (term := part.strip())]
            if terms:
                yield code or terms[0], terms[0], terms[1:]

    def _layout(self, header: str) -> _Layout | None:
        """Which column is which, by the file's first line; None for a list of terms."""
        by_ending = "\t" if ".tsv" in self.path.suffixes else ","
        guesses = [by_ending, *(each for each in "\t,;|" if each != by_ending and each in header)]
        fields = [next(csv.reader([header.rstrip("\r\n")], delimiter=guess), []) for guess in guesses]
        named = self._wanted["name"] is not None
        for delimiter, cells in zip(guesses, fields, strict=True):
            if (at := _column(cells, "name", self._wanted["name"])) is not None:
                code, synonyms = (_column(cells, role, self._wanted[role]) for role in ("code", "synonyms"))
                for role, found in (("code", code), ("synonyms", synonyms)):
                    if found is None and self._wanted[role] is not None:
                        raise self._no_column(role, cells)
                return _Layout(delimiter, len(cells), (code, at, synonyms))
        widest = max(fields, key=len)
        if named or (len(widest) > 1 and ".txt" not in self.path.suffixes):
            raise self._no_column("name", widest)
        return None

    def _no_column(self, role: str, cells: Sequence[str]) -> DataError:
        wanted = self._wanted[role]
        what = f"no column {wanted!r}" if wanted is not None else f"no column is known to hold the {role}"
        columns = ", ".join(repr(cell.strip()) for cell in cells)
        return DataError(
            f"{what}; columns: {columns or 'none'}. Name the right one with the option {role}=", path=self.path, line=1
        )


class _Layout(NamedTuple):
    delimiter: str
    width: int
    columns: tuple[int | None, int, int | None]  # of code, name, synonyms


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


def _cells(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the line it begins on."""
    reader = csv.reader(read_lines(path), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"not a table: {error}; are its quotes in pairs?", path=path, line=line) from None

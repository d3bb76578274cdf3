"""Tables in NLM's Rich Release Format: UTF-8, cells closed by ``|``, no header, nothing quoted.

Columns are those of the `UMLS Reference Manual <https://www.ncbi.nlm.nih.gov/books/NBK9685/>`_ and of `RxNorm's
technical documentation <https://www.nlm.nih.gov/research/umls/rxnorm/docs/techdoc.html>`_.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

from clinidistill.errors import DataError
from clinidistill.terminologies.release import Release

__all__ = ["MRCONSO", "MRSTY", "RXNCONSO", "RXNREL", "RXNSAT", "Filter", "RrfTable", "nothing_left", "selected"]


@dataclass(frozen=True, slots=True)
class RrfTable:
    """One table of the format.

    Args:
        file: its file's name.
        holds: what it holds, for errors.
        layout: its columns' names, in order.
    """

    file: str
    holds: str
    layout: str

    @property
    def columns(self) -> list[str]:
        """The columns' names, in order."""
        return self.layout.split()

    def rows(self, release: Release, name: str) -> Iterator[tuple[int, list[str]]]:
        """Line number and cells of each row; an empty cell follows the last column's.

        Raises:
            DataError: as :meth:`Release.rows`.
        """
        return release.rows(name, delimiter="|", width=len(self.columns), terminated=True)

    def cells(self, *columns: str) -> itemgetter[Any]:
        """What takes these columns' cells from a row."""
        return itemgetter(*map(self.columns.index, columns))


_NAMES = "LAT TS LUI STT SUI ISPREF {}AUI SAUI SCUI SDUI SAB TTY CODE STR SRL SUPPRESS CVF"
MRCONSO = RrfTable("MRCONSO.RRF", "the names of concepts", "CUI " + _NAMES.format(""))
MRSTY = RrfTable("MRSTY.RRF", "the semantic types of concepts", "CUI TUI STN STY ATUI CVF")
RXNCONSO = RrfTable("RXNCONSO.RRF", "the names of drugs", "RXCUI " + _NAMES.format("RX"))
RXNREL = RrfTable(
    "RXNREL.RRF",
    "the relationships between brands and ingredients",
    "RXCUI1 RXAUI1 STYPE1 REL RXCUI2 RXAUI2 STYPE2 RELA RUI SRUI SAB SL DIR RG SUPPRESS CVF",
)
RXNSAT = RrfTable(
    "RXNSAT.RRF", "the attributes of drugs", "RXCUI LUI SUI RXAUI STYPE CODE ATUI SATUI ATN SAB ATV SUPPRESS CVF"
)


class Filter(NamedTuple):
    """Keeps the rows whose cell in a column is among some, or (`keep` False) is not."""

    option: str
    column: str
    cells: frozenset[str]
    keep: bool = True


def selected(
    table: RrfTable, release: Release, name: str, filters: Sequence[Filter]
) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of the rows that all filters keep, of the table's file `name`."""
    tests = [(table.columns.index(each.column), each.cells, each.keep) for each in filters]
    for row in table.rows(release, name):
        cells = row[1]
        for place, among, keep in tests:
            if (cells[place] in among) is not keep:
                break
        else:
            yield row


def nothing_left(table: RrfTable, release: Release, names: Sequence[str], filters: Sequence[Filter]) -> DataError:
    """The error for a table that is empty, or of which filters leave nothing: says which one, and what there is.

    Reads the table (its files `names`) again, once for each filter up to the first that keeps no row.
    """
    path = release.where(names[0])
    for place, each in enumerate(filters):
        column = table.columns.index(each.column)
        rows = (row for name in names for row in selected(table, release, name, filters[:place]))
        there = {cells[column] for _, cells in rows}
        if there and not any((cell in each.cells) is each.keep for cell in there):
            found = ", ".join(sorted(repr(cell) for cell in there)[:12]) + (", …" if len(there) > 12 else "")
            return DataError(f"{each.option} leaves no row; {each.column} is {found}", path=path)
    return DataError(f"no rows in it ({table.holds}); is the file whole?", path=path)

"""SNOMED CT's Release Format 2 (RF2): the tables of a release, and which of their rows hold now."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from clinidistill.errors import DataError
from clinidistill.terminologies.release import Release

__all__ = ["CONCEPT", "DESCRIPTION", "LANGUAGE", "RELATIONSHIP", "Snapshot", "Table", "split_fsn"]


class Table(NamedTuple):
    """One of RF2's tables.

    Args:
        pattern: what its files are called. Between the fixed parts stand the edition ("Snapshot", but
            "UKCLSnapshot", "SpanishExtensionSnapshot"), language ("-en"), country and namespace, and date.
        holds: what it holds, for messages.
        columns: its header row.

    See the `naming convention
    <https://docs.snomed.org/snomed-ct-specifications/snomed-ct-release-file-specification/release-types-packages-and-files/3.3-naming-conventions-for-release-packages-and-files/3.3.2-release-file-naming-convention>`_.
    """

    pattern: str
    holds: str
    columns: tuple[str, ...]


_COMMON = ("id", "effectiveTime", "active", "moduleId")
CONCEPT = Table("sct2_Concept_*Snapshot_*.txt", "the concepts", (*_COMMON, "definitionStatusId"))
DESCRIPTION = Table(
    "sct2_Description_*Snapshot*.txt",
    "the concepts' names",
    (*_COMMON, "conceptId", "languageCode", "typeId", "term", "caseSignificanceId"),
)
RELATIONSHIP = Table(
    "sct2_Relationship_*Snapshot_*.txt",
    "the inferred hierarchy",
    (
        *(*_COMMON, "sourceId", "destinationId", "relationshipGroup"),
        *("typeId", "characteristicTypeId", "modifierId"),
    ),
)
LANGUAGE = Table(
    "der2_cRefset_*Language*Snapshot*.txt",
    "the language reference sets, which tell what is preferred in a dialect",
    (*_COMMON, "refsetId", "referencedComponentId", "acceptabilityId"),
)


class Snapshot:
    """The Snapshot tables of an RF2 release: each component as it is now.

    A table may be in several files (an edition's extension beside the international release); they are read as
    one. Where a component is in two of them, as it is when it moved from one module to another, its row with the
    latest effectiveTime holds. Files of beta releases (``x`` before their names) are read, archived ones (``z``) not.

    Args:
        path: the release: its folder, its zip, or one of its tables.

    See the `SNOMED CT release file specification
    <https://docs.snomed.org/snomed-ct-specifications/snomed-ct-release-file-specification>`_.
    """

    def __init__(self, path: str | Path):
        self.release = Release(path)

    def files(self, *tables: Table) -> list[Path]:
        """The files on disk that these tables are in.

        Raises:
            DataError: if one is not there.
        """
        return self.release.files(name for table in tables for name in self._names(table))

    def rows(
        self, table: Table, ids: Sequence[str], *, inactive: bool = False
    ) -> Iterator[tuple[list[int], list[str]]]:
        """The SCTIDs in the columns `ids`, and all cells, of each row that holds now.

        Args:
            table: which table.
            ids: names of columns of SCTIDs.
            inactive: whether rows that are inactive now are taken, too.

        Raises:
            DataError: with file, line and column, where a row is not as specified; if the table is not there.
        """
        names = self._names(table)
        wanted = [table.columns.index(each) for each in ids]
        latest = self._latest(table, names[1:])  # without the largest: what it holds is seen before the others' rows
        for name in names:
            for line, cells in self.release.rows(name, delimiter="\t", header=table.columns):
                for at in wanted:
                    if not cells[at].isdecimal():
                        reason = f"{table.columns[at]} is not a SNOMED CT identifier (digits only)"
                        raise _wrong(reason, at, cells, self.release.where(name), line)
                if latest and (newest := latest.get(cells[0])) is not None:
                    if _time(cells) < newest:
                        continue
                    latest[cells[0]] = _TAKEN
                if cells[2] == "1" or (inactive and cells[2] == "0"):
                    yield [int(cells[at]) for at in wanted], cells
                elif cells[2] != "0":
                    raise _wrong("active is neither 0 nor 1", 2, cells, self.release.where(name), line)

    def _names(self, table: Table) -> list[str]:
        """The table's files, the international release's, which is by far the largest, first."""
        names = [name for status in ("", "x") for name in self.release.find(status + table.pattern)]
        if not names:
            raise DataError(
                f"no {table.pattern} ({table.holds}) in it; give the folder or the zip of an RF2 release with its "
                "Snapshot",
                path=self.release.path,
            )
        return sorted(names, key=lambda name: ("_INT_" not in name.upper(), len(name.rpartition("/")[2])))

    def _latest(self, table: Table, names: Sequence[str]) -> dict[str, str]:
        """The latest effectiveTime of each component in these files."""
        latest: dict[str, str] = {}
        for name in names:
            for _, cells in self.release.rows(name, delimiter="\t", header=table.columns):
                latest[cells[0]] = max(_time(cells), latest.get(cells[0], ""))
        return latest


_TAKEN = "~"  # later than any time
_TAG = re.compile(r"(.+?)\s*\(([^()]+)\)\s*")


def _time(cells: Sequence[str]) -> str:
    return cells[1] or "99999999"  # blank before its first release


def _wrong(reason: str, at: int, cells: Sequence[str], path: Path, line: int) -> DataError:
    column = sum(len(cell) + 1 for cell in cells[:at]) + 1
    return DataError(f"{reason}; is the file as it was published?", path=path, line=line, column=column)


def split_fsn(fsn: str) -> tuple[str, str]:
    """A fully specified name's term and semantic tag; the tag is empty where there is none.

    >>> split_fsn("Cold (disease or illness) (disorder)")
    ('Cold (disease or illness)', 'disorder')
    """
    match = _TAG.fullmatch(fsn)
    return (match[1], match[2]) if match else (fsn, "")

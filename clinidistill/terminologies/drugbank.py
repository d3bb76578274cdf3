"""DrugBank's open vocabulary."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from clinidistill.errors import DataError
from clinidistill.terminologies.base import Concept, Terminology
from clinidistill.terminologies.composed import merged
from clinidistill.terminologies.files import open_bytes, read_lines
from clinidistill.terminologies.table import csv_rows

__all__ = ["DrugBank"]


class DrugBank(Terminology):
    """The DrugBank Vocabulary of DrugBank's open data: names and synonyms of drugs, with their identifiers.

    Args:
        path: ``drugbank vocabulary.csv``, ``.gz`` too, or the zip that it is downloaded in.
        code: which identifier is the concepts' code: DrugBank's own, the FDA's UNII, or the CAS registry number.
            Drugs without it are left out, and those that share it are one concept.
        name: how the terminology is called.

    Iterating raises:
        DataError: with file and line, where the header lacks a column, or a row has too few or many cells, no
            identifier of DrugBank, or no name; or if the zip does not hold one CSV file.

    See `DrugBank's open data <https://go.drugbank.com/releases/latest#open-data>`_.
    """

    filenames: ClassVar[tuple[str, ...]] = ("drugbank*vocabulary*.csv", "drugbank*vocabulary*.zip")

    def __init__(
        self,
        path: str | Path,
        *,
        code: Literal["drugbank", "unii", "cas"] = "drugbank",
        name: str | None = None,
    ):
        self.path = Path(path)
        self._code = code

    def source_files(self) -> Sequence[Path]:
        return [self.path]

    def __iter__(self) -> Iterator[Concept]:
        return self._concepts() if self._code == "drugbank" else merged(self._concepts)

    def _concepts(self) -> Iterator[Concept]:
        rows = csv_rows(_lines(self.path), self.path, ",")
        _, header = next(rows, (1, []))
        if missing := [column for column in _COLUMNS if column not in header]:
            raise DataError(
                f"no column {' and '.join(map(repr, missing))}; is it the 'DrugBank Vocabulary' of the open data, not "
                "another of DrugBank's tables? (the format 'table' reads any)",
                path=self.path,
                line=1,
            )
        at = [header.index(column) for column in _COLUMNS]
        for line, cells in rows:
            if len(cells) != len(header):
                reason = f"{len(cells)} cells, while the header has {len(header)}; is the file whole?"
                raise DataError(reason, path=self.path, line=line)
            drugbank, name, cas, unii, synonyms = (cells[each].strip() for each in at)
            if not drugbank or not name:
                raise DataError("a drug without DrugBank ID or Common name", path=self.path, line=line)
            if code := {"drugbank": drugbank, "unii": unii, "cas": cas}[self._code]:
                yield Concept.named(code, [name, *map(str.strip, synonyms.split("|"))])


_COLUMNS = ("DrugBank ID", "Common name", "CAS", "UNII", "Synonyms")


def _lines(path: Path) -> Iterator[str]:
    if path.suffix.lower() != ".zip":
        yield from read_lines(path)
        return
    with open_bytes(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                tables = [each for each in archive.namelist() if each.lower().endswith(".csv")]
                if len(tables) != 1:
                    raise DataError(f"{len(tables)} CSV files in the zip, not one; unpack it", path=path)
                with archive.open(tables[0]) as table:
                    for number, line in enumerate(table, 1):
                        yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError("not UTF-8 text; take the file as it was published", path=path, line=number) from error
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:  # also a password, or odd packing
            raise DataError(f"cannot be unpacked ({error}); download it again, or unpack it", path=path) from error

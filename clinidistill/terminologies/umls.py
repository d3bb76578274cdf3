"""The UMLS Metathesaurus."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import ClassVar

from clinidistill.errors import DataError
from clinidistill.terminologies.base import Concept, Terminology
from clinidistill.terminologies.release import Release
from clinidistill.terminologies.rrf import MRCONSO, MRSTY, Filter, RrfTable, nothing_left, selected

__all__ = ["Umls"]


class Umls(Terminology):
    """The concepts of NLM's UMLS Metathesaurus, by CUI, with their semantic types.

    Both tables are sorted by CUI, so they are joined as they are read: memory holds one concept at a time. A concept's
    types are its semantic types by identifier and by name, such as ``T047`` and ``Disease or Syndrome``. Its preferred
    name is, of the names taken, a preferred form of the preferred term (TS=P, STT=PF, ISPREF=Y); the others follow.

    Args:
        path: the release's folder or the ``META`` folder within; a zip of it (NLM's ``.nlm`` as well); or
            ``MRCONSO.RRF``, with ``MRSTY.RRF`` beside it. Both may be packed (``.gz``), and split as NLM does
            (``MRCONSO.RRF.aa.gz``, …). Without MRSTY, as in NLM's download of MRCONSO alone, concepts have no types.
        language: LAT of the names taken; None takes all.
        sources: SABs of the names taken, such as ``"SNOMEDCT_US"``; None takes all.
        term_types: TTYs of the names taken, such as ``"PT"``; None takes all.
        semantic_types: identifiers or names; only concepts with one of these are taken; None takes all.
        suppressed: whether names are taken that NLM advises against: obsolete (SUPPRESS=O), of a suppressed term type
            (Y), or suppressed by an editor (E).
        name: how the terminology is called.

    Iterating raises:
        DataError: with file, line and column, where a table is not as published or not sorted by CUI; if one is
            missing; or if a filter leaves nothing, saying which.

    See the `UMLS Reference Manual <https://www.ncbi.nlm.nih.gov/books/NBK9685/>`_, section 3.3.
    """

    filenames: ClassVar[tuple[str, ...]] = ("mrconso.rrf", "umls-20*-mrconso.zip", "umls-20*-metathesaurus-full.zip")

    def __init__(
        self,
        path: str | Path,
        *,
        language: str | None = "ENG",
        sources: Sequence[str] | None = None,
        term_types: Sequence[str] | None = None,
        semantic_types: Sequence[str] | None = None,
        suppressed: bool = False,
        name: str | None = None,
    ):
        given = Path(path)
        self._release = Release(given.parent if _PART.search(given.name) else given)  # one part is not the table
        self._wanted = None if semantic_types is None else frozenset(each.casefold() for each in semantic_types)
        choices = (
            ("language", "LAT", None if language is None else [language]),
            ("sources", "SAB", sources),
            ("term_types", "TTY", term_types),
        )
        self._filters = [
            Filter(f"{option}={list(cells)}", column, frozenset(cells))
            for option, column, cells in choices
            if cells is not None
        ]
        if not suppressed:
            self._filters.append(Filter("suppressed=False", "SUPPRESS", frozenset("OYE"), keep=False))

    def source_files(self) -> Sequence[Path]:
        """MRCONSO and MRSTY, or the zip of them."""
        return self._release.files([*self._files(MRCONSO), *self._files(MRSTY, needed=self._wanted is not None)])

    def __iter__(self) -> Iterator[Concept]:
        files = self._files(MRCONSO)
        semantic_types = self._semantic_types()
        type_cui, types = "", frozenset[str]()
        named = left = False
        for cui, rows in groupby(self._sorted(MRCONSO, files, self._filters), key=itemgetter(0)):
            named = True
            while type_cui < cui:
                type_cui, types = next(semantic_types, _END)
            own = types if type_cui == cui else frozenset[str]()
            if self._wanted is not None and self._wanted.isdisjoint(map(str.casefold, own)):
                continue
            if any(terms := [text for *_, text in sorted(map(_NAME, rows), key=_preferred)]):
                left = True
                yield Concept.named(cui, terms, own)
        if not named:
            raise nothing_left(MRCONSO, self._release, files, self._filters)
        if not left:
            raise DataError(
                f"semantic_types={sorted(self._wanted or ())} leaves no concept; give identifiers (T047) or names "
                "(Disease or Syndrome), and see whether the other filters leave any concept of these",
                path=self._release.where(files[0]),
            )

    def _semantic_types(self) -> Iterator[tuple[str, frozenset[str]]]:
        files = self._files(MRSTY, needed=self._wanted is not None)
        known: dict[frozenset[str], frozenset[str]] = {}  # a few hundred combinations, shared by millions of concepts
        for cui, rows in groupby(self._sorted(MRSTY, files, ()), key=itemgetter(0)):
            types = frozenset(cell for row in rows for cell in _TYPE(row))
            yield cui, known.setdefault(types, types)

    def _sorted(self, table: RrfTable, files: Sequence[str], filters: Sequence[Filter]) -> Iterator[list[str]]:
        """The rows that filters keep, known to be in the order of their CUIs."""
        last = ""
        for file in files:
            for line, row in selected(table, self._release, file, filters):
                if row[0] < last:
                    raise DataError(
                        f"{table.file} is not sorted by CUI; sort its lines by their bytes (LC_ALL=C sort)",
                        path=self._release.where(file),
                        line=line,
                    )
                last = row[0]
                yield row

    def _files(self, table: RrfTable, *, needed: bool = True) -> list[str]:
        """The files that hold a table, in order; none if it is neither there nor needed."""
        whole = self._release.find(table.file)
        if not whole and (parts := self._release.find(f"{table.file}.??")):
            return parts
        return [self._release.one(table.file, table.holds)] if whole or needed else []


_PART = re.compile(r"\.RRF\.[a-z]{2}(\.gz)?$", re.IGNORECASE)
_END = ("\U0010ffff", frozenset[str]())
_NAME = MRCONSO.cells("TS", "STT", "ISPREF", "STR")
_TYPE = MRSTY.cells("TUI", "STY")


def _preferred(name: tuple[str, str, str, str]) -> tuple[bool, bool, bool]:
    """Sorts the preferred names first."""
    status, form, preferred, _ = name
    return status != "P", form != "PF", preferred != "Y"

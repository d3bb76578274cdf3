"""Medical Subject Headings (MeSH)."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from clinidistill.errors import DataError
from clinidistill.terminologies.base import Concept, Terminology
from clinidistill.terminologies.files import open_bytes, read_lines
from clinidistill.terminologies.xml_concepts import ConceptReader

__all__ = ["Mesh"]


class Mesh(Terminology):
    """The descriptors or the supplementary records of MeSH, as NLM publishes them.

    Codes are the records' unique identifiers (``D003920``, ``C000657245``), names the headings, synonyms all entry
    terms (those of narrower concepts of the record among them) and CAS type 1 names, and types the tree numbers
    (``C18.452.394.750``). Supplementary records have no tree numbers.

    MeSH writes many names in inverted order. They are kept, and followed by the natural order where MeSH does not
    list it: "Hepatitis, Viral, Human" by "Human Viral Hepatitis", "Enteritis, Transmissible, of Turkeys" by
    "Transmissible Enteritis of Turkeys". Lists ("Vaginal Creams, Foams, and Jellies") and systematic names of
    chemicals stay as they are.

    Args:
        path: XML (``desc2026.xml``, ``supp2026.xml``) or ASCII (``d2026.bin``, ``c2026.bin``), ``.gz`` too; or, of the
            `CC0 tables of MeSH 2015 <https://github.com/dhimmel/mesh>`_, the folder, ``terms.tsv``, or
            ``symptoms.tsv``, beside ``tree-numbers.tsv``.
        trees: only records with a tree number in one of these, e.g. ``["C"]`` diseases, ``["D"]`` chemicals and
            drugs, ``["C23.888"]`` signs and symptoms.
        exclude_trees: no records with a tree number in one of these.
        name: how the terminology is called.

    Iterating raises:
        DataError: with file and line, where the file is none of these formats, is not well-formed, declares entities,
            or a record lacks identifier or name; or if no record is in the trees asked for.

    See NLM on `XML <https://www.nlm.nih.gov/mesh/xml_data_elements.html>`_ and ASCII MeSH
    (`descriptors <https://www.nlm.nih.gov/mesh/dtype.html>`_, `supplementary records
    <https://www.nlm.nih.gov/mesh/ctype.html>`_).
    """

    filenames: ClassVar[tuple[str, ...]] = (
        *("desc[0-9][0-9][0-9][0-9].xml", "supp[0-9][0-9][0-9][0-9].xml"),
        *("d[0-9][0-9][0-9][0-9].bin", "c[0-9][0-9][0-9][0-9].bin"),
    )

    def __init__(
        self,
        path: str | Path,
        *,
        trees: Sequence[str] | None = None,
        exclude_trees: Sequence[str] = (),
        name: str | None = None,
    ):
        self.path = Path(path)
        self._trees = trees
        self._exclude_trees = exclude_trees

    def source_files(self) -> Sequence[Path]:
        if not _is_table(self.path):
            return [self.path]
        terms = self.path / "terms.tsv" if self.path.is_dir() else self.path
        return [terms, terms.with_name("tree-numbers.tsv")]

    def __iter__(self) -> Iterator[Concept]:
        found = False
        for concept in self._concepts():
            if self._trees is not None and not _within(concept.types, self._trees):
                continue
            if _within(concept.types, self._exclude_trees):
                continue
            found = True
            yield concept
        if not found:
            raise DataError(
                "no records in the trees asked for; these are beginnings of tree numbers such as 'C' or 'C23.888', and "
                "supplementary records have none",
                path=self.path,
            )

    def _concepts(self) -> Iterator[Concept]:
        if _is_table(self.path):
            return _read_tables(*self.source_files())
        with open_bytes(self.path) as file:
            beginning = file.read(256).removeprefix(b"\xef\xbb\xbf").lstrip()
        if beginning.startswith(b"<"):
            return _Reader(self.path).read()
        if beginning.startswith(_NEW_RECORD.encode()):
            return _read_ascii(self.path)
        raise DataError(
            "neither MeSH's XML (desc2026.xml) nor its ASCII format (d2026.bin), unpacked or .gz",
            path=self.path,
            line=1,
        )


@dataclass(slots=True)
class _Record:
    line: int
    code: str = ""
    name: str = ""
    terms: list[str] = field(default_factory=list)
    trees: list[str] = field(default_factory=list)

    def concept(self, path: Path) -> Concept:
        if not self.code or not self.name:
            what = "a unique identifier" if self.name else "a name"
            raise DataError(
                f"a record without {what}; take the descriptors or the supplementary records", path=path, line=self.line
            )
        return _concept(self.code, [self.name, *self.terms], self.trees)


def _concept(code: str, terms: Iterable[str], trees: Iterable[str]) -> Concept:
    listed = [term for term in terms if term]
    known = {term.casefold() for term in listed}
    natural = (_natural(term) for term in listed)
    return Concept.named(code, [*listed, *(term for term in natural if term.casefold() not in known)], trees)


def _natural(term: str) -> str:
    """A name in natural order; itself if it is not inverted.

    >>> _natural("Anemia, Refractory, with Excess of Blasts")
    'Refractory Anemia with Excess of Blasts'
    >>> _natural("2-Propanol, 1,3-dichloro-")
    '2-Propanol, 1,3-dichloro-'
    """
    head, *rest = term.split(", ")
    if not rest or any(part.startswith(("and ", "or ", "(")) or part.endswith("-") for part in rest):
        return term
    if any(part.count("(") != part.count(")") for part in (head, *rest)):  # a comma in parentheses inverts nothing
        return term
    tail = [part for part in rest if part.startswith(_PREPOSITIONS)]
    return " ".join([*(part for part in reversed(rest) if part not in tail), head, *tail])


_PREPOSITIONS = ("of ", "in ", "with ", "without ", "by ", "due to ", "from ", "for ", "to ")


def _within(numbers: Iterable[str], trees: Sequence[str]) -> bool:
    """Whether a tree number lies in one of the trees: "C1" is no beginning of "C10.228", but "C" is."""
    return any(
        number.startswith(tree) and (len(tree) == 1 or number[len(tree) :][:1] in ("", "."))
        for number in numbers
        for tree in trees
    )


class _Reader(ConceptReader):
    """MeSH XML. Records refer to others by elements named as their own, so that parents tell which is meant."""

    def __init__(self, path: Path):
        super().__init__(path)
        self._record = _Record(0)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self.open) == 1 and tag not in ("DescriptorRecordSet", "SupplementalRecordSet"):
            self.fail(f"its root is <{tag}>, not <DescriptorRecordSet> or <SupplementalRecordSet>")
        if len(self.open) == 2:
            self._record = _Record(self.line)

    def end(self, tag: str, text: str) -> None:
        record, above = self._record, self.open[2:]  # what is open within the record
        if tag == "String":
            if above in (["DescriptorName"], ["SupplementalRecordName"]):
                record.name = text
            elif above[-1:] == ["Term"]:
                record.terms.append(text)
        elif tag == "CASN1Name":
            record.terms.append(text)
        elif tag == "TreeNumber":
            record.trees.append(text)
        elif tag in ("DescriptorUI", "SupplementalRecordUI") and not above:
            record.code = text
        elif len(self.open) == 1:
            self.done.append(record.concept(self.path))


def _read_ascii(path: Path) -> Iterator[Concept]:
    """Records of ASCII MeSH: ``*NEWRECORD``, then an element a line; what follows a term after ``|`` is about it."""
    record: _Record | None = None
    for number, line in enumerate(read_lines(path), 1):
        if not (line := line.strip()):
            continue
        if line == _NEW_RECORD:
            if record is not None:
                yield record.concept(path)
            record = _Record(number)
            continue
        element, equals, value = (part.strip() for part in line.partition("="))
        if not equals or record is None:
            raise DataError(f"neither 'ELEMENT = value' nor {_NEW_RECORD}", path=path, line=number)
        if element == "UI":
            record.code = value
        elif element in ("MH", "NM"):
            record.name = value
        elif element in ("ENTRY", "PRINT ENTRY", "SY"):
            record.terms.append(value.partition("|")[0].strip())
        elif element == "N1":
            record.terms.append(value)
        elif element == "MN":
            record.trees.append(value)
    if record is not None:
        yield record.concept(path)


_NEW_RECORD = "*NEWRECORD"


def _is_table(path: Path) -> bool:
    return path.is_dir() or path.name.lower().removesuffix(".gz").endswith(".tsv")


def _read_tables(terms: Path, tree_numbers: Path) -> Iterator[Concept]:
    trees: defaultdict[str, list[str]] = defaultdict(list)
    for code, tree in _read_table(tree_numbers, "mesh_tree_number"):
        trees[code].append(tree)
    for code, name in _read_table(terms, "mesh_name"):
        yield _concept(code, [name], trees.get(code, ()))


def _read_table(path: Path, column: str) -> Iterator[tuple[str, str]]:
    """``mesh_id`` and another column of each row."""
    rows = csv.reader(read_lines(path), delimiter="\t", quoting=csv.QUOTE_NONE)
    header = next(rows, [])
    if missing := {"mesh_id", column} - set(header):
        raise DataError(f"no column {' and '.join(sorted(missing))}; is it of these tables?", path=path, line=1)
    at, of = header.index("mesh_id"), header.index(column)
    for cells in rows:
        if len(cells) != len(header) or not (cells[at] and cells[of]):
            reason = (
                f"{len(header)} cells expected, {len(cells)} found" if len(cells) != len(header) else "an empty cell"
            )
            raise DataError(f"{reason}; is the file whole?", path=path, line=rows.line_num)
        yield cells[at], cells[of]

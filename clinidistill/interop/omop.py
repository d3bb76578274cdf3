"""OMOP: mentions as rows of the NOTE_NLP table of the Common Data Model, version 5.4."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from clinidistill.datasets.atomic import private_file, replacing_file
from clinidistill.errors import ConfigError, DataError
from clinidistill.interop.coding import check_vocabularies, coding_of
from clinidistill.types import Document, Span

__all__ = ["COLUMNS", "OmopConcepts", "note_nlp", "write_note_nlp"]

COLUMNS = (
    "note_nlp_id",
    "note_id",
    "section_concept_id",
    "snippet",
    "offset",
    "lexical_variant",
    "note_nlp_concept_id",
    "note_nlp_source_concept_id",
    "nlp_system",
    "nlp_date",
    "nlp_datetime",
    "term_exists",
    "term_temporal",
    "term_modifiers",
)
_LONGEST = 250  # characters of snippet and lexical_variant
_NO_CONCEPT = 0  # OMOP's "No matching concept"
_BATCH = 10_000  # rows of a Parquet row group


class OmopConcepts:
    """Concept ids of codes, from a vocabulary download of OHDSI's Athena (https://athena.ohdsi.org).

    Args:
        folder: the unpacked download: ``CONCEPT.csv``, and ``CONCEPT_RELATIONSHIP.csv`` for codes that are not
            standard.
        vocabularies: OMOP's names of the vocabularies to read, such as ``["RxNorm", "SNOMED"]``.

    Raises:
        DataError: if a file is absent or no such table.
    """

    def __init__(self, folder: str | Path, vocabularies: Iterable[str]):
        self._sources: dict[tuple[str, str], int] = {}
        self._standard: dict[int, int] = {}
        wanted, path = set(vocabularies), Path(folder)
        unmapped = set[int]()
        for row in _rows(path / "CONCEPT.csv", ("concept_id", "vocabulary_id", "concept_code", "standard_concept")):
            if row["vocabulary_id"] in wanted:
                number = _id(row, "concept_id", path / "CONCEPT.csv")
                self._sources[row["vocabulary_id"], row["concept_code"]] = number
                if row["standard_concept"] == "S":
                    self._standard[number] = number
                else:
                    unmapped.add(number)
        relations = path / "CONCEPT_RELATIONSHIP.csv"
        if unmapped and relations.is_file():
            for row in _rows(relations, ("concept_id_1", "concept_id_2", "relationship_id", "invalid_reason")):
                if row["relationship_id"] == "Maps to" and not row["invalid_reason"]:
                    source = _id(row, "concept_id_1", relations)
                    if source in unmapped:
                        self._standard.setdefault(source, _id(row, "concept_id_2", relations))

    def __len__(self) -> int:
        return len(self._sources)

    def ids(self, vocabulary: str, code: str) -> tuple[int, int]:
        """Concept ids of a code, the standard one and its own; 0 where there is none."""
        source = self._sources.get((vocabulary, code), _NO_CONCEPT)
        return self._standard.get(source, _NO_CONCEPT), source


def note_nlp(
    documents: Iterable[Document],
    *,
    system: str,
    vocabularies: Mapping[str, str] | None = None,
    concepts: OmopConcepts | None = None,
    note_id: Callable[[Document], int] | None = None,
    context: int = 0,
    when: datetime | None = None,
) -> Iterator[dict[str, Any]]:
    """A row of NOTE_NLP for each mention, lazily; rows are numbered from 1.

    ``offset`` counts code points. ``term_exists`` and ``term_temporal`` are left empty: nothing here says whether a
    patient has what a note mentions. ``term_modifiers`` holds label, score, and the vocabulary and code.

    Args:
        documents: notes with spans.
        system: name and version of what marked them, for ``nlp_system``.
        vocabularies: the vocabulary of each label's codes, such as ``{"medication": "RxNorm"}``.
        concepts: the concept ids; without them they are 0 ("No matching concept").
        note_id: the NOTE table's key of a document; None takes ``meta["note_id"]``, or else the id if it is a number.
        context: characters of text to either side of the mention that go into ``snippet``; 0 leaves it empty.
        when: when the notes were read, in UTC; None takes now.

    Raises:
        ConfigError: if a vocabulary is unknown.
        DataError: at a document whose NOTE key is not known.

    >>> note = Document("17", "On metformin.", [Span(3, 12, "medication", code="6809")])
    >>> row = next(note_nlp([note], system="drug-ner 1.0", vocabularies={"medication": "RxNorm"}))
    >>> row["note_id"], row["offset"], row["lexical_variant"], row["term_modifiers"]
    (17, '3', 'metformin', 'label=medication;score=1;code=RxNorm:6809')

    The table: https://ohdsi.github.io/CommonDataModel/cdm54.html#note_nlp
    """
    known = dict(vocabularies or {})
    check_vocabularies(known)
    moment = when or datetime.now(UTC)

    def rows() -> Iterator[dict[str, Any]]:
        number = 0
        for document in documents:
            key = (note_id or _note_id)(document)
            for span in document.spans:
                number += 1
                coding = coding_of(span, known)
                ids = (_NO_CONCEPT, _NO_CONCEPT) if coding is None or concepts is None else concepts.ids(*coding)
                modifiers = [f"label={span.label}", f"score={span.score:.4g}"]
                if coding is not None:
                    modifiers.append(f"code={coding.vocabulary}:{coding.code}")
                words = document.mention(span)[:_LONGEST]
                values = (
                    *(number, key, _NO_CONCEPT, _snippet(document, span, context), str(span.start), words, *ids),
                    *(system, moment.date(), moment, None, None, ";".join(modifiers)),
                )
                yield dict(zip(COLUMNS, values, strict=True))

    return rows()


def write_note_nlp(documents: Iterable[Document], path: str | Path, **options: Any) -> int:
    """Write NOTE_NLP as CSV or, where the name ends in ``.parquet`` (extra ``parquet``), Parquet.

    Returns how many rows there are. It quotes from notes, and is readable by its owner only.

    Args:
        documents: notes with spans; streamed.
        path: the file.
        options: as :func:`note_nlp` takes them.

    Raises:
        ConfigError: if a vocabulary is unknown, or pyarrow is absent.
        DataError: as :func:`note_nlp`, or if the file cannot be written.
    """
    rows = note_nlp(documents, **options)
    if Path(path).suffix == ".parquet":
        return _write_parquet(rows, path)
    count = 0
    with private_file(path) as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for count, row in enumerate(rows, 1):  # noqa: B007 - counted
            table.writerow({name: _cell(value) for name, value in row.items()})
    return count


def _write_parquet(rows: Iterable[dict[str, Any]], path: str | Path) -> int:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ConfigError("writing Parquet needs pyarrow: pip install 'clinidistill[parquet]'") from None
    types = dict.fromkeys(COLUMNS, pa.string()) | {name: pa.int64() for name in COLUMNS if name.endswith("_id")}
    types |= {"nlp_date": pa.date32(), "nlp_datetime": pa.timestamp("us", "UTC")}
    schema, count = pa.schema(list(types.items())), 0
    with replacing_file(path, private=True) as file, pq.ParquetWriter(file, schema) as writer:
        batch = list[dict[str, Any]]()
        for count, row in enumerate(rows, 1):  # noqa: B007 - counted
            batch.append(row)
            if len(batch) == _BATCH:
                writer.write_table(pa.Table.from_pylist(batch, schema))
                batch.clear()
        if batch:
            writer.write_table(pa.Table.from_pylist(batch, schema))
    return count


def _note_id(document: Document) -> int:
    value = document.meta.get("note_id", document.id)
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    if type(value) is int:
        return value
    raise DataError(
        f"document {document.id!r} has no NOTE key: give it meta['note_id'], a whole number, or say note_id=…"
    )


def _snippet(document: Document, span: Span, context: int) -> str | None:
    if context <= 0:
        return None
    return document.text[max(span.start - context, 0) : span.end + context][:_LONGEST]


def _cell(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def _id(row: Mapping[str, str], column: str, path: Path) -> int:
    if not row[column].isdecimal():
        raise DataError(f"a concept without a number as its {column}; take the file as Athena gives it out", path=path)
    return int(row[column])


def _rows(path: Path, columns: Iterable[str]) -> Iterator[dict[str, str]]:
    """Rows of a table of Athena's: parted by tabs, nothing quoted."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE, restval="")
            if missing := set(columns) - set(table.fieldnames or ()):
                raise DataError(f"no table of Athena's: it lacks the columns {sorted(missing)}", path=path, line=1)
            yield from table
    except OSError as error:
        reason = f"cannot be read: {error.strerror}; download the vocabulary from https://athena.ohdsi.org"
        raise DataError(reason, path=path) from None
    except (UnicodeDecodeError, csv.Error):
        raise DataError("is not UTF-8, or no table; take the file as Athena gives it out", path=path) from None

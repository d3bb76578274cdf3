"""The label store: every annotation, in an SQLite file or in PostgreSQL, so that no answer is asked for twice."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from clinidistill.component import shown
from clinidistill.database import open_database
from clinidistill.llm.answers import ANSWER_TABLES
from clinidistill.teachers.base import Teacher
from clinidistill.types import Annotation, Document, Span
from clinidistill.types.document import document_key

__all__ = ["LabelStore", "StoredTeacher", "document_key"]

_TABLES = (
    """CREATE TABLE teacher (
        fingerprint TEXT NOT NULL PRIMARY KEY,
        name TEXT NOT NULL,
        class TEXT NOT NULL,
        covers TEXT,
        options TEXT NOT NULL,
        created TEXT NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE annotation (
        teacher TEXT NOT NULL REFERENCES teacher (fingerprint),
        key TEXT NOT NULL,
        document_id TEXT NOT NULL,
        spans TEXT NOT NULL,
        covers TEXT,
        error TEXT,
        usage TEXT,
        cost_usd REAL,
        seconds REAL,
        PRIMARY KEY (teacher, key)
    ) WITHOUT ROWID""",
)
_TURNS = (
    """CREATE TABLE turn (
        teacher TEXT NOT NULL REFERENCES teacher (fingerprint),
        began TEXT NOT NULL,
        documents INTEGER NOT NULL,
        seconds REAL NOT NULL
    )""",
    "CREATE INDEX turn_of_teacher ON turn (teacher)",
)
_GET = """SELECT key, spans, covers, error, usage, cost_usd, seconds FROM annotation
    WHERE teacher = ? AND key IN (SELECT key FROM json_each(?))"""  # of an object: both databases know that
_OUTCOMES = "SELECT key, error FROM annotation WHERE teacher = ? AND key IN (SELECT key FROM json_each(?))"
_FAILURES = """SELECT document_id, name, error FROM annotation JOIN teacher ON teacher = fingerprint
    WHERE error IS NOT NULL ORDER BY name, fingerprint, document_id"""
_TEACHERS = """SELECT fingerprint, name, class, teacher.covers, options, created,
        count(key) - count(error), count(error), sum(cost_usd)
    FROM teacher LEFT JOIN annotation ON teacher = fingerprint GROUP BY fingerprint ORDER BY created, fingerprint"""
_ADD = """INSERT INTO annotation VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (teacher, key) DO UPDATE SET spans = excluded.spans, covers = excluded.covers, error = excluded.error,
        usage = excluded.usage, cost_usd = excluded.cost_usd, seconds = excluded.seconds
    WHERE annotation.error IS NOT NULL"""
_REPLACE = _ADD.rpartition("WHERE")[0]
_VERSIONS = (_TABLES, ANSWER_TABLES, _TURNS)
_PROBE = "SELECT count(*) FROM teacher LEFT JOIN annotation ON teacher = fingerprint WHERE 1 = 0"


@dataclass(frozen=True, slots=True)
class StoredTeacher:
    """One teacher of a store and what it has done.

    Args:
        fingerprint: hash of its class, version and options; annotations are found by it.
        name: what it was called when it last labelled.
        class_name: its class, with module.
        covers: the labels it knows; None means all.
        options: what it was made with, for people to read: secrets hidden, objects by type, long values by size.
        created: when it first labelled, ISO 8601, UTC.
        answered: number of documents with an answer.
        failed: number of documents it failed on.
        cost_usd: sum of what its annotations cost; None when none has a known cost.
    """

    fingerprint: str
    name: str
    class_name: str
    covers: frozenset[str] | None
    options: Mapping[str, Any]
    created: str
    answered: int
    failed: int
    cost_usd: float | None


class LabelStore:
    """Annotations by teacher fingerprint and document, in one SQLite file or in PostgreSQL.

    A document is known by a hash of its id and text, so that an edited note is labelled again. The text itself
    is never written: spans are offsets. A language model's raw answers, kept beside them, do quote from notes; a
    new file or schema is open to its owner only. An annotation stays as it was first written; a failure gives way
    to whatever comes after it. Threads may share a store, and processes may share what it is kept in (each opens
    its own store): a file those of one machine, a server those of many.

    Args:
        path: the file, made when absent; ``":memory:"`` keeps everything in memory; or a URL as libpq takes it,
            ``postgresql://USER@HOST/DATABASE?schema=NAME``. The schema, ``clinidistill`` if none is named, is made
            when absent. A password is best left to PGPASSWORD or ``.pgpass``.

    Attributes:
        path: the place by its name, without user and password.

    Raises:
        ConfigError: if it takes PostgreSQL, and psycopg is not installed.
        StoreError: naming the place, if it is no label store, comes from a newer clinidistill, is damaged, or
            cannot be opened. Every method raises it when the store cannot be read or written.

    >>> with LabelStore(":memory:") as store:
    ...     store.teachers()
    []
    """

    def __init__(self, path: str | Path):
        self.database = open_database(path, _VERSIONS, _PROBE)
        self.path = self.database.path

    def register(self, teacher: Teacher) -> str:
        """Note down who a teacher is; returns its fingerprint.

        Raises:
            ConfigError: if the teacher has no fingerprint.
        """
        fingerprint, labels = teacher.fingerprint, teacher.labels
        row = (
            fingerprint,
            _text(teacher.name),
            f"{type(teacher).__module__}.{type(teacher).__qualname__}",
            None if labels is None else json.dumps(sorted(labels)),
            json.dumps({str(name): shown(value, str(name)) for name, value in teacher.options.items()}),
            datetime.now(UTC).isoformat(),
        )
        with self.database.transaction() as connection:
            connection.execute(
                "INSERT INTO teacher VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (fingerprint) DO UPDATE SET name = excluded.name",
                row,
            )
        return fingerprint

    def add(
        self, fingerprint: str, answers: Iterable[tuple[Document, Annotation]], *, replace_all: bool = False
    ) -> None:
        """Write annotations of a registered teacher in one transaction; when it returns, they are safe.

        Args:
            fingerprint: the teacher's.
            answers: documents with their annotations.
            replace_all: put them in place of earlier answers, too, not only of failures.
        """
        rows = [_row(fingerprint, document, annotation) for document, annotation in answers]
        with self.database.transaction() as connection:
            connection.executemany(_REPLACE if replace_all else _ADD, rows)

    def clock(self, fingerprint: str, documents: int, seconds: float) -> None:
        """Note down that a registered teacher answered `documents` in `seconds` of wall time."""
        began = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
        with self.database.transaction() as connection:
            connection.execute("INSERT INTO turn VALUES (?, ?, ?, ?)", (fingerprint, began, documents, seconds))

    def pace(self, fingerprint: str) -> float | None:
        """Wall seconds a document that a teacher took, at the concurrency that it ran with; None if nobody timed it."""
        query = "SELECT sum(seconds), sum(documents) FROM turn WHERE teacher = ?"
        for seconds, documents in self.database.query(query, (fingerprint,)):
            with self.database.reading("a turn"):
                return _checked(seconds, float) / _checked(documents, int) if documents else None
        return None

    def get(self, fingerprint: str, documents: Iterable[Document], name: str | None = None) -> dict[str, Annotation]:
        """A teacher's annotations of some documents by document id; absent where there is none.

        Args:
            fingerprint: the teacher's.
            documents: what to look up.
            name: what to call the teacher in the annotations; None takes its fingerprint.

        Raises:
            StoreError: if what the file holds is no annotation of that document.
        """
        by_key = {document_key(document): document for document in documents}
        found: dict[str, Annotation] = {}
        for key, *values in self.database.query(_GET, (fingerprint, json.dumps(dict.fromkeys(by_key)))):
            with self.database.reading(f"annotation {key}"):
                document = by_key[key]
                found[document.id] = _annotation(document, name or fingerprint, values)
        return found

    def outcomes(self, fingerprint: str, documents: Iterable[Document]) -> dict[str, str | None]:
        """Which documents a teacher has been asked, by document id: its error, or None where it answered."""
        ids = {document_key(document): document.id for document in documents}
        rows = self.database.query(_OUTCOMES, (fingerprint, json.dumps(dict.fromkeys(ids))))
        with self.database.reading("an annotation"):
            return {ids[key]: _checked(error, str, type(None)) for key, error in rows}

    def failures(self) -> list[Annotation]:
        """All failures on record, by teacher name and document id."""
        with self.database.reading("a failure"):
            return [
                Annotation(_checked(document_id, str), _checked(name, str), error=_checked(error, str))
                for document_id, name, error in self.database.query(_FAILURES)
            ]

    def teachers(self) -> list[StoredTeacher]:
        """The teachers on record with what they have done, oldest first."""
        rows = self.database.query(_TEACHERS)
        with self.database.reading("a teacher"):
            return [
                StoredTeacher(
                    _checked(fingerprint, str),
                    _checked(name, str),
                    _checked(class_name, str),
                    _labels(covers),
                    _checked(json.loads(options), dict),
                    _checked(created, str),
                    answered,
                    failed,
                    cost,
                )
                for fingerprint, name, class_name, covers, options, created, answered, failed, cost in rows
            ]

    def close(self) -> None:
        """Close file or connection; done by itself when the store is no longer used."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"LabelStore({self.path!r})"


def _row(fingerprint: str, document: Document, annotation: Annotation) -> tuple[object, ...]:
    """An annotation as a row; a source that only repeats the teacher's name is left out, as names may change."""
    owner, covers, usage = annotation.teacher, annotation.covers, annotation.usage
    spans = [span.to_dict() for span in annotation.spans]
    for span in spans:
        if span.get("source") == owner:
            del span["source"]
    return (
        fingerprint,
        document_key(document),
        _text(document.id),
        json.dumps(spans, separators=(",", ":"), default=float),  # NumPy scores
        None if covers is None else json.dumps(sorted(covers)),
        None if annotation.error is None else _text(annotation.error),
        json.dumps(usage, default=lambda value: type(value).__name__) if usage else None,
        None if annotation.cost_usd is None else float(annotation.cost_usd),
        None if annotation.seconds is None else float(annotation.seconds),
    )


def _annotation(document: Document, name: str, values: Sequence[Any]) -> Annotation:
    """Inverse of :func:`_row`; whatever a hostile file may hold, it raises one of `DAMAGE` or fits the document."""
    spans, covers, error, usage, cost, seconds = values
    marked = [Span.from_dict({"source": name} | _checked(data, dict)) for data in _checked(json.loads(spans), list)]
    if any(span.end > len(document.text) for span in marked):
        raise ValueError("a span reaches outside the document")
    return Annotation(
        document.id,
        name,
        tuple(marked),
        _labels(covers),
        _checked(error, str, type(None)),
        {} if usage is None else _checked(json.loads(usage), dict),
        _checked(cost, float, int, type(None)),
        _checked(seconds, float, int, type(None)),
    )


def _checked(value: Any, *types: type) -> Any:
    if not isinstance(value, types):
        raise TypeError(f"{type(value).__name__} instead of {types[0].__name__}")
    return value


def _labels(value: Any) -> frozenset[str] | None:
    return None if value is None else frozenset(_checked(each, str) for each in _checked(json.loads(value), list))


def _text(value: str) -> str:
    """Databases take no lone surrogates."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")

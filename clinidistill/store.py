"""The label store: every annotation in one SQLite file, so that no answer is asked for twice."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from clinidistill.component import shown
from clinidistill.errors import StoreError
from clinidistill.teachers.base import Teacher
from clinidistill.types import Annotation, Document, Span

__all__ = ["LabelStore", "StoredTeacher", "document_key"]

_APPLICATION = 0x636C6473  # "clds", in the file's header
_VERSION = 1
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
_GET = """SELECT key, spans, covers, error, usage, cost_usd, seconds FROM annotation
    WHERE teacher = ? AND key IN (SELECT value FROM json_each(?))"""
_OUTCOMES = "SELECT key, error FROM annotation WHERE teacher = ? AND key IN (SELECT value FROM json_each(?))"
_FAILURES = """SELECT document_id, name, error FROM annotation JOIN teacher ON teacher = fingerprint
    WHERE error IS NOT NULL ORDER BY name, fingerprint, document_id"""
_TEACHERS = """SELECT fingerprint, name, class, teacher.covers, options, created,
        count(key) - count(error), count(error), sum(cost_usd)
    FROM teacher LEFT JOIN annotation ON teacher = fingerprint GROUP BY fingerprint ORDER BY created, fingerprint"""
_ADD = """INSERT INTO annotation VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET spans = excluded.spans, covers = excluded.covers, error = excluded.error,
        usage = excluded.usage, cost_usd = excluded.cost_usd, seconds = excluded.seconds
    WHERE annotation.error IS NOT NULL"""
_BROKEN = (sqlite3.Error, UnicodeDecodeError)  # SQLite's own words may be damaged too
_DAMAGE = (ValueError, TypeError, AttributeError, LookupError, RecursionError)


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
    """Annotations by teacher fingerprint and document, in one SQLite file.

    A document is known by a hash of its id and text, so that an edited note is labelled again. The text itself
    is never written: spans are offsets. An answer stays as it was first written; a failure gives way to whatever
    comes after it. Threads may share a store, and processes may share its file (each opens its own store).

    Args:
        path: the file, made when absent; ``":memory:"`` keeps everything in memory.

    Raises:
        StoreError: naming the file, if it is no label store, comes from a newer clinidistill, is damaged, or
            cannot be opened. Every method raises it when the file cannot be read or written.

    >>> with LabelStore(":memory:") as store:
    ...     store.teachers()
    []
    """

    def __init__(self, path: str | Path):
        self.path = str(path)
        self._lock = threading.RLock()
        try:
            self._connection = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
        except (sqlite3.Error, ValueError) as error:
            raise self._error(error) from error
        self._finalizer = weakref.finalize(self, self._connection.close)
        try:
            self._open()
        except StoreError:
            self.close()
            raise

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
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO teacher VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET name = excluded.name", row
            )
        return fingerprint

    def add(self, fingerprint: str, answers: Iterable[tuple[Document, Annotation]]) -> None:
        """Write annotations of a registered teacher in one transaction; when it returns, they are safe."""
        rows = [_row(fingerprint, document, annotation) for document, annotation in answers]
        with self._transaction() as connection:
            connection.executemany(_ADD, rows)

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
        for key, *values in self._query(_GET, (fingerprint, json.dumps(list(by_key)))):
            with self._reading(f"annotation {key}"):
                document = by_key[key]
                found[document.id] = _annotation(document, name or fingerprint, values)
        return found

    def outcomes(self, fingerprint: str, documents: Iterable[Document]) -> dict[str, str | None]:
        """Which documents a teacher has been asked, by document id: its error, or None where it answered."""
        ids = {document_key(document): document.id for document in documents}
        rows = self._query(_OUTCOMES, (fingerprint, json.dumps(list(ids))))
        with self._reading("an annotation"):
            return {ids[key]: _checked(error, str, type(None)) for key, error in rows}

    def failures(self) -> list[Annotation]:
        """All failures on record, by teacher name and document id."""
        with self._reading("a failure"):
            return [
                Annotation(_checked(document_id, str), _checked(name, str), error=_checked(error, str))
                for document_id, name, error in self._query(_FAILURES)
            ]

    def teachers(self) -> list[StoredTeacher]:
        """The teachers on record with what they have done, oldest first."""
        with self._reading("a teacher"):
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
                for fingerprint, name, class_name, covers, options, created, answered, failed, cost in self._query(
                    _TEACHERS
                )
            ]

    def close(self) -> None:
        """Close the file; done by itself when the store is no longer used."""
        with self._lock:
            self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"LabelStore({self.path!r})"

    def _open(self) -> None:
        """Check that the file is ours, or new; only then write to it."""
        if self._is_new():
            with self._transaction() as connection:
                if self._is_new():  # else another process was faster
                    for table in _TABLES:
                        connection.execute(table)
                    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                    connection.execute(f"PRAGMA user_version = {_VERSION}")
        version = self._pragma("user_version")
        if self._pragma("application_id") != _APPLICATION or version < 1:
            raise StoreError(f"{self.path}: this SQLite file is no label store; name another file")
        if version > _VERSION:
            raise StoreError(
                f"{self.path}: the store has version {version}, this clinidistill knows version {_VERSION}; upgrade "
                "clinidistill, or name another file"
            )
        self._query("SELECT count(*) FROM teacher LEFT JOIN annotation ON teacher = fingerprint WHERE 0")
        self._use_wal()
        for pragma in ("synchronous = NORMAL", "foreign_keys = ON"):
            self._query(f"PRAGMA {pragma}")

    def _use_wal(self) -> None:
        """Readers and a writer side by side; SQLite may answer "locked" at once when two processes switch together."""
        for attempt in range(20):
            try:
                if self._query("PRAGMA journal_mode")[0][0] != "wal":
                    self._query("PRAGMA journal_mode = WAL")
                return
            except StoreError as error:
                if "locked" not in str(error.__cause__) or attempt == 19:
                    raise
                time.sleep(0.05)

    def _is_new(self) -> bool:
        empty = self._query("SELECT count(*) FROM sqlite_master")[0][0] == 0
        return empty and self._pragma("application_id") == 0 and self._pragma("user_version") == 0

    def _pragma(self, name: str) -> int:
        return int(self._query(f"PRAGMA {name}")[0][0])

    def _query(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        with self._lock:
            try:
                return self._connection.execute(sql, values).fetchall()
            except _BROKEN as error:
                raise self._error(error) from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                finally:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
            except _BROKEN as error:
                raise self._error(error) from error

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        try:
            yield
        except _DAMAGE as error:
            raise StoreError(
                f"{self.path}: {what} is damaged ({type(error).__name__}); restore the file from a copy, or move it "
                "away and label again"
            ) from error

    def _error(self, error: Exception) -> StoreError:
        reason = str(error)
        if "locked" in reason or "busy" in reason:
            cure = "another process is writing to it; wait for it, then run again"
        elif any(sign in reason for sign in ("not a database", "malformed", "no such", "decode")):
            cure = "it is damaged or no label store; restore a copy or name another file"
        elif "closed" in reason:
            cure = "open it again with LabelStore(path)"
        elif "FOREIGN KEY" in reason:
            cure = "register the teacher before adding its annotations"
        else:
            cure = "check that its folder exists, can be written to and has space"
        return StoreError(f"{self.path}: {reason}; {cure}")


def document_key(document: Document) -> str:
    """What a store knows a document by: SHA-256 (32 hexadecimal digits) of its id and text.

    >>> document_key(Document("n1", "On metformin.")) == document_key(Document("n1", "On metformin"))
    False
    """
    name, text = (part.encode("utf-8", "surrogatepass") for part in (document.id, document.text))
    return hashlib.sha256(b"%d:%b%b" % (len(name), name, text)).hexdigest()[:32]


def _row(fingerprint: str, document: Document, annotation: Annotation) -> tuple[object, ...]:
    """An annotation as a row; a source that only repeats the teacher's name is left out, as names may change."""
    owner, covers, usage = annotation.teacher, annotation.covers, annotation.usage
    spans = [replace(span, source=None) if span.source == owner else span for span in annotation.spans]
    return (
        fingerprint,
        document_key(document),
        _text(document.id),
        json.dumps([span.to_dict() for span in spans], separators=(",", ":"), default=float),  # NumPy scores
        None if covers is None else json.dumps(sorted(covers)),
        None if annotation.error is None else _text(annotation.error),
        json.dumps(usage, default=lambda value: type(value).__name__) if usage else None,
        None if annotation.cost_usd is None else float(annotation.cost_usd),
        None if annotation.seconds is None else float(annotation.seconds),
    )


def _annotation(document: Document, name: str, values: Sequence[Any]) -> Annotation:
    """Inverse of :func:`_row`; whatever a hostile file may hold, it raises one of `_DAMAGE` or fits the document."""
    spans, covers, error, usage, cost, seconds = values
    marked = [Span.from_dict(_checked(data, dict)) for data in _checked(json.loads(spans), list)]
    if any(span.end > len(document.text) for span in marked):
        raise ValueError("a span reaches outside the document")
    return Annotation(
        document.id,
        name,
        tuple(span if span.source is not None else replace(span, source=name) for span in marked),
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
    """SQLite takes no lone surrogates."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")

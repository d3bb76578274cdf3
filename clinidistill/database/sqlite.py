"""A label store in one SQLite file: opened, checked, brought up to date, and shared by threads and processes."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clinidistill.database.base import Database
from clinidistill.errors import StoreError

__all__ = ["SqliteDatabase"]

_APPLICATION = 0x636C6473  # "clds", in the file's header
_BROKEN = (sqlite3.Error, UnicodeDecodeError)  # SQLite's own words may be damaged too


class SqliteDatabase(Database):
    """A connection to a label store's file, made when absent; see :func:`~clinidistill.database.open_database`."""

    def __init__(self, path: str | Path, versions: Sequence[Sequence[str]], probe: str, *, read_only: bool = False):
        super().__init__(str(path))
        self._versions = versions
        self._read_only = read_only
        self._lock = threading.RLock()
        if self.path != ":memory:" and not read_only:
            with contextlib.suppress(OSError, ValueError):  # answers quote notes: a new file is its owner's alone
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        try:
            name = f"{Path(self.path).absolute().as_uri()}?mode=ro" if read_only else self.path
            self._connection = sqlite3.connect(
                name, timeout=30, isolation_level=None, check_same_thread=False, uri=read_only
            )
        except (sqlite3.Error, ValueError) as error:
            raise self._error(error) from error
        self._finalizer = weakref.finalize(self, self._connection.close)
        try:
            self._open(probe)
        except StoreError:
            self.close()
            raise

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock:
            try:
                return self._connection.execute(sql, values).fetchall()
            except _BROKEN as error:
                raise self._error(error) from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
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

    def now(self) -> float:
        return time.time()

    def close(self) -> None:
        with self._lock:
            self._finalizer()

    def _open(self, probe: str) -> None:
        """Check that the file is ours, or new; only then write to it."""
        today = len(self._versions)
        if not self._read_only and self._is_new():
            with self.transaction() as connection:
                if self._is_new():  # else another process was faster
                    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                    self._advance(connection, 0)
        version = self._pragma("user_version")
        if self._pragma("application_id") != _APPLICATION or version < 1:
            raise StoreError(f"{self.path}: this SQLite file is no label store; name another file")
        if self._read_only:
            self.query(probe)
            return
        if version > today:
            raise StoreError(
                f"{self.path}: the store has version {version}, this clinidistill knows version {today}; upgrade "
                "clinidistill, or name another file"
            )
        if version < today:
            with self.transaction() as connection:
                self._advance(connection, self._pragma("user_version"))
        self.query(probe)
        self._use_wal()
        for pragma in ("synchronous = NORMAL", "foreign_keys = ON"):
            self.query(f"PRAGMA {pragma}")

    def _advance(self, connection: sqlite3.Connection, version: int) -> None:
        for statements in self._versions[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(self._versions)}")

    def _use_wal(self) -> None:
        """Readers and a writer side by side; SQLite may answer "locked" at once when two processes switch together."""
        for attempt in range(20):
            try:
                if self.query("PRAGMA journal_mode")[0][0] != "wal":
                    self.query("PRAGMA journal_mode = WAL")
                return
            except StoreError as error:
                if "locked" not in str(error.__cause__) or attempt == 19:
                    raise
                time.sleep(0.05)

    def _is_new(self) -> bool:
        empty = self.query("SELECT count(*) FROM sqlite_master")[0][0] == 0
        return empty and self._pragma("application_id") == 0 and self._pragma("user_version") == 0

    def _pragma(self, name: str) -> int:
        return int(self.query(f"PRAGMA {name}")[0][0])

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

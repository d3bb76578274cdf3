"""Where a label store's tables are: an SQLite file, or a schema of a PostgreSQL database. The SQL is the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clinidistill.database.base import DAMAGE, Connection, Database
from clinidistill.database.sqlite import SqliteDatabase
from clinidistill.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from clinidistill.database.postgres import PostgresDatabase

__all__ = [
    "DAMAGE",
    "Connection",
    "Database",
    "check_place",
    "exists",
    "has_password",
    "is_server",
    "open_database",
]

_POSTGRES = re.compile(r"postgres(ql)?(\+\w+)?:/", re.IGNORECASE)  # as others write it, too
_URL = re.compile(r"[A-Za-z][\w+.-]+:/")
_PASSWORD = re.compile(r"//[^/@]*:[^@]*@|[?&]\w*password=")


def open_database(
    place: str | Path, versions: Sequence[Sequence[str]], probe: str, *, read_only: bool = False
) -> Database:
    """The database of a label store, made when absent.

    Args:
        place: a file, ``":memory:"``, or a URL that begins with ``postgresql://`` or ``postgres://``.
        versions: for each version of the layout the statements that lead to it from the one before; the last is
            today's. They are SQLite's; what PostgreSQL calls otherwise is translated.
        probe: a query that fails where the tables are not as they should be.
        read_only: open a store that is there, and leave it as it is, whichever version it has.

    Raises:
        ConfigError: if it takes a package that is not installed.
        StoreError: naming the place, if it is no label store, comes from a newer clinidistill, is damaged, or
            cannot be opened.
    """
    check_place(place)
    if is_server(place):
        return _postgres()(str(place), versions, probe, read_only=read_only)
    return SqliteDatabase(place, versions, probe, read_only=read_only)


def check_place(place: str | Path) -> None:
    """See to it that a place is no URL of something else, such as SQLAlchemy's.

    Raises:
        StoreError: if it is; it does not quote it, as a password may stand in it.
    """
    if not is_server(place) and _URL.match(str(place)):
        raise StoreError("a label store is a file, or a string that begins with postgresql://; this is another URL")


def is_server(place: object) -> bool:
    """Whether a label store's place is a URL of a server, and no file."""
    return isinstance(place, str) and place.startswith(("postgresql://", "postgres://"))


def has_password(place: str) -> bool:
    """Whether a password stands in a URL.

    >>> has_password("postgresql://me:secret@host/labels"), has_password("postgresql://me@host/labels")
    (True, False)
    """
    return _POSTGRES.match(place) is not None and _PASSWORD.search(place) is not None


def exists(place: str | Path) -> bool:
    """Whether there is a label store, or a file that may be one; nothing is made.

    Raises:
        ConfigError: as :func:`open_database`.
        StoreError: if a server cannot be asked, or the place is a URL of something else.
    """
    check_place(place)
    return _postgres().exists(str(place)) if is_server(place) else Path(place).exists()


def _postgres() -> type[PostgresDatabase]:
    try:
        from clinidistill.database.postgres import PostgresDatabase
    except ImportError:
        raise ConfigError("a store in PostgreSQL needs psycopg: pip install 'clinidistill[postgres]'") from None
    return PostgresDatabase

"""What a label store asks of its database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from clinidistill.errors import StoreError

__all__ = ["DAMAGE", "Connection", "Cursor", "Database"]

DAMAGE = (ValueError, TypeError, AttributeError, LookupError, RecursionError)
"""What reading a row of a damaged or hostile store may raise; see :meth:`Database.reading`."""


class Cursor(Protocol):
    """What a statement gives."""

    @property
    def rowcount(self) -> int:
        """Number of rows that it changed."""

    def fetchone(self) -> Any:
        """The next row; None after the last."""

    def fetchall(self) -> list[Any]:
        """All rows."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A database in a transaction. Placeholders are question marks."""

    def execute(self, sql: str, values: Sequence[Any] = ..., /) -> Cursor:
        """Carry out a statement."""

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> object:
        """Carry out a statement once for each row."""


class Database(ABC):
    """The tables of one label store. Every method may be called from any thread; processes open their own.

    Statements keep to what SQLite and PostgreSQL both know and mean alike.

    Args:
        path: what the store is called in messages; it holds no password.

    Raises:
        StoreError: from every method, naming the place, when it cannot be read or written.
    """

    def __init__(self, path: str):
        self.path = path

    @abstractmethod
    def query(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Connection]:
        """All or nothing: committed when the block ends, rolled back when it raises. Nobody else writes meanwhile."""

    @abstractmethod
    def now(self) -> float:
        """Seconds since the epoch, by a clock that all who share the database go by."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection; done by itself when the database is no longer used."""

    @contextmanager
    def reading(self, what: str) -> Iterator[None]:
        """Turns what reading damaged rows raises into a StoreError that names the place."""
        try:
            yield
        except DAMAGE as error:
            raise StoreError(
                f"{self.path}: {what} is damaged ({type(error).__name__}); restore the store from a copy, or label "
                "again into another one"
            ) from error

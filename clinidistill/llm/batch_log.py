"""Batches on record: written down before they are submitted, so that none is lost and none is sent twice."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from clinidistill.database import Connection
from clinidistill.llm.answers import Answer, AnswerLog

__all__ = ["Batch", "BatchLog"]

_OWNER = "batch:"


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that is open: its answers are yet to come.

    Args:
        token: its name in the store and, where the API takes one, at the API.
        submitter: the asker that submits it.
        id: its id at the API; None until that is known.
        requests: number of its requests.
        created: when it was written down, before it was submitted; seconds since the epoch.
    """

    token: str
    submitter: str
    id: str | None
    requests: int
    created: float


class BatchLog:
    """The table of batches. Like the answers', its methods take a connection in a transaction.

    An open batch holds the claims on its questions, whoever submitted it and whether they are alive or not.

    Args:
        log: where the answers go.
        teacher: fingerprint of the teacher that asks.
    """

    def __init__(self, log: AnswerLog, teacher: str):
        self._log, self._teacher = log, teacher

    @staticmethod
    def owner(token: str) -> str:
        """The owner of a batch's claims."""
        return f"{_OWNER}{token}"

    def now(self) -> float:
        """Seconds since the epoch, by the clock that batches' times are taken from."""
        return self._log.database.now()

    def open(self, connection: Connection, token: str, requests: int) -> None:
        """Write down that a batch is about to be submitted."""
        row = (token, self._teacher, self._log.owner, None, "open", requests, self.now())
        connection.execute("INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def find(self, connection: Connection, token: str) -> Batch | None:
        """A batch, if it is open."""
        query = "SELECT token, submitter, id, requests, created FROM batch WHERE token = ? AND state = 'open'"
        row = connection.execute(query, (token,)).fetchone()
        return None if row is None else Batch(*row)

    def holder(self, connection: Connection, key: str, after: int) -> str | None:
        """The token of the open batch that a question is in."""
        query = "SELECT owner FROM answer WHERE key = ? AND turn >= ? AND owner LIKE ? ORDER BY turn DESC"
        row = connection.execute(query, (key, after, f"{_OWNER}%")).fetchone()
        return None if row is None else str(row[0][len(_OWNER) :])

    def is_orphan(self, connection: Connection, batch: Batch) -> bool:
        """Whether nobody is submitting a batch any more."""
        return not self._log.is_alive(connection, batch.submitter)

    def identify(self, connection: Connection, token: str, id_: str) -> None:
        """Note a batch's id at the API."""
        connection.execute("UPDATE batch SET id = ? WHERE token = ?", (id_, token))

    def disown(self, connection: Connection, token: str, id_: str, keys: Collection[str]) -> bool:
        """Take an id from a batch if none of its questions is among `keys`, which the batch of that id has answered.

        It goes to the batch that they are of; where that is none of ours, it is on record as another's.

        Returns:
            Whether the id was taken.
        """
        query = "SELECT key FROM answer WHERE owner = ?"
        if not keys or any(key in keys for (key,) in connection.execute(query, (self.owner(token),))):
            return False
        connection.execute("UPDATE batch SET id = NULL, submitter = '' WHERE token = ?", (token,))
        owner = next((found for key in keys if (found := self.holder(connection, key, 0)) is not None), None)
        if owner is not None:
            self.identify(connection, owner, id_)
        else:
            row = (id_, self._teacher, "", id_, "foreign", len(keys), self.now())
            connection.execute("INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row)
        return True

    def ids(self, connection: Connection) -> set[str]:
        """The ids of all batches in the store."""
        return {id_ for (id_,) in connection.execute("SELECT id FROM batch WHERE id IS NOT NULL")}

    def close(
        self,
        connection: Connection,
        token: str,
        state: Literal["collected", "failed", "lost"],
        answers: Mapping[str, bytes],
        discount: float,
        *,
        billed: bool = False,
    ) -> dict[str, Answer | int]:
        """Keep a batch's answers, and give up the claims on its other questions.

        Args:
            connection: in a transaction.
            token: the batch's.
            state: how it ended.
            answers: the bodies of its answers, by key.
            discount: what part of the usual price they cost.
            billed: whether what is not answered may have cost something all the same.

        Returns:
            The answers, or the claims that were given up, by key; nothing at all when another process closed the batch
            before.
        """
        found = connection.execute("SELECT teacher, created, state FROM batch WHERE token = ?", (token,)).fetchone()
        if found is None or found[2] != "open":
            return {}
        teacher, owner, seconds = found[0], self.owner(token), self.now() - found[1]
        held = connection.execute("SELECT id, key, turn, reserved_usd FROM answer WHERE owner = ?", (owner,)).fetchall()
        kept: dict[str, Answer | int] = {}
        for id_, key, turn, reserved in held:
            body = answers.get(key)
            kept[key] = id_ if body is None else Answer(id_, turn, body, True, reserved, False, discount)
        connection.executemany(
            "UPDATE answer SET body = ?, seconds = ?, discount = ?, owner = NULL WHERE id = ?",
            [(each.body, seconds, discount, each.id) for each in kept.values() if isinstance(each, Answer)],
        )
        self._release(connection, teacher, owner, billed)
        connection.execute("UPDATE batch SET state = ? WHERE token = ?", (state, token))
        return kept

    def _release(self, connection: Connection, teacher: str, owner: str, billed: bool) -> None:
        """What :meth:`AnswerLog.release` does, to all that an owner holds."""
        if billed:
            connection.execute("UPDATE answer SET lost_usd = lost_usd + reserved_usd WHERE owner = ?", (owner,))
        else:
            query = "SELECT coalesce(sum(reserved_usd), 0) FROM answer WHERE owner = ?"
            self._log.spend(connection, teacher, -connection.execute(query, (owner,)).fetchone()[0])
        connection.execute("DELETE FROM answer WHERE owner = ? AND lost_usd = 0", (owner,))
        connection.execute("UPDATE answer SET owner = NULL, reserved_usd = 0 WHERE owner = ?", (owner,))

"""Every raw answer of a language model, in the store, before anything else sees it; and what asking has cost."""

from __future__ import annotations

import contextlib
import os
import socket
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clinidistill.database import Connection, Database
from clinidistill.llm.types import Usage

__all__ = ["ANSWER_TABLES", "Answer", "AnswerLog", "Claim", "Question"]

ANSWER_TABLES = (
    # One row a request: without a body and with an owner while it is asked, then with the answer as it came.
    """CREATE TABLE answer (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL,
        turn INTEGER NOT NULL,
        teacher TEXT NOT NULL,
        document TEXT NOT NULL,
        start INTEGER NOT NULL,
        stop INTEGER NOT NULL,
        sample INTEGER NOT NULL,
        size INTEGER NOT NULL,
        owner TEXT,
        reserved_usd REAL NOT NULL,
        lost_usd REAL NOT NULL DEFAULT 0,
        created REAL NOT NULL,
        body BLOB,
        seconds REAL,
        discount REAL NOT NULL DEFAULT 1,
        model TEXT,
        input_tokens INTEGER,
        output_tokens INTEGER,
        cost_usd REAL,
        UNIQUE (key, turn)
    )""",
    "CREATE INDEX answer_of_document ON answer (document, teacher)",
    "CREATE INDEX answer_of_teacher ON answer (teacher)",
    "CREATE INDEX answer_in_hand ON answer (owner) WHERE owner IS NOT NULL",
    # Batches that were submitted, or were about to be; their questions' owner is "batch:" and the token.
    """CREATE TABLE batch (
        token TEXT NOT NULL PRIMARY KEY,
        teacher TEXT NOT NULL,
        submitter TEXT NOT NULL,
        id TEXT,
        state TEXT NOT NULL,
        requests INTEGER NOT NULL,
        created REAL NOT NULL
    ) WITHOUT ROWID""",
    # Money spent or reserved by a teacher, so that a budget holds across runs and processes.
    "CREATE TABLE spending (teacher TEXT NOT NULL PRIMARY KEY, committed_usd REAL NOT NULL) WITHOUT ROWID",
    # Who is asking at present.
    "CREATE TABLE asker (owner TEXT NOT NULL PRIMARY KEY, host TEXT NOT NULL, pid INTEGER NOT NULL, "
    "seen REAL NOT NULL) WITHOUT ROWID",
)
_FIND = """SELECT id, turn, owner, reserved_usd, body, cost_usd, discount, document, start, stop FROM answer
    WHERE key = ? AND turn >= ? ORDER BY turn DESC LIMIT 1"""
_OPEN = """INSERT INTO answer (key, turn, teacher, document, start, stop, sample, size, owner, reserved_usd, created)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id"""
_SILENCE = 120.0  # seconds without a sign of life after which an asker is taken for dead


@dataclass(frozen=True, slots=True)
class Question:
    """A request that may be sent.

    Args:
        key: hash of what is asked of whom; one key is asked once.
        document: the document's key.
        start: where the part of the note that it is about begins.
        stop: where that part ends.
        sample: which of several samples it is.
        size: bytes of the request.
        bound_usd: the most that it can cost; 0 where the price is unknown.
        bound_tokens: the most tokens that it and its answer can have.
    """

    key: str
    document: str
    start: int
    stop: int
    sample: int
    size: int
    bound_usd: float = 0.0
    bound_tokens: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """A raw answer as it is kept.

    Args:
        id: its row.
        turn: how often its question had been answered before.
        body: the response's body.
        fresh: whether it was paid for in this run.
        reserved_usd: what is reserved for it until its cost is known.
        priced: whether its cost is known.
        discount: what part of the usual price it costs.
        about: document, start and stop of what it was asked about, if it was found: perhaps another note, or another
            part of this one, of the same text.
    """

    id: int
    turn: int
    body: bytes
    fresh: bool
    reserved_usd: float
    priced: bool = False
    discount: float = 1.0
    about: tuple[str, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to ask a question, which nobody else has meanwhile."""

    id: int
    turn: int
    question: Question
    reserved_usd: float


class AnswerLog:
    """The table of answers. Its methods take a connection in a transaction, so that many go in one.

    Args:
        database: the store's file.
    """

    def __init__(self, database: Database):
        self.database = database
        self.owner = uuid.uuid4().hex
        self._host = _machine()

    def sign_life(self, connection: Connection) -> None:
        """Say that this asker is alive; to be said at least every minute while it asks."""
        _ASKING.add(self.owner)
        connection.execute(
            "INSERT INTO asker VALUES (?, ?, ?, ?) ON CONFLICT (owner) DO UPDATE SET seen = excluded.seen",
            (self.owner, self._host, os.getpid(), self.database.now()),
        )

    def sign_off(self) -> None:
        """Say that this asker asks no more; this process knows it even if the store can no longer be written."""
        _ASKING.discard(self.owner)
        with self.database.transaction() as connection:
            connection.execute("DELETE FROM asker WHERE owner = ?", (self.owner,))

    def find(self, connection: Connection, key: str, after: int = 0) -> Answer | None:
        """The latest answer to a question, from turn `after` on; None where there is none."""
        row = connection.execute(_FIND, (key, after)).fetchone()
        return None if row is None or row[4] is None else _answer(row)

    def claim(
        self,
        connection: Connection,
        teacher: str,
        question: Question,
        after: int,
        bound_usd: float,
        *,
        owner: str | None = None,
    ) -> Answer | Claim | None:
        """The answer if there is one, else the right to ask; None while another asker has that right.

        Args:
            connection: in a transaction.
            teacher: fingerprint of who asks.
            question: what is asked.
            after: answers of earlier turns do not count.
            bound_usd: what to reserve.
            owner: who gets the right; None is this asker.
        """
        mine = owner or self.owner
        row = connection.execute(_FIND, (question.key, after)).fetchone()
        if row is None:
            owned = (mine, bound_usd, time.time())
            values = (question.key, after, teacher, question.document, question.start, question.stop)
            ((id_,),) = connection.execute(_OPEN, (*values, question.sample, question.size, *owned)).fetchall()
            self.spend(connection, teacher, bound_usd)
            return Claim(id_, after, question, bound_usd)
        if row[4] is not None:
            return _answer(row)
        id_, turn, holder = row[:3]
        if holder is not None and self.is_alive(connection, holder):
            return None
        # Asked before without an answer: whoever asked died, and may have paid for it. What was reserved stays spent.
        connection.execute(
            "UPDATE answer SET lost_usd = lost_usd + reserved_usd, reserved_usd = ?, owner = ?, teacher = ? "
            "WHERE id = ?",
            (bound_usd, mine, teacher, id_),
        )
        self.spend(connection, teacher, bound_usd)
        return Claim(id_, turn, question, bound_usd)

    def keep(self, connection: Connection, teacher: str, claim: Claim, body: bytes, seconds: float) -> Answer:
        """Write an answer down as it came."""
        cursor = connection.execute(
            "UPDATE answer SET body = ?, seconds = ?, owner = NULL WHERE id = ? AND owner = ?",
            (body, seconds, claim.id, self.owner),
        )
        id_, turn = claim.id, claim.turn
        if cursor.rowcount == 0:  # taken for dead, and asked again by another: an answer in its own right
            question = claim.question
            last = connection.execute("SELECT max(turn) FROM answer WHERE key = ?", (question.key,)).fetchone()[0]
            turn = 0 if last is None else last + 1
            values = (question.key, turn, teacher, question.document, question.start, question.stop, question.sample)
            opened = (question.size, None, claim.reserved_usd, time.time())
            ((id_,),) = connection.execute(_OPEN, (*values, *opened)).fetchall()
            connection.execute("UPDATE answer SET body = ?, seconds = ? WHERE id = ?", (body, seconds, id_))
        return Answer(id_, turn, body, True, claim.reserved_usd)

    def price(
        self,
        connection: Connection,
        answer: Answer,
        *,
        model: str | None,
        usage: Usage,
        cost_usd: float | None,
    ) -> None:
        """Note what an answer cost, in place of what was reserved; an unknown cost leaves the reservation spent.

        Who finds an answer that is not priced yet prices it as well as who asked for it: the first one counts.
        """
        freed = 0.0 if cost_usd is None else answer.reserved_usd
        payers = connection.execute(
            "UPDATE answer SET model = ?, input_tokens = ?, output_tokens = ?, cost_usd = ?, "
            "reserved_usd = reserved_usd - ? WHERE id = ? AND cost_usd IS NULL RETURNING teacher",
            (model, usage.input_tokens, usage.output_tokens, cost_usd, freed, answer.id),
        ).fetchall()
        for (teacher,) in payers:  # whose reservation it was
            self.spend(connection, teacher, (cost_usd or 0.0) - freed)

    def release(self, connection: Connection, teacher: str, claim: Claim, billed: bool) -> None:
        """Give up the right to ask; what was reserved stays spent if the request may have been `billed`."""
        if billed:
            connection.execute(
                "UPDATE answer SET owner = NULL, lost_usd = lost_usd + reserved_usd, reserved_usd = 0 "
                "WHERE id = ? AND owner = ?",
                (claim.id, self.owner),
            )
            return
        where = (claim.id, self.owner)
        connection.execute("DELETE FROM answer WHERE id = ? AND owner = ? AND lost_usd = 0", where)
        connection.execute("UPDATE answer SET owner = NULL, reserved_usd = 0 WHERE id = ? AND owner = ?", where)
        self.spend(connection, teacher, -claim.reserved_usd)

    def committed_usd(self, connection: Connection, teacher: str) -> float:
        """What a teacher has spent or reserved in this store, by any process, ever."""
        row = connection.execute("SELECT committed_usd FROM spending WHERE teacher = ?", (teacher,)).fetchone()
        return 0.0 if row is None else float(row[0])

    def token_rates(self, teacher: str) -> tuple[float, float] | None:
        """Input tokens a byte and output tokens a request of the answers kept so far; None while there are none."""
        row = self.database.query(
            "SELECT sum(input_tokens), sum(size), avg(output_tokens) FROM answer "
            "WHERE teacher = ? AND input_tokens IS NOT NULL AND output_tokens IS NOT NULL",
            (teacher,),
        )[0]
        return None if not row[1] else (row[0] / row[1], row[2])

    def asked(self, teacher: str, document: str) -> set[tuple[int, int, int]]:
        """Start, stop and sample of what a teacher has answers on, or has in a batch, of one document."""
        rows = self.database.query(
            "SELECT start, stop, sample FROM answer WHERE document = ? AND teacher = ? "
            "AND (body IS NOT NULL OR owner LIKE 'batch:%')",
            (document, teacher),
        )
        return set(rows)

    def of_document(self, document: str, model: str | None = None) -> Iterator[tuple[str, int, int, int, bytes]]:
        """Teacher, start, stop, sample and body of each answer about a document, the latest turn of each question."""
        rows = self.database.query(
            "SELECT teacher, start, stop, sample, body FROM (SELECT teacher, start, stop, sample, body, "
            "row_number() OVER (PARTITION BY key ORDER BY turn DESC) AS age FROM answer WHERE document = ? "
            "AND body IS NOT NULL AND (CAST(? AS TEXT) IS NULL OR model = ?)) AS aged "
            "WHERE age = 1 ORDER BY start, stop, sample",
            (document, model, model),
        )
        for teacher, start, stop, sample, body in rows:
            yield teacher, start, stop, sample, bytes(body)

    def spend(self, connection: Connection, teacher: str, usd: float) -> None:
        """Count dollars as spent or reserved by a teacher; negative ones are free again."""
        if usd:
            connection.execute(
                "INSERT INTO spending VALUES (?, ?) "
                "ON CONFLICT (teacher) DO UPDATE SET committed_usd = spending.committed_usd + excluded.committed_usd",
                (teacher, usd),
            )

    def is_alive(self, connection: Connection, owner: str) -> bool:
        """Whether an owner may yet answer what it holds: an asker that runs, or a batch that is open."""
        if owner.startswith("batch:"):
            query = "SELECT count(*) FROM batch WHERE token = ? AND state = 'open'"
            return bool(connection.execute(query, (owner[6:],)).fetchone()[0])
        if owner in _ASKING:
            return True
        row = connection.execute("SELECT host, pid, seen FROM asker WHERE owner = ?", (owner,)).fetchone()
        if row is None or self.database.now() - row[2] > _SILENCE:
            return False
        return row[0] != self._host or (row[1] != os.getpid() and _runs(row[1]))


def _answer(row: tuple[Any, ...]) -> Answer:
    id_, turn, _, reserved, body, cost, discount, *about = row
    return Answer(id_, turn, bytes(body), False, reserved, cost is not None, discount, tuple(about))


_ASKING: set[str] = set()  # the askers of this process


def _machine() -> str:
    """Where a number means the same process: this machine since its start and, on Linux, this container."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    return f"{socket.gethostname()} {uuid.getnode():x}"


def _runs(pid: int) -> bool:
    """Whether a process of that number runs on this machine; one that was killed and not yet waited for does not."""
    if os.name == "nt":  # where os.kill would end it
        return True
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] not in "ZX"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True

"""The ledger: no request without a claim on it and money for it, no answer that is not written down first."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Self, TypeVar

from clinidistill.database import Connection
from clinidistill.errors import LabelingStopped
from clinidistill.llm.answers import Answer, AnswerLog, Claim, Question
from clinidistill.llm.purse import Purse
from clinidistill.llm.types import Usage

__all__ = ["Ledger"]

T = TypeVar("T")
_Entry = Callable[[Connection], Any]
_Waiting = tuple[asyncio.Future[Answer | Claim | None], Question, int]
_PULSE = 20.0  # seconds between two signs of life
_PATIENCE = 0.5  # seconds between two looks at what another process is asking


class Ledger:
    """Claims, answers and money of one teacher's run, written in as few transactions as the event loop allows.

    All that happens within one turn of the loop goes into one transaction; what waits for it is resumed when it is
    committed. To be used as an asynchronous context manager.

    Args:
        log: where answers are kept.
        teacher: fingerprint of the teacher that asks.
        budget_usd: the most that the teacher may ever spend in this store, requests in flight and requests whose
            answers got lost counted in full; None sets no limit.
        purse: what the teacher shares with others that ask elsewhere; None where there are none.
    """

    def __init__(self, log: AnswerLog, teacher: str, budget_usd: float | None = None, purse: Purse | None = None):
        self._log, self._teacher, self._budget, self._purse = log, teacher, budget_usd, purse
        self._taken: dict[int, tuple[float, int]] = {}  # out of the purse, for each claim
        self._entries: list[tuple[asyncio.Future[Any] | None, _Entry]] = []
        self._planned = False
        self._claims: list[_Waiting] = []
        self._flying = 0
        self._short = False  # whether money was lacking since something was last settled
        self._factor = 1.0  # by how much the API has charged more than the bound
        self._proven = budget_usd is None and purse is None  # whether an answer has shown what the API charges
        self._pulse: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._news: asyncio.Future[None] = self._loop.create_future()
        with self._log.database.transaction() as connection:
            self._log.sign_life(connection)
        self._pulse = self._loop.create_task(self._beat())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._pulse is not None:
            self._pulse.cancel()
        self._flush()
        self._log.sign_off()

    async def find(self, question: Question, after: int = 0) -> Answer | None:
        """The answer to a question if it is kept, of turn `after` or later.

        Raises:
            StoreError: if the store cannot be read.
        """
        future: asyncio.Future[Answer | None] = self._loop.create_future()
        self._enter(lambda connection: self._log.find(connection, question.key, after), future)
        return await future

    async def claim(self, question: Question, after: int = 0) -> Answer | Claim | None:
        """The right to ask a question, or its answer if it is kept after all (of turn `after` or later).

        A claim must be given back: by :meth:`release`, or by :meth:`keep` and then :meth:`price`.

        Returns:
            None when another asker has that right, or what is left of the budget is reserved for requests in flight:
            :meth:`ready` waits for a change.

        Raises:
            LabelingStopped: if the budget does not allow for it.
            StoreError: if the store cannot be written.
        """
        future: asyncio.Future[Answer | Claim | None] = self._loop.create_future()
        self._claims.append((future, question, after))
        self._plan()
        try:
            return await future
        except asyncio.CancelledError:
            if not future.cancelled() and isinstance(got := future.result(), Claim):
                self.release(got, billed=False)
            raise

    async def ready(self, *, at_once: bool = True) -> None:
        """Wait while no claim has a prospect of money; with `at_once` false until something has changed."""
        if self._short or not at_once:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._news), _PATIENCE)

    async def keep(self, claim: Claim, body: bytes, seconds: float) -> Answer:
        """Write an answer down as it came; when this returns, it is safe.

        Raises:
            StoreError: if the store cannot be written.
        """
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._enter(lambda connection: self._log.keep(connection, self._teacher, claim, body, seconds), future)
        answer = await asyncio.shield(future)
        if claim.id in self._taken:  # the answer may be in another row than the claim
            self._taken[answer.id] = self._taken.pop(claim.id)
        return answer

    async def write(self, entry: Callable[[Connection], T]) -> T:
        """Do something else in the next transaction; when this returns, it is committed.

        Raises:
            StoreError: if the store cannot be written.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self._enter(entry, future)
        return await asyncio.shield(future)

    def claim_for(
        self, connection: Connection, owner: str, question: Question, after: int
    ) -> Answer | Claim | LabelingStopped | None:
        """As :meth:`claim`, at once, for an owner of its own; the budget's end is returned.

        An answer to it is handed over by :meth:`receive`.
        """
        if not self._affords(connection, question):
            return self._spent()
        return self._claim(connection, question, after, owner)

    def receive(self, answer: Answer) -> Answer:
        """Take an answer that did not come by :meth:`keep`; it is to be priced like those that did."""
        self._flying += 1
        return answer

    def forgo(self, claims: Iterable[int]) -> None:
        """Take back what the purse gave for claims of a batch that the log has given up, and that were not billed."""
        for claim in claims:
            self._return(claim, 0.0, Usage(0, 0))

    def price(self, answer: Answer, model: str | None, usage: Usage, cost_usd: float | None) -> None:
        """Note what an answer cost; what was reserved beyond that is free again."""
        if answer.fresh:
            self._proven = True
            if cost_usd is not None and answer.reserved_usd:
                self._factor = max(self._factor, self._factor * cost_usd / answer.reserved_usd)
            self._settled()
            self._return(answer.id, cost_usd, usage)
        self._enter(lambda connection: self._log.price(connection, answer, model=model, usage=usage, cost_usd=cost_usd))

    def release(self, claim: Claim, *, billed: bool) -> None:
        """Give a claim back unanswered; what was reserved stays spent if the request may have been `billed`."""
        self._settled()
        if billed:
            self._taken.pop(claim.id, None)
        else:
            self._return(claim.id, 0.0, Usage(0, 0))
        self._enter(lambda connection: self._log.release(connection, self._teacher, claim, billed))

    def _settled(self) -> None:
        """A request is no longer in flight: there may be money again."""
        self._flying -= 1
        self._short = False
        if not self._news.done():
            self._news.set_result(None)
        self._news = self._loop.create_future()

    def _enter(self, entry: _Entry, future: asyncio.Future[Any] | None = None) -> None:
        self._entries.append((future, entry))
        self._plan()

    def _plan(self) -> None:
        if not self._planned:
            self._planned = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Everything that waits to be written, in one transaction, claims last."""
        self._planned = False
        entries, self._entries = self._entries, []
        claims, self._claims = self._claims, []
        if not entries and not claims:
            return
        results: list[tuple[asyncio.Future[Any] | None, Any]] = []
        try:
            with self._log.database.transaction() as connection:
                results += [(future, entry(connection)) for future, entry in entries]
                results += self._grant(connection, claims)
        except Exception as error:  # nobody may go on as if it were written
            results = [*((future, error) for future, _ in entries), *((future, error) for future, *_ in claims)]
        for future, value in results:
            self._resolve(future, value)

    def _grant(self, connection: Connection, claims: list[_Waiting]) -> list[tuple[asyncio.Future[Any], Any]]:
        """Answers and claims for those who wait, as far as the budget reaches."""
        results: list[tuple[asyncio.Future[Any], Any]] = []
        for future, question, after in claims:
            if future.done():
                continue
            got: Answer | Claim | LabelingStopped | None = None
            if self._is_affordable(connection, question):
                got = self._claim(connection, question, after)
                self._flying += isinstance(got, Claim)
            elif not self._flying:
                got = self._spent()
            else:  # what comes back may free some of what is reserved
                self._short = True
            results.append((future, got))
        return results

    def _claim(
        self, connection: Connection, question: Question, after: int, owner: str | None = None
    ) -> Answer | Claim | None:
        """What the log says to a claim that is affordable; what the purse gave for it is kept for it, or goes back."""
        bound = question.bound_usd * self._factor
        got = self._log.claim(connection, self._teacher, question, after, bound, owner=owner)
        if self._purse is not None:
            if isinstance(got, Claim):
                self._taken[got.id] = (bound, question.bound_tokens)
            else:
                self._purse.give_back(bound, question.bound_tokens)
        return got

    def _return(self, claim: int, cost_usd: float | None, usage: Usage) -> None:
        """What a request did not use of what the purse gave for it; what is not known is taken for used."""
        usd, tokens = self._taken.pop(claim, (0.0, 0))
        if self._purse is not None and (usd or tokens):
            sent, written = usage.input_tokens, usage.output_tokens
            used = tokens if sent is None or written is None else sent + written
            self._purse.give_back(0.0 if cost_usd is None else usd - cost_usd, tokens - used)

    def _is_affordable(self, connection: Connection, question: Question) -> bool:
        if not self._proven and self._flying:  # the first request goes alone, to show what the API charges
            return False
        return self._affords(connection, question)

    def _affords(self, connection: Connection, question: Question) -> bool:
        """Whether store and purse have enough; the purse has then given it."""
        bound = question.bound_usd * self._factor
        if self._budget is not None and self._log.committed_usd(connection, self._teacher) + bound > self._budget:
            return False
        return self._purse is None or self._purse.take(bound, question.bound_tokens)

    def _spent(self) -> LabelingStopped:
        budget, option = "budget of tokens", "budget_tokens"  # which a purse alone has
        if self._budget is not None:
            budget, option = f"budget of ${self._budget:g}", "budget_usd"
        return LabelingStopped(
            f"the {budget} is spent or reserved; what was answered is kept: raise {option} and run again for the rest"
        )

    def _resolve(self, future: asyncio.Future[Any] | None, value: Any) -> None:
        if future is None:
            return
        if future.done():  # cancelled meanwhile
            if isinstance(value, Claim):
                self.release(value, billed=False)
        elif isinstance(value, Exception):
            future.set_exception(value)
        else:
            future.set_result(value)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_PULSE)
            self._enter(self._log.sign_life)

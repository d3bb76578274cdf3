"""Asking in batches: slower, cheaper, and safe from whatever ends this process meanwhile."""

from __future__ import annotations

import asyncio
import copy
import time
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Self, TypeAlias

import httpx

from clinidistill.database import Connection
from clinidistill.errors import LabelingStopped
from clinidistill.llm.answers import Answer, Claim, Question
from clinidistill.llm.asker import Asker, Carrier, NotNow
from clinidistill.llm.batch_log import BatchLog
from clinidistill.llm.batch_runner import BatchRunner
from clinidistill.llm.dispatcher import Dispatcher
from clinidistill.llm.ledger import Ledger
from clinidistill.llm.prices import Price
from clinidistill.llm.provider import BatchProvider
from clinidistill.llm.types import Prompt

__all__ = ["BatchAsker"]

_FRAME = 512  # bytes around a request in a batch, at most

_Place: TypeAlias = str | Answer
"""Where a question is: in the batch of that token, or answered."""


@dataclass(slots=True)
class _Waiting:
    """A question that waits for a batch."""

    prompt: Prompt
    question: Question
    after: int
    place: asyncio.Future[_Place]


class BatchAsker(Asker):
    """Asks in batches, and waits for those that an earlier run left behind. An asynchronous context manager.

    Questions gather until none has come for a while, or a batch is full. The store knows of a batch before the API
    does; its questions belong to it until its answers are collected, by this run or a later one, whichever way that
    one asks.

    Args:
        provider: whose API it is.
        ledger: where answers are kept and money is counted.
        carrier: brings single requests there.
        price: the model's price; None when unknown.
        courier: brings batches there: it must give long uploads and downloads their time.
        batches: where batches are on record.
        gather: whether to submit batches; else questions are asked one by one, but for those that are in a batch.
        batch_size: most requests in a batch; None goes by the API's limit.
        poll_seconds: see :class:`BatchRunner`.
        idle: seconds without a new question after which a batch is submitted; at most `poll_seconds`.
        retry: as :class:`Asker`.
        until: likewise; batches that run by then go on without us.
    """

    def __init__(
        self,
        provider: BatchProvider,
        ledger: Ledger,
        carrier: Carrier,
        price: Price | None,
        *,
        courier: Dispatcher,
        batches: BatchLog,
        gather: bool,
        batch_size: int | None = None,
        poll_seconds: float = 30.0,
        idle: float = 2.0,
        retry: bool = False,
        until: float | None = None,
    ):
        discount = provider.batch_discount if gather else 1.0
        super().__init__(provider, ledger, carrier, price, discount=discount, retry=retry, until=until)
        self._runner = BatchRunner(provider, ledger, courier, batches, poll_seconds)
        self._batches, self._gather, self._idle = batches, gather, min(idle, poll_seconds)
        self._most = (min(batch_size or provider.batch_requests, provider.batch_requests), provider.batch_bytes)
        self._gathered: list[_Waiting] = []
        self._bytes = 0
        self._latest = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._placing: set[asyncio.Task[None]] = set()
        self._stopped: LabelingStopped | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        await self._stack.enter_async_context(self._runner)
        if self._until is not None:
            alarm = self._loop.call_later(max(0.0, self._until - time.monotonic()), self.stop)
            self._stack.callback(alarm.cancel)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()
        await asyncio.gather(*self._placing, return_exceptions=True)
        await self._stack.aclose()

    def stop(self) -> None:
        """Submit nothing more and wait no longer: whoever asks gets a :class:`LabelingStopped`."""
        self._stopped = LabelingStopped(
            "the run ends; what was answered is kept, and batches go on at the API: run again later to collect them"
        )
        if self._timer is not None:
            self._timer.cancel()
        gathered, self._gathered = self._gathered, []
        for waiting in gathered:
            _tell(waiting, self._stopped)
        self._runner.stop(self._stopped)

    async def _send(self, prompt: Prompt, request: httpx.Request, question: Question, after: int) -> Answer:
        reason: Exception = NotNow()
        if self._gather:
            place: _Place | None = await self._join(prompt, question, after)
        else:
            try:
                return await super()._send(prompt, request, question, after)
            except (NotNow, LabelingStopped) as error:
                reason = error
                place = await self._ledger.write(partial(self._batches.holder, key=question.key, after=after))
        if place is None:
            raise reason
        if isinstance(place, Answer):
            return place
        outcome = (await asyncio.shield(self._runner.look_after(place))).get(question.key)
        if outcome is None:  # another process was faster: what there is, is in the store
            raise NotNow
        if isinstance(outcome, Answer):
            return self._ledger.receive(outcome)
        raise copy.copy(outcome)

    async def _join(self, prompt: Prompt, question: Question, after: int) -> _Place:
        """Put a question into the next batch."""
        if self._stopped is not None:
            raise copy.copy(self._stopped)
        size, (most, most_bytes) = question.size + _FRAME, self._most
        if self._gathered and (len(self._gathered) >= most or self._bytes + size > most_bytes):
            self._close()
        waiting = _Waiting(prompt, question, after, self._loop.create_future())
        self._gathered.append(waiting)
        self._bytes += size
        self._latest = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._idle, self._tick)
        return await waiting.place

    def _tick(self) -> None:
        self._timer = None
        if not self._gathered:
            return
        pause = self._latest + self._idle - self._loop.time()
        if pause > 0:
            self._timer = self._loop.call_later(pause, self._tick)
        else:
            self._close()

    def _close(self) -> None:
        """The batch is complete."""
        gathered, self._gathered, self._bytes = self._gathered, [], 0
        task = asyncio.ensure_future(self._begin(gathered))
        self._placing.add(task)
        task.add_done_callback(self._placing.discard)

    async def _begin(self, gathered: list[_Waiting]) -> None:
        """Claim what may be asked, submit it, and tell each question where it is."""
        gathered = [waiting for waiting in gathered if not waiting.place.done()]
        token = uuid.uuid4().hex
        try:
            if self._stopped is not None:
                raise self._stopped
            places = await self._ledger.write(partial(self._claim, token=token, gathered=gathered))
            pairs = list(zip(gathered, places, strict=True))
            prompts = [(waiting.question.key, waiting.prompt) for waiting, place in pairs if place == token]
            if prompts:
                self._runner.look_after(token, prompts)
        except Exception as error:
            for waiting in gathered:
                _tell(waiting, error)
            return
        for waiting, place in pairs:
            if not isinstance(place, LabelingStopped):
                _tell(waiting, NotNow() if place is None else place)
        short = [(waiting, place) for waiting, place in pairs if isinstance(place, LabelingStopped)]
        running = self._runner.running
        if short and running:  # a batch that ends may set money free
            await self._runner.one_ends()
        for waiting, spent in short:
            _tell(waiting, NotNow() if running else spent)

    def _claim(
        self, connection: Connection, token: str, gathered: Sequence[_Waiting]
    ) -> list[_Place | LabelingStopped | None]:
        """Claims for a new batch and its place in the log, in one transaction."""
        places: list[_Place | LabelingStopped | None] = []
        owner = self._batches.owner(token)
        for waiting in gathered:
            question, after = waiting.question, waiting.after
            place: _Place | Claim | LabelingStopped | None = self._batches.holder(connection, question.key, after)
            if place is None:
                place = self._ledger.claim_for(connection, owner, question, after)
            places.append(token if isinstance(place, Claim) else place)
        if count := places.count(token):
            self._batches.open(connection, token, count)
        return places


def _tell(waiting: _Waiting, place: _Place | Exception) -> None:
    """Tell a question where it is, if it still wants to know."""
    if waiting.place.done():
        return
    if isinstance(place, Exception):
        waiting.place.set_exception(place)
    else:
        waiting.place.set_result(place)

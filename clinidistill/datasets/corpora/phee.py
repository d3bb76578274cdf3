"""PHEE: sentences of case reports with the participants of pharmacovigilance events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from clinidistill.datasets.corpora.archives import PublishedFiles
from clinidistill.datasets.corpora.base import Corpus
from clinidistill.datasets.files import Block, OnError, quoted
from clinidistill.datasets.jsonl import JsonLines, json_object
from clinidistill.errors import ClinidistillError, DataError, OptionError
from clinidistill.types import Document, Span

__all__ = ["Phee"]


class Phee(Corpus):
    """PHEE: 4,827 sentences of MEDLINE case reports, 2,898 to train, 961 to develop, 968 to test (the official splits).

    Get the repository https://github.com/ZhaoyueSun/PHEE as a folder or zip; ``data/json`` is read. MIT licence. Sun et
    al. 2022, https://aclanthology.org/2022.emnlp-main.376/. A document's id is its PubMed id and the sentence's number.

    Read are the participants of events: ``Drug`` (of treatments) is ``medication``, ``Disorder`` (of treatments and
    subjects) is ``disease``, and ``Effect`` (of adverse events) is ``adverse_event`` by default.

    **What is unmarked was not looked at**: a drug that takes no part in an event has no mark. By default documents
    therefore cover no label: their marks can be read, but they neither train nor score. ``unmarked="negative"`` takes
    all else as no mention; what is learnt or scored is then *participants of events*, and the precision of a system
    that finds all mentions comes out too low.

    Args:
        path, split, labels, on_error, complete: see :class:`~clinidistill.datasets.corpora.base.Corpus`.
        unmarked: ``"unknown"``, or ``"negative"`` to cover the labels.
        fragments: ``"join"`` discontinuous mentions to one from first to last, or ``"keep"`` them.

    Raises:
        OptionError: if `unmarked` or `fragments` is none of these; and as `Corpus`.
    """

    homepage = "https://github.com/ZhaoyueSun/PHEE"
    agreement = "MIT licence"
    names = {"Drug": "medication", "Disorder": "disease", "Effect": "adverse_event"}
    needs = {split: {f"json/{split}.json": 1} for split in ("train", "dev", "test")}
    sizes = {"train": 2898, "dev": 961, "test": 968}
    is_deidentified = True  # published

    def __init__(
        self,
        path: str | Path,
        split: str | None = None,
        labels: Mapping[str, str] | None = None,
        on_error: OnError = "raise",
        complete: bool = True,
        *,
        unmarked: Literal["unknown", "negative"] = "unknown",
        fragments: Literal["join", "keep"] = "join",
    ):
        if unmarked not in ("unknown", "negative") or fragments not in ("join", "keep"):
            raise OptionError("unmarked is 'unknown' or 'negative', fragments is 'join' or 'keep'")
        super().__init__(path, split, labels, on_error, complete)
        self.unmarked = unmarked
        self.fragments = fragments

    def readers(self, split: str, files: PublishedFiles) -> Iterable[JsonLines]:
        covers = frozenset[str]() if self.unmarked == "unknown" else None
        return (_Sentences(path, covers, self.fragments) for path in files.paths(f"json/{split}.json"))


class _Sentences(JsonLines):
    def __init__(self, path: Path, covers: frozenset[str] | None, fragments: str):
        super().__init__(path)
        self._covers = covers
        self._fragments = fragments

    def parse(self, block: Block) -> Document:
        ((_, line),) = block
        data = json_object(line)
        try:
            key, text = data["id"], data["context"]
            spans = list(_participants(data, text))
        except ClinidistillError:
            raise
        except (LookupError, TypeError, AttributeError, ValueError):
            raise DataError("no PHEE sentence: want id, context, and annotations with events") from None
        if self._fragments == "join":
            spans = [replace(span, fragments=()) for span in spans]
        return Document(key, text, tuple(dict.fromkeys(spans)), self._covers)


def _participants(data: Mapping[str, Any], text: str) -> Iterator[Span]:
    for event in (event for annotation in data["annotations"] for event in annotation["events"]):
        treatment, subject = event.get("Treatment", {}), event.get("Subject", {})
        yield from _spans("Drug", treatment.get("Drug"), text)
        yield from _spans("Disorder", treatment.get("Disorder"), text)
        yield from _spans("Disorder", subject.get("Disorder"), text)
        if event["event_type"] == "Adverse_event":  # a treatment's good effect is none
            yield from _spans("Effect", event.get("Effect"), text)


def _spans(label: str, argument: Mapping[str, Any] | None, text: str) -> Iterator[Span]:
    """An argument's mentions, each of which has one place or several."""
    if argument is None:
        return
    for quotes, starts in zip(argument["text"], argument["start"], strict=True):
        places = sorted((start, start + len(quote), quote) for start, quote in zip(starts, quotes, strict=True))
        fragments = tuple((start, end) for start, end, _ in places)
        span = Span(fragments[0][0], fragments[-1][1], label, fragments=fragments)
        yield quoted(text, span, " ".join(quote for *_, quote in places))

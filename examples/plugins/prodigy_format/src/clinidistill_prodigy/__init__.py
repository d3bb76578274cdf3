"""Prodigy's JSON lines as a clinidistill dataset format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clinidistill as cd
from clinidistill.datasets.files import Block, Line, LineFormat

__all__ = ["Prodigy"]


class Prodigy(LineFormat):
    """Prodigy's examples: ``{"text": …, "spans": [{"start": …, "end": …, "label": …}], "answer": "accept"}``, one a line.

    Offsets count code points. An example that was not accepted (``"reject"``, ``"ignore"``) covers nothing: its spans
    are left out, and their absence is no evidence either. The id of a note stands in its ``meta``; a note without one
    goes by its place. ``covers`` stands beside the text, where Prodigy keeps it.

    Args:
        path: a file, a folder, or a glob; ``.gz`` too.
        labels: renames and selects labels; None keeps all as they are.
        on_error: ``"raise"``, or ``"skip"`` to leave faulty notes out.
    """

    suffixes = (".prodigy.jsonl", ".prodigy.jsonl.gz")

    def split_lines(self, lines: Iterator[Line], path: Path) -> Iterator[list[Line]]:
        return ([line] for line in lines if line[1].strip())

    def parse(self, block: Block) -> cd.Document:
        ((_, line),) = block
        try:
            data = json.loads(line)
            text, answer, meta = data["text"], data.get("answer", "accept"), dict(data.get("meta") or {})
            id_ = meta.pop("id", f"{block.name}-{block.number}")
            bare = cd.Document(str(id_), text, meta=meta)
            if answer != "accept":
                return self.select(bare.with_spans([], covers=[]))
            spans = [cd.Span(each["start"], each["end"], each["label"]) for each in data.get("spans") or []]
            return self.select(bare.with_spans(spans, data.get("covers")))
        except (KeyError, TypeError, AttributeError, RecursionError, json.JSONDecodeError) as error:
            raise cd.errors.DataError(f"no example of Prodigy's ({type(error).__name__})") from None

    @classmethod
    def render(cls, document: cd.Document) -> str:
        if any(span.fragments for span in document.spans):
            raise cd.errors.DataError(f"document {document.id!r} has a mention with gaps, which Prodigy cannot say")
        spans = [{"start": span.start, "end": span.end, "label": span.label} for span in document.spans]
        data: dict[str, Any] = {"text": document.text, "spans": spans, "answer": "accept"}
        if document.covers is not None:
            data["covers"] = sorted(document.covers)
        return json.dumps({**data, "meta": {**document.meta, "id": document.id}}) + "\n"

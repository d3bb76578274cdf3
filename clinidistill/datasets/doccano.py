"""doccano: JSON lines of texts with labelled spans, as its sequence-labelling projects import and export them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clinidistill.datasets.files import Block, Line, LineFormat, OnError, encode
from clinidistill.datasets.jsonl import json_object
from clinidistill.datasets.offsets import OffsetMap, OffsetUnit, check_unit, refuse_shifted
from clinidistill.datasets.travelling import contiguous, json_line, packed, unpacked
from clinidistill.errors import DataError
from clinidistill.types import Document, Span

__all__ = ["Doccano"]

_LABELS = ("label", "labels", "entities")
_KEYS = frozenset({"id", "text", "covers", "meta", *_LABELS})


class Doccano(LineFormat):
    """doccano's JSON lines: ``{"id": …, "text": …, "label": [[start, end, label], …]}``.

    The key ``labels`` of older versions is read as well, and so are the ``entities`` of projects with relations,
    objects with ``label``, ``start_offset`` and ``end_offset``. Relations and comments go into ``meta``.

    Writing puts ``covers`` and ``meta`` beside the text; doccano keeps such keys and hands them back. It writes
    offsets in UTF-16 code units.

    Args:
        path: a file, a folder, or a glob.
        labels: see :class:`FileDataset`.
        on_error: see :class:`FileDataset`.
        offsets: what offsets count: ``"utf-16"`` code units as doccano does, ``"graphemes"`` for a project with *Count
            grapheme clusters as one character*, ``"code-points"`` for a file that another program wrote.
        check: whether a document is refused whose spans cut words, and would not if offsets counted something else;
            doccano's files quote no mentions to go by.

    Raises:
        OptionError: if `offsets` is none of these.

    The format: https://doccano.github.io/doccano/tutorial/; what it counts: https://github.com/doccano/doccano/issues/2290
    """

    suffixes = (".doccano.jsonl", ".doccano.jsonl.gz")

    def __init__(
        self,
        path: str | Path,
        labels: Mapping[str, str] | None = None,
        on_error: OnError = "raise",
        offsets: OffsetUnit = "utf-16",
        *,
        check: bool = True,
    ):
        check_unit(offsets)
        super().__init__(path, labels, on_error)
        self.offsets = offsets
        self.check = check

    def split_lines(self, lines: Iterator[Line], path: Path) -> Iterator[list[Line]]:
        return ([line] for line in lines if line[1].strip())

    def parse(self, block: Block) -> Document:
        ((_, line),) = block
        data = json_object(line)
        key, text = data.get("id"), data.get("text")
        if isinstance(key, bool) or not isinstance(key, (str, int)) or not isinstance(text, str):
            raise DataError("a line needs 'id', a string or an integer, and 'text', a string")
        found = next((data[name] for name in _LABELS if name in data), None)
        if not isinstance(found, list):
            raise DataError(f"a line needs one of {', '.join(_LABELS)}, a list of labelled spans")
        offsets, bare = OffsetMap(text, self.offsets), unpacked(str(key), text, data, _KEYS)
        items = [_item(each) for each in found]
        spans = [_span(*item, offsets) for item in items]
        if self.check:
            refuse_shifted(text, [(start, end) for start, end, _ in items], self.offsets)
        return self.select(bare.with_spans(dict.fromkeys(spans), bare.covers))

    @classmethod
    def render(cls, document: Document) -> str:
        if not document.text:
            raise DataError(f"document {document.id!r} is empty, which doccano does not take; leave it out")
        offsets, rows = OffsetMap(document.text, "utf-16"), []
        for span in document.spans:
            contiguous(document, span, "doccano")
            rows.append([offsets.outward(span.start), offsets.outward(span.end), span.label])
        encode(document.text, document)  # refuses lone surrogates
        # doccano guesses the encoding of what it imports, so it gets ASCII.
        return json_line(packed(document, _KEYS) | {"label": rows}, document, ascii_only=True) + "\n"


def _item(item: Any) -> tuple[int, int, str]:
    if isinstance(item, dict):
        item = [item.get(name) for name in ("start_offset", "end_offset", "label")]
    if not isinstance(item, list) or len(item) != 3 or any(type(each) is not int for each in item[:2]):
        raise DataError("a labelled span reads [start, end, label], or {start_offset, end_offset, label}")
    return item[0], item[1], item[2]


def _span(start: int, end: int, label: str, offsets: OffsetMap) -> Span:
    if not 0 <= start < end:
        return Span(start, end, label)  # which says what is wrong
    return Span(offsets.inward(start), offsets.inward(end), label)

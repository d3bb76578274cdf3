"""What goes through an annotation tool and back beside a text: its id, what it covers, its meta."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from typing import Any

from clinidistill.errors import DataError
from clinidistill.types import Document, Span

__all__ = ["contiguous", "json_line", "packed", "unpacked"]


def packed(document: Document, ours: Set[str]) -> dict[str, Any]:
    """Id, text, ``covers`` and ``meta`` as one flat object, as tools keep and show such; `ours` are the format's keys.

    What of ``meta`` has one of their names is nested under ``"meta"``.
    """
    nested = {key: value for key, value in document.meta.items() if key in ours}
    data = {"id": document.id, "text": document.text}
    data |= {key: value for key, value in document.meta.items() if key not in ours}
    covers = {} if document.covers is None else {"covers": sorted(document.covers)}
    return data | covers | ({"meta": nested} if nested else {})


def unpacked(key: str, text: str, data: Mapping[str, Any], ours: Set[str]) -> Document:
    """Inverse of :func:`packed`: a document without spans.

    Raises:
        SpanError: if ``covers`` or ``meta`` are of the wrong kind, or the id is empty.
    """
    rest = {name: value for name, value in data.items() if name not in ours}
    meta = data.get("meta")
    if isinstance(meta, Mapping):
        rest |= meta
    elif meta is not None:
        rest["meta"] = meta
    return Document.from_dict({"id": key, "text": text, "covers": data.get("covers"), "meta": rest})


def contiguous(document: Document, span: Span, tool: str) -> None:
    """Refuse a discontinuous span, which annotation tools do not know.

    Raises:
        DataError: with the document's id, the span's place and the cure.
    """
    if span.fragments:
        raise DataError(
            f"document {document.id!r}: {tool} cannot say the discontinuous span [{span.start}, {span.end}); "
            "join its fragments, or save as brat or jsonl"
        )


def json_line(data: Mapping[str, Any], document: Document, *, ascii_only: bool = False) -> str:
    """One line of JSON.

    Raises:
        DataError: if the document's ``meta`` is not JSON.
    """
    try:
        return json.dumps(data, ensure_ascii=ascii_only, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"document {document.id!r} has meta that is not JSON ({type(error).__name__})") from None

"""Documents as rows of columns: what Parquet files and Hugging Face datasets share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from clinidistill.datasets.files import each_once, encode, quoted
from clinidistill.datasets.travelling import json_line
from clinidistill.errors import ConfigError, DataError, SpanError
from clinidistill.types import Document, Span

__all__ = ["ROWS", "named", "pyarrow", "record_batches", "row_document", "row_id", "schema", "span_column"]

ROWS = 1024
"""How many are read, and written, together."""

_FIELDS = ("start", "end", "label", "score", "source", "code", "fragments", "status")


def pyarrow() -> Any:
    """The library.

    Raises:
        ConfigError: if it is not installed.
    """
    try:
        import pyarrow
    except ImportError:
        raise ConfigError("Parquet needs pyarrow: pip install 'clinidistill[parquet]'") from None
    return pyarrow


def schema() -> Any:
    """The Arrow schema of documents: all of them, ``meta`` as JSON."""
    arrow = pyarrow()
    text, offset = arrow.string(), arrow.int64()
    kinds = dict.fromkeys(_FIELDS, text) | {"start": offset, "end": offset, "score": arrow.float64()}
    kinds["fragments"] = arrow.list_(arrow.list_(offset))
    spans = arrow.list_(arrow.struct(kinds))
    return arrow.schema({"id": text, "text": text, "spans": spans, "covers": arrow.list_(text), "meta": text})


def record_batches(documents: Iterable[Document]) -> Iterator[Any]:
    """Documents as Arrow record batches of :func:`schema`, streaming.

    Raises:
        DataError: if two have one id, a string is not UTF-8, or ``meta`` is not JSON.
    """
    arrow, kinds = pyarrow(), schema()
    unique = each_once(documents)
    while chunk := list(islice(unique, ROWS)):
        columns = [
            arrow.array([encode(document.id, document) for document in chunk], arrow.string()),
            arrow.array([encode(document.text, document) for document in chunk], arrow.string()),
            span_column([document.spans for document in chunk]),
            arrow.array([None if d.covers is None else sorted(d.covers) for d in chunk], kinds.field("covers").type),
            arrow.array([json_line(d.meta, d, ascii_only=True) if d.meta else None for d in chunk], arrow.string()),
        ]
        yield arrow.RecordBatch.from_arrays(columns, schema=kinds)


def span_column(spans: Sequence[Sequence[Span]]) -> Any:
    """The spans of some documents as an Arrow array."""
    rows = [[{name: getattr(span, name) for name in _FIELDS} | _no_parts(span) for span in each] for each in spans]
    return pyarrow().array(rows, schema().field("spans").type)


def _no_parts(span: Span) -> dict[str, Any]:
    return {} if span.fragments else {"fragments": None}


def row_id(value: object, column: str) -> str:
    """The id in a row.

    Raises:
        DataError: if it is none.
    """
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise DataError(f"{column!r} holds no id, which is text or a whole number")
    return str(value)


def named(value: object, names: Sequence[str]) -> str:
    """A class's name, from itself or from its number.

    Raises:
        DataError: if it is neither.
    """
    if type(value) is int and 0 <= value < len(names):
        return names[value]
    if not isinstance(value, str):
        what = value if type(value) is int else f"a {type(value).__name__}"  # what it holds may be the note
        raise DataError(f"{what} stands for no class; cast the column to a ClassLabel, or to names")
    return value


def row_document(
    key: str, text: object, row: Mapping[str, Any], columns: Mapping[str, str | None], names: Sequence[str] = ()
) -> Document:
    """The document in a row of text with spans.

    Args:
        key: its id.
        text: its text; null is an empty one.
        row: the row.
        columns: the names of the columns ``text``, ``spans``, ``covers`` and ``meta``; None where there is none.
        names: the labels, where spans have their numbers.

    Raises:
        DataError: if a column holds something else.
        SpanError: if a span does not fit, or quotes another text.
    """
    if not isinstance(text, str | None):
        raise DataError(f"{columns['text']!r} holds no text but {type(text).__name__}")
    spans = None if columns["spans"] is None else row[columns["spans"]]
    covers = None if columns["covers"] is None else row[columns["covers"]]
    meta = None if columns["meta"] is None else row[columns["meta"]]
    text = text or ""
    if spans is None:
        return Document(key, text, (), frozenset(), _meta(meta))  # nobody looked for anything
    found = tuple(dict.fromkeys(_span(each, text, names) for each in _structs(spans)))
    return Document(key, text, found, None if covers is None else frozenset(covers), _meta(meta))


def _structs(spans: Any) -> Iterator[Mapping[str, Any]]:
    """A list of structs, which some versions of ``datasets`` hand out as a struct of lists."""
    if isinstance(spans, Mapping):
        return (dict(zip(spans, each, strict=True)) for each in zip(*spans.values(), strict=True))
    if not isinstance(spans, list) or not all(isinstance(each, Mapping) for each in spans):
        raise DataError("the column of spans holds no lists of structs with start, end and label")
    return iter(spans)


def _span(data: Mapping[str, Any], text: str, names: Sequence[str]) -> Span:
    fields = {name: data[name] for name in _FIELDS if data.get(name) is not None}
    if "label" in fields:
        fields["label"] = named(fields["label"], names)
    span = Span.from_dict(fields)
    quote = data.get("text")
    if isinstance(quote, str):
        return quoted(text, span, quote)
    if span.end > len(text):
        raise SpanError(f"span [{span.start}, {span.end}) reaches outside the text of {len(text)} characters")
    return span


def _meta(value: object) -> dict[str, Any]:
    """``meta`` as a struct, as JSON, or another program's text."""
    try:
        data = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        data = value
    if isinstance(data, Mapping):
        return dict(data)
    return {} if data is None else {"meta": data}

"""JSON lines: our own format, which keeps everything."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from clinidistill.datasets.files import Block, Line, LineFormat, OnError
from clinidistill.errors import DataError, OptionError
from clinidistill.types import Document

__all__ = ["JsonLines", "json_object"]

_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


class JsonLines(LineFormat):
    """JSON lines: one document a line, as :meth:`Document.to_dict` makes it; keeps everything.

    Keys that are not ours go into ``meta``; blank lines are ignored.

    Args:
        path: a file, a folder, or a glob.
        labels: see :class:`FileDataset`.
        on_error: see :class:`FileDataset`.
        id_fields: the keys whose values, strings or integers, joined by ``/`` make a document's id; for files by
            other programs, say ``["split", "id"]`` where ids repeat from split to split. The file's own ``id`` is
            then in ``meta``.

    Raises:
        OptionError: if `id_fields` is empty.
    """

    suffixes = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")

    def __init__(
        self,
        path: str | Path,
        labels: Mapping[str, str] | None = None,
        on_error: OnError = "raise",
        id_fields: Sequence[str] = ("id",),
    ):
        if not id_fields:
            raise OptionError("id_fields needs at least one key")
        super().__init__(path, labels, on_error)
        self.id_fields = tuple(id_fields)

    def split_lines(self, lines: Iterator[Line], path: Path) -> Iterator[list[Line]]:
        return ([line] for line in lines if line[1].strip())

    def parse(self, block: Block) -> Document:
        ((_, line),) = block
        data = json_object(line)
        if self.id_fields != ("id",):
            own, data["id"] = data.get("id"), "/".join(_id_part(data, key) for key in self.id_fields)
            meta = data.get("meta") or {}
            if own is not None and isinstance(meta, dict):
                data["meta"] = {"id": own, **meta}
        try:
            return self.select(Document.from_dict(data))
        except OverflowError:
            raise DataError("a span's score must lie in [0, 1]") from None

    @classmethod
    def render(cls, document: Document) -> str:
        data = document.to_dict()
        try:
            line = json.dumps(data, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise DataError(f"document {document.id!r} has meta that is not JSON ({type(error).__name__})") from None
        if _SURROGATE_PAIR.search(line):
            raise DataError(
                f"document {document.id!r} holds surrogate pairs, which JSON reads as one character each, so that "
                "offsets would shift; decode the text as UTF-16 with surrogatepass first"
            )
        if _SURROGATE.search(line):
            line = json.dumps(data)  # UTF-8 cannot hold them; escapes can
        return line + "\n"


def json_object(line: str) -> dict[str, Any]:
    """The object that a line holds.

    Raises:
        DataError: with the column, if it is no JSON or no object.
    """
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"no JSON at column {error.colno}: {error.msg}") from None
    except (ValueError, RecursionError):
        raise DataError("a number too long or nesting too deep to read") from None
    if not isinstance(data, dict):
        raise DataError(f"a line must be one object, not a {type(data).__name__}")
    return data


def _id_part(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise DataError(f"the id needs {key!r}, a string or an integer")
    return str(value)

"""PubTator: titles and abstracts, each followed by its mentions; the format of BC5CDR and the NCBI disease corpus."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from clinidistill.datasets.files import Block, Line, LineFormat, flat, located, quoted
from clinidistill.errors import DataError
from clinidistill.types import Document, Span

__all__ = ["PubTator"]

_PASSAGE = re.compile(r"([^|\t]+)\|([ta])\|(.*)", re.DOTALL)
_ID = re.compile(r"(?!\ufeff)[^|\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
_OFFSET = re.compile(r"[0-9]{1,15}")
_RELATION = re.compile(r"[A-Za-z][\w-]*")
_NO_CODE = {"", "-", "-1"}


class PubTator(LineFormat):
    """PubTator: a title, an abstract, and a line a mention, a blank line between documents.

    The text is the title, a line feed, and the abstract (only the title where the abstract is empty). The sixth column
    is the code (``-1`` and empty: none); further columns and relations are passed over.

    The format: https://www.ncbi.nlm.nih.gov/CBBresearch/Lu/Demo/tmTools/Format.html
    """

    suffixes = (".pubtator", ".PubTator", ".pubtator.gz", ".PubTator.gz")

    def split_lines(self, lines: Iterator[Line], path: Path) -> Iterator[list[Line]]:
        block: list[Line] = []
        for line in lines:
            if line[1].strip():
                block.append(line)
            elif block:
                yield block
                block = []
        if block:
            yield block

    def parse(self, block: Block) -> Document:
        (first, title_line), *rest = block
        with located(block.path, first):
            key, title = _passage(title_line, "t")
        with located(block.path, rest[0][0] if rest else first):
            second, abstract = _passage(rest[0][1] if rest else "", "a")
            if second != key:
                raise DataError(f"the abstract of {second!r} follows the title of {key!r}")
        text = f"{title}\n{abstract}" if abstract else title
        spans = []
        for number, line in rest[1:]:
            with located(block.path, number):
                span = _span(line.split("\t"), key, text)
                if span is not None:
                    spans.append(span)
        return self.select(Document(key, text, tuple(spans)))

    @classmethod
    def render(cls, document: Document) -> str:
        if not _ID.fullmatch(document.id):
            raise DataError(
                f"PubTator cannot say the id {document.id!r}: no |, tab, line break or byte order mark in ids"
            )
        title, feed, abstract = document.text.partition("\n")
        if feed and not abstract:
            title += " "  # a feed with nothing after it would be lost, and a span over it with it
        lines = [f"{document.id}|t|{flat(title)}", f"{document.id}|a|{flat(abstract)}"]
        for span in document.spans:
            if span.fragments:
                raise DataError(
                    f"document {document.id!r}: PubTator cannot say the discontinuous span [{span.start}, {span.end}); "
                    "join its fragments, or save as brat or jsonl"
                )
            code = span.code or "-1"
            for what, value in (("label", span.label), ("code", code)):
                if value != flat(value).strip():
                    raise DataError(
                        f"document {document.id!r}: {what} {value!r} has tabs or outer white space; rename it"
                    )
            mention = flat(document.mention(span))
            lines.append("\t".join([document.id, str(span.start), str(span.end), mention, span.label, code]))
        return "\n".join(lines) + "\n\n"


def _passage(line: str, kind: str) -> tuple[str, str]:
    """Id and text of a title or abstract line."""
    match = _PASSAGE.fullmatch(line)
    if match is None or match[2] != kind:
        raise DataError("a document begins with two lines, ID|t|title and ID|a|abstract")
    return match[1], match[3]


def _span(columns: list[str], key: str, text: str) -> Span | None:
    """The mention of a line; None for a relation."""
    if columns[0] != key:
        raise DataError(f"this line belongs to {key!r} but has another id; documents end with a blank line")
    if len(columns) >= 4 and _RELATION.fullmatch(columns[1]):
        return None
    if len(columns) < 5 or not all(map(_OFFSET.fullmatch, columns[1:3])):
        raise DataError("want ID, start, end, mention, label and code, tabs between them")
    start, end, mention, label, code = [*columns, ""][1:6]
    span = Span(int(start), int(end), label.strip(), code=None if code.strip() in _NO_CODE else code.strip())
    return quoted(text, span, mention)

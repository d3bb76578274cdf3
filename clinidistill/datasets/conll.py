"""CoNLL columns: a token a line, its IOB2 tag last, blank lines between sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote, unquote

from clinidistill.datasets.files import Block, Line, LineFormat, OnError, located
from clinidistill.errors import DataError, OptionError
from clinidistill.types import Document, Span

__all__ = ["Conll"]

_START = "-DOCSTART-"
_STARTS = re.compile(rb"-DOCSTART-(?:[ \t\r\n]|$)")
_TAG = re.compile(r"O|([BI])-(.+)", re.DOTALL)
_TOKENS = {"tokens": "whitespace"}
"""Marks, in ``meta``, text that is tokens joined by spaces, and is to be cut there again."""

_WHITE = re.compile(r"\s")
_UNSAFE = re.compile(r"[%\s]")
_BY_SPACE = re.compile(r"[^ \t\n]+")
_BY_WORD = re.compile(r"\w+|[^\w\s]")


class Conll(LineFormat):
    """CoNLL columns: a token a line, its IOB2 tag last, blank lines between sentences.

    Columns are parted by tabs or, in a line without tabs, by spaces. ``-DOCSTART-`` begins a document; in a file that
    does not begin with it each block between blank lines is a document. The text is the tokens joined by one space, the
    sentences by a line feed. An ``I-x`` that continues nothing begins a mention, as in conlleval. A document's id is
    what our own writer put after ``-DOCSTART-``, else the file's name and the document's number in it.

    Args:
        path: a file, a folder, or a glob.
        labels: see :class:`FileDataset`.
        on_error: see :class:`FileDataset`.
        column: which column holds the tag, counted from 0, or from the end if negative.

    Raises:
        OptionError: if `column` is 0, which holds the token.

    The format: https://www.clips.uantwerpen.be/conll2003/ner/
    """

    suffixes = (".conll", ".iob2", ".bio", ".conll.gz", ".iob2.gz", ".bio.gz")

    def __init__(
        self,
        path: str | Path,
        labels: Mapping[str, str] | None = None,
        on_error: OnError = "raise",
        column: int = -1,
    ):
        if column == 0:
            raise OptionError("column 0 holds the token; the tag needs another")
        super().__init__(path, labels, on_error)
        self.column = column

    def split_lines(self, lines: Iterator[Line], path: Path) -> Iterator[list[Line]]:
        block: list[Line] = []
        explicit: bool | None = None  # whether the file names its documents' starts; its first token line decides
        for number, raw in lines:
            starts, blank = _STARTS.match(raw) is not None, not raw.strip()
            if explicit is None and not blank:
                explicit = starts
            if starts and not explicit:
                raise DataError(f"{_START} after tokens without one; begin the file with it", path=path, line=number)
            if block and (starts if explicit else blank):
                yield block
                block = []
            if block or not blank:
                block.append((number, raw))
        if block:
            yield block

    def parse(self, block: Block) -> Document:
        key, ended = f"{block.name}-{block.number}", True
        tokens: list[str] = []
        mentions: list[tuple[int, int, str]] = []
        end = -1  # of the last token
        for number, line in block:
            columns = _columns(line)
            if not columns:
                ended = True
                continue
            with located(block.path, number):
                if columns[0] == _START:
                    key = _written_id(columns, key)
                    continue
                token, prefix, label = self._token(columns)
            if tokens:
                tokens.append("\n" if ended else " ")
            tokens.append(token)
            before, start, end = end, end + 1, end + 1 + len(token)
            if prefix == "I" and not ended and mentions and mentions[-1][1:] == (before, label):
                mentions[-1] = (mentions[-1][0], end, label)
            elif prefix:
                mentions.append((start, end, label))
            ended = False
        spans = tuple(Span(*mention) for mention in mentions)
        return self.select(Document(key, "".join(tokens), spans, meta=_TOKENS))

    def _token(self, columns: list[str]) -> tuple[str, str, str]:
        """Token, prefix and label of a line; prefix and label empty outside mentions."""
        at = self.column if self.column > 0 else len(columns) + self.column
        if not 0 < at < len(columns):
            raise DataError(f"{len(columns)} columns, none of them column {self.column}, the tag")
        token = " ".join(filter(None, columns[0].split(" ")))
        if not token:
            raise DataError("the first column holds no token")
        match = _TAG.fullmatch(columns[at])
        if match is None:
            raise DataError(f"column {self.column} holds no IOB2 tag; want O, B-label or I-label")
        return token, match[1] or "", match[2] or ""

    @classmethod
    def render(cls, document: Document) -> str:
        """The document as tokens; text that is no token (spaces, line breaks) is not kept as it was.

        Raises:
            DataError: if spans overlap, are discontinuous or hold no token, or a label has white space.
        """
        _refuse_unsayable(document)
        pattern = _BY_SPACE if document.meta.items() >= _TOKENS.items() else _BY_WORD
        escaped_id = _UNSAFE.sub(lambda match: quote(match[0]), document.id)
        lines = [f"{_START}\tid={escaped_id}\tO\n\n"]
        last = 0
        for start, end, label in _stretches(document):
            tag = f"B-{label}" if label else "O"
            for match in pattern.finditer(document.text, start, end):
                if match[0] == _START:
                    raise DataError(f"document {document.id!r}: the token at {match.start()} would begin a document")
                if not tag.startswith("I-") and "\n" in document.text[last : match.start()]:
                    lines.append("\n")
                lines.append(f"{match[0]}\t{tag}\n")
                tag, last = f"I-{label}" if label else "O", match.end()
            if tag.startswith("B-"):
                raise DataError(f"document {document.id!r}: span [{start}, {end}) holds white space only; drop it")
        return "".join(lines) + "\n"


def _columns(line: str) -> list[str]:
    line = line.rstrip(" \t\r\v\f")
    return line.split("\t") if "\t" in line else list(filter(None, line.split(" ")))


def _written_id(columns: list[str], default: str) -> str:
    """The id that :meth:`Conll.render` put beside ``-DOCSTART-``, if it did."""
    if not columns[1:] or not columns[1].startswith("id="):
        return default
    try:
        return unquote(columns[1].removeprefix("id="), errors="strict")
    except UnicodeDecodeError:
        raise DataError("the id is not percent-encoded UTF-8") from None


def _refuse_unsayable(document: Document) -> None:
    cure = "resolve it first, or save as brat or jsonl, which can"
    for span in document.spans:
        if span.fragments:
            place = f"[{span.start}, {span.end})"
            raise DataError(f"document {document.id!r}: IOB2 cannot say the discontinuous span {place}; {cure}")
        if _WHITE.search(span.label):
            raise DataError(
                f"document {document.id!r}: label {span.label!r} has white space, which parts columns; rename it"
            )
    for left, right in pairwise(document.spans):
        if left.overlaps(right):
            places = f"[{left.start}, {left.end}) and [{right.start}, {right.end})"
            raise DataError(f"document {document.id!r}: IOB2 cannot say the overlap of spans {places}; {cure}")


def _stretches(document: Document) -> Iterator[tuple[int, int, str]]:
    """The text cut at the edges of spans: start, end, and label, which is empty between spans."""
    at = 0
    for span in document.spans:
        yield at, span.start, ""
        yield span.start, span.end, span.label
        at = span.end
    yield at, len(document.text), ""

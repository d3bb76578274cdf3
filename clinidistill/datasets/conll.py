"""CoNLL columns: a token a line, its IOB, IOBES or BILOU tag last, blank lines between sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import get_args
from urllib.parse import quote, unquote

from clinidistill.datasets.atomic import replacing_file
from clinidistill.datasets.files import Block, Line, LineFormat, OnError, each_once, encode, located
from clinidistill.datasets.tags import TOKENS, Scheme, TagReader, tagged
from clinidistill.errors import DataError, OptionError
from clinidistill.types import Document

__all__ = ["Conll"]

_START = "-DOCSTART-"
_STARTS = re.compile(rb"-DOCSTART-(?:[ \t\r\n]|$)")
_UNSAFE = re.compile(r"[%\s]")


class Conll(LineFormat):
    """CoNLL columns: a token a line, its IOB, IOBES or BILOU tag last, blank lines between sentences.

    Columns are parted by tabs or, in a line without tabs, by spaces. ``-DOCSTART-`` begins a document; in a file that
    does not begin with it each block between blank lines is a document. The text is the tokens joined by one space, the
    sentences by a line feed. An ``I-x`` that continues nothing begins a mention, as in conlleval, and so do ``E-x`` and
    ``L-x``. A document's id is what our own writer put after ``-DOCSTART-``, else the file's name and the document's
    number in it.

    Writing makes IOB2, or what the file's ending says: ``.iobes`` or ``.bilou``.

    Args:
        path: a file, a folder, or a glob.
        labels: see :class:`FileDataset`.
        on_error: see :class:`FileDataset`.
        column: which column holds the tag, counted from 0, or from the end if negative.
        scheme: the prefixes that tags may have: ``"iob"`` (IOB1 and IOB2), ``"iobes"``, ``"bilou"``, or ``"auto"`` for
            any of these, though not ``E`` or ``S`` and ``L`` or ``U`` in one document.

    Raises:
        OptionError: if `column` is 0, which holds the token, or `scheme` is none of these.

    The format: https://www.clips.uantwerpen.be/conll2003/ner/; BILOU: https://aclanthology.org/W09-1119/
    """

    suffixes = tuple(
        ending + packed for packed in ("", ".gz") for ending in (".conll", ".iob2", ".bio", ".iobes", ".bilou")
    )

    def __init__(
        self,
        path: str | Path,
        labels: Mapping[str, str] | None = None,
        on_error: OnError = "raise",
        column: int = -1,
        scheme: Scheme = "auto",
    ):
        if column == 0:
            raise OptionError("column 0 holds the token; the tag needs another")
        if scheme not in get_args(Scheme):
            raise OptionError(f"scheme must be one of {', '.join(map(repr, get_args(Scheme)))}, not {scheme!r}")
        super().__init__(path, labels, on_error)
        self.column = column
        self.scheme = scheme

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
        key, ended = f"{block.name}-{block.number}", True  # the sentence
        tokens, tags, end = list[str](), TagReader(self.scheme), -1  # of the last token
        for number, line in block:
            columns = _columns(line)
            if not columns:
                ended = True
                continue
            with located(block.path, number):
                if columns[0] == _START:
                    key = _written_id(columns, key)
                    continue
                if ended:
                    tags.end_sentence()
                token, tag = self._token(columns)
                try:
                    tags.read(tag, end + 1, end + 1 + len(token))
                except DataError as error:
                    raise DataError(f"column {self.column} holds {error.reason}") from None
            if tokens:
                tokens.append("\n" if ended else " ")
            tokens.append(token)
            end += 1 + len(token)
            ended = False
        return self.select(Document(key, "".join(tokens), tags.spans, meta=TOKENS))

    def _token(self, columns: list[str]) -> tuple[str, str]:
        """Token and tag of a line."""
        at = self.column if self.column > 0 else len(columns) + self.column
        if not 0 < at < len(columns):
            raise DataError(f"{len(columns)} columns, none of them column {self.column}, the tag")
        token = " ".join(filter(None, columns[0].split(" ")))
        if not token:
            raise DataError("the first column holds no token")
        return token, columns[at]

    @classmethod
    def write(cls, documents: Iterable[Document], path: str | Path) -> int:
        ending = Path(path).name.removesuffix(".gz").rpartition(".")[2]
        scheme = ending if ending in ("iobes", "bilou") else "iob"
        count = 0
        with replacing_file(path) as file:
            for document in each_once(documents):
                file.write(encode(cls.render(document, scheme), document))
                count += 1
        return count

    @classmethod
    def render(cls, document: Document, scheme: str = "iob") -> str:
        """The document as tokens; text that is no token (spaces, line breaks) is not kept as it was.

        Raises:
            DataError: if spans overlap, are discontinuous or hold no token, or a label has white space.
        """
        escaped_id = _UNSAFE.sub(lambda match: quote(match[0]), document.id)
        lines = [f"{_START}\tid={escaped_id}\tO\n\n"]
        for start, token, tag, begins in tagged(document, scheme):
            if token == _START:
                raise DataError(f"document {document.id!r}: the token at {start} would begin a document")
            lines.append("\n" * begins + f"{token}\t{tag}\n")
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

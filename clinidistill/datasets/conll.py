"""CoNLL columns: a token a line, its IOB, IOBES or BILOU tag last, blank lines between sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import quote, unquote

from clinidistill.datasets.atomic import replacing_file
from clinidistill.datasets.files import Block, Line, LineFormat, OnError, each_once, encode, located
from clinidistill.errors import DataError, OptionError
from clinidistill.types import Document, Span

__all__ = ["Conll", "Scheme"]

Scheme = Literal["auto", "iob", "iobes", "bilou"]
"""The tags' prefixes: ``B I`` with ``iob`` (1 and 2), and also those that end mentions: ``E S``, or ``L U``."""

_START = "-DOCSTART-"
_STARTS = re.compile(rb"-DOCSTART-(?:[ \t\r\n]|$)")
_TAG = re.compile(r"O|([BIESLU])-(.+)", re.DOTALL)
_LAST_ONLY = {"iob": "", "iobes": "ES", "bilou": "LU", "auto": "ESLU"}
"""The prefixes of a mention's last token, of several or the only one, in each scheme."""

_CONTINUES, _CLOSES = frozenset("IEL"), frozenset("ESLU")
_TOKENS = {"tokens": "whitespace"}
"""Marks, in ``meta``, text that is tokens joined by spaces, and is to be cut there again."""

_WHITE = re.compile(r"\s")
_UNSAFE = re.compile(r"[%\s]")
_BY_SPACE = re.compile(r"[^ \t\n]+")
_BY_WORD = re.compile(r"\w+|[^\w\s]")


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
        key, ended, closed = f"{block.name}-{block.number}", True, True  # the sentence, the mention
        tokens: list[str] = []
        mentions: list[tuple[int, int, str]] = []
        end = -1  # of the last token
        scheme: str = self.scheme
        for number, line in block:
            columns = _columns(line)
            if not columns:
                ended = True
                continue
            with located(block.path, number):
                if columns[0] == _START:
                    key = _written_id(columns, key)
                    continue
                token, prefix, label = self._token(columns, scheme)
                scheme = _narrowed(scheme, prefix)
            if tokens:
                tokens.append("\n" if ended else " ")
            tokens.append(token)
            before, start, end = end, end + 1, end + 1 + len(token)
            if prefix in _CONTINUES and not ended and not closed and mentions and mentions[-1][1:] == (before, label):
                mentions[-1] = (mentions[-1][0], end, label)
            elif prefix:
                mentions.append((start, end, label))
            ended, closed = False, prefix in _CLOSES
        spans = tuple(Span(*mention) for mention in mentions)
        return self.select(Document(key, "".join(tokens), spans, meta=_TOKENS))

    def _token(self, columns: list[str], scheme: str) -> tuple[str, str, str]:
        """Token, prefix and label of a line; prefix and label empty outside mentions."""
        at = self.column if self.column > 0 else len(columns) + self.column
        if not 0 < at < len(columns):
            raise DataError(f"{len(columns)} columns, none of them column {self.column}, the tag")
        token = " ".join(filter(None, columns[0].split(" ")))
        if not token:
            raise DataError("the first column holds no token")
        match = _TAG.fullmatch(columns[at])
        prefixes = f"BI{_LAST_ONLY[scheme]}"
        if match is None or (match[1] and match[1] not in prefixes):
            raise DataError(
                f"column {self.column} holds no tag of the scheme {scheme!r}; want O, or a label after one of "
                + ", ".join(f"{prefix}-" for prefix in prefixes)
            )
        return token, match[1] or "", match[2] or ""

    @classmethod
    def write(cls, documents: Iterable[Document], path: str | Path) -> int:
        scheme = Path(path).name.removesuffix(".gz").rpartition(".")[2]
        count = 0
        with replacing_file(path) as file:
            for document in each_once(documents):
                file.write(encode(cls.render(document, scheme if scheme in _LAST_ONLY else "iob"), document))
                count += 1
        return count

    @classmethod
    def render(cls, document: Document, scheme: str = "iob") -> str:
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
            matches = list(pattern.finditer(document.text, start, end))
            for number, match in enumerate(matches):
                if match[0] == _START:
                    raise DataError(f"document {document.id!r}: the token at {match.start()} would begin a document")
                if not (label and number) and "\n" in document.text[last : match.start()]:
                    lines.append("\n")
                tag = f"{_prefix(number, len(matches), scheme)}-{label}" if label else "O"
                lines.append(f"{match[0]}\t{tag}\n")
                last = match.end()
            if label and not matches:
                raise DataError(f"document {document.id!r}: span [{start}, {end}) holds white space only; drop it")
        return "".join(lines) + "\n"


def _narrowed(scheme: str, prefix: str) -> str:
    """The scheme, now that a prefix was seen: ``"auto"`` is decided by the first that only one has."""
    if scheme != "auto" or prefix not in _CLOSES:
        return scheme
    return "iobes" if prefix in "ES" else "bilou"


def _prefix(number: int, count: int, scheme: str) -> str:
    """The prefix of a mention's token, counted from 0.

    >>> [_prefix(number, 3, "bilou") for number in range(3)], _prefix(0, 1, "bilou")
    (['B', 'I', 'L'], 'U')
    """
    last = _LAST_ONLY[scheme]
    if last and number == count - 1:
        return last[count == 1]
    return "I" if number else "B"


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

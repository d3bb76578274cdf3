"""BRAT standoff: a folder of notes (``.txt``), each beside its annotations (``.ann``)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote

from clinidistill.datasets.atomic import replacing_folder
from clinidistill.datasets.files import (
    Block,
    FileDataset,
    OnError,
    decode,
    each_once,
    encode,
    flat,
    located,
    quoted,
    read_lines,
)
from clinidistill.errors import DataError
from clinidistill.types import Document, Span

__all__ = ["Brat"]

_TEXT_BOUND = re.compile(r"(T\S+)\t(\S+) ([0-9]{1,15} [0-9]{1,15}(?:;[0-9]{1,15} [0-9]{1,15})*)\t(.*)", re.DOTALL)
_REFERENCE = re.compile(r"N\S+\tReference (\S+) (\S+:\S+)(?:\t.*)?", re.DOTALL)
_OTHER = re.compile(r"(?:[ERAM]\S+|\*|#\S*)\t\S")
_WHITE = re.compile(r"\s")
_UNSAFE_DOT = re.compile(r"(?:^|(?<=/))\.|\.(?=(?:txt|ann)/)")  # hides or leaves a folder; a folder named as a file
_DATABASE = re.compile(r"(?!code:)[^:]+:.")

_NO_DATABASE = "code:"
"""Stands before a code that names no database, as BRAT asks for one."""


class Brat(FileDataset):
    """BRAT standoff: a folder of ``.txt`` notes, each beside its ``.ann`` annotations.

    A document's id is its path below the folder without ending, percent-decoded. Text-bound annotations (T) become
    spans, normalisations (N) their codes, several joined by ``|``; events, relations, attributes and notes are passed
    over. A note without ``.ann`` is unlabelled: it covers no label, so that its silence teaches and scores nothing.

    Args:
        path: a folder (sub-folders too), a file of a pair, or a glob.
        labels: see :class:`FileDataset`.
        on_error: see :class:`FileDataset`.
        fragments: ``"keep"`` discontinuous mentions as they are, or ``"join"`` them to one span from first to last.

    The format: https://brat.nlplab.org/standoff.html
    """

    suffixes = (".txt", ".ann")

    def __init__(
        self,
        path: str | Path,
        labels: Mapping[str, str] | None = None,
        on_error: OnError = "raise",
        fragments: Literal["keep", "join"] = "keep",
    ):
        super().__init__(path, labels, on_error)
        self.fragments = fragments

    def blocks(self) -> Iterator[Block]:
        notes = {
            path.with_suffix(".txt"): name[: -len(".txt")]
            for name, path in self.files().items()
            if name.endswith(self.suffixes)
        }
        if not notes:
            raise DataError("BRAT keeps notes in .txt and annotations in .ann files; this is neither", path=self.path)
        return (Block(path, name) for path, name in notes.items())

    def parse(self, block: Block) -> Document:
        annotations = block.path.with_suffix(".ann")
        if not block.path.is_file():
            raise DataError("there is no .txt beside these annotations", path=annotations)
        key, text = _document_id(block.name), "".join(line for _, line in _decoded(block.path))
        if not annotations.is_file():
            return Document(key, text, covers=frozenset())  # nobody looked for anything
        spans: dict[str, Span] = {}
        references: list[tuple[int, str, str]] = []
        for number, line in self.lines(annotations):
            with located(annotations, number):
                if match := _TEXT_BOUND.fullmatch(line):
                    if match[1] in spans:
                        raise DataError(f"a second {match[1]}; annotation ids must be unique")
                    spans[match[1]] = self.span(text, *match.group(2, 3, 4))
                elif match := _REFERENCE.fullmatch(line):
                    references.append((number, match[1], match[2]))
                elif line.strip() and not _OTHER.match(line):
                    raise DataError("no BRAT annotation: want T, N, E, R, A, M, * or #, and tabs between the fields")
        for number, target, reference in references:
            if target in spans:
                codes = (spans[target].code, reference.removeprefix(_NO_DATABASE))
                spans[target] = replace(spans[target], code="|".join(filter(None, codes)))
            elif target.startswith("T"):
                raise DataError(f"normalises {target}, which is not in the file", path=annotations, line=number)
        return self.select(Document(key, text, tuple(spans.values())))

    def lines(self, annotations: Path) -> Iterator[tuple[int, str]]:
        """The lines of an ``.ann``, numbered, without their endings; override to mend them."""
        return ((number, line.removesuffix("\n").removesuffix("\r")) for number, line in _decoded(annotations))

    def span(self, text: str, label: str, offsets: str, mention: str) -> Span:
        """The mention that a text-bound annotation marks; override to read others than this format's.

        Raises:
            SpanError: if it reaches outside the text, or the text has something else there.
        """
        fragments = tuple((int(start), int(end)) for start, end in map(str.split, offsets.split(";")))
        span = quoted(text, Span(fragments[0][0], fragments[-1][1], label, fragments=fragments), mention)
        return replace(span, fragments=()) if self.fragments == "join" else span

    @classmethod
    def write(cls, documents: Iterable[Document], path: str | Path) -> int:
        """Write a folder of pairs, streaming; it appears whole or not at all. Returns how many documents.

        Scores, sources, ``covers`` and ``meta`` have no place in BRAT and are left out.

        Raises:
            DataError: if a label or code has white space, two documents have one id, a text is not UTF-8, or the
                folder cannot be written or holds other files than pairs.
        """
        count = 0
        with replacing_folder(path, cls.suffixes) as folder:
            for document in each_once(documents):
                note = folder / f"{_file_name(document.id)}.txt"
                note.parent.mkdir(parents=True, exist_ok=True)
                with note.open("xb") as file:
                    # A reader takes a byte order mark away, so a text that begins with one needs another before it.
                    file.write(encode("\ufeff" * document.text.startswith("\ufeff") + document.text, document))
                note.with_suffix(".ann").write_bytes(encode("".join(_annotations(document)), document))
                count += 1
        return count


def _annotations(document: Document) -> Iterator[str]:
    """The lines of a document's ``.ann``."""
    normalised = 0
    for number, span in enumerate(document.spans, 1):
        for what, value in (("label", span.label), ("code", span.code or "")):
            if _WHITE.search(value):
                raise DataError(
                    f"document {document.id!r}: {what} {value!r} has white space, which BRAT does not allow"
                )
        offsets = ";".join(f"{start} {end}" for start, end in span.fragments or ((span.start, span.end),))
        mention = flat(document.mention(span))
        yield f"T{number}\t{span.label} {offsets}\t{mention}\n"
        if span.code:
            normalised += 1
            database = "" if _DATABASE.match(span.code) else _NO_DATABASE
            yield f"N{normalised}\tReference T{number} {database}{span.code}\t{mention}\n"


def _decoded(path: Path) -> Iterator[tuple[int, str]]:
    return ((number, decode(raw, path, number)) for number, raw in read_lines(path))


def _file_name(document_id: str) -> str:
    """The id as a path that stays in its folder: slashes kept where they part names, what is unsafe percent-encoded.

    >>> _file_name("ward 3/../note")
    'ward%203/%2E./note'
    """
    try:
        name = quote(document_id, safe="" if "" in document_id.split("/") else "/")
    except UnicodeEncodeError:
        raise DataError(f"id {document_id!r} holds lone surrogates, which file names do not; rename it") from None
    return _UNSAFE_DOT.sub("%2E", name)


def _document_id(name: str) -> str:
    try:
        return unquote(name, errors="strict")
    except UnicodeDecodeError:  # a file that someone named so
        return name

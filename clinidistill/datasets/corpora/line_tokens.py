"""Standoff by line and token, as the i2b2 challenges of 2009 and 2010 give it out."""

from __future__ import annotations

import logging
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Literal

from clinidistill.datasets.files import Block, FileDataset, decode, located, read_lines
from clinidistill.errors import DataError, SpanError
from clinidistill.types import Document, Span

__all__ = ["LineTokenFiles", "LineTokens", "Mention", "Misplaced", "Place"]

Misplaced = Literal["raise", "drop"]
"""What becomes of a mention whose words stand nowhere near the place that is given for it."""

Place = tuple[int, int]
"""A line, from 1, and a token in it, from 0."""

_TOKEN = re.compile(r"[^ \t\n\r\f\v]+")
_PLACE = re.compile(r"(\d{1,9}):(\d{1,9})\s+(\d{1,9}):(\d{1,9})")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mention:
    """A mention as a line of a file has it.

    Args:
        label: the publisher's label.
        quote: its words as the file copies them, usually in lower case; ``...`` parts those of a discontinuous one.
        places: where it stands: pairs of ``line:token line:token``, from first to last token.
    """

    label: str
    quote: str
    places: str


class LineTokens:
    """Code-point offsets for places given by line (from 1) and token (from 0).

    Lines end at line feeds, tokens at ASCII white space.

    >>> tokens = LineTokens("Chest pain.\\nOn  aspirin, daily")
    >>> tokens.locate((2, 1), (2, 1), "aspirin")
    (16, 23)
    """

    def __init__(self, text: str):
        self._text = text
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self._tokens: dict[int, list[tuple[int, int]]] = {}

    def locate(self, first: Place, last: Place, quote: str) -> tuple[int, int]:
        """Where a quote stands, the places of its first and last tokens given.

        What is quoted may be a part of its tokens (``aspirin`` of ``aspirin,``), and may be found up to a line away:
        the corpora have mentions that go on in the next line though their places do not.

        Raises:
            SpanError: if the quote stands neither there nor near.
        """
        head, tail = self._token(*first), self._token(*last)
        if head and tail and _same(self._text[head[0] : tail[1]], quote):
            return head[0], tail[1]
        begin, end = self._reach(min(first[0], last[0]) - 1), self._reach(max(first[0], last[0]) + 2)
        about = head[0] if head else self._reach(first[0] + 1)
        found = [match.span() for match in _whole(quote).finditer(self._text, begin, end)]
        if not found:
            raise SpanError(
                f"the words of the mention stand neither at {first[0]}:{first[1]} {last[0]}:{last[1]} nor a line from "
                "it; unpack the note again as it was published, or leave such mentions out with misplaced='drop'"
            )
        return min(found, key=lambda span: abs(span[0] - about))

    def _token(self, line: int, token: int) -> tuple[int, int] | None:
        """The token's offsets; None where there is none."""
        if not 1 <= line <= len(self._lines):
            return None
        if line not in self._tokens:
            matches = _TOKEN.finditer(self._text, self._reach(line), self._reach(line + 1))
            self._tokens[line] = [match.span() for match in matches]
        tokens = self._tokens[line]
        return tokens[token] if token < len(tokens) else None

    def _reach(self, line: int) -> int:
        """Where a line begins; lines before the first begin with it, those after the last where the text ends."""
        return self._lines[max(line, 1) - 1] if line <= len(self._lines) else len(self._text)


class LineTokenFiles(FileDataset):
    """Notes, each with a file of mentions by line and token; a note without one is unlabelled, and covers nothing.

    Args:
        path: where the release lies, for messages.
        notes: document ids → the note and its file of mentions.
        misplaced: see :data:`Misplaced`.
    """

    def __init__(self, path: Path, notes: Mapping[str, tuple[Path, Path | None]], misplaced: Misplaced = "raise"):
        super().__init__(path)
        self.notes = notes
        self.misplaced = misplaced

    @abstractmethod
    def mentions(self, line: str) -> Iterator[Mention]:
        """The mentions of one line, which is not blank.

        Raises:
            DataError: if it is not of the format.
        """

    def blocks(self) -> Iterator[Block]:
        return (Block(note, key) for key, (note, _) in self.notes.items())

    def parse(self, block: Block) -> Document:
        text = "".join(decode(raw, block.path, number) for number, raw in read_lines(block.path))
        marked = self.notes[block.name][1]
        if marked is None:
            return Document(block.name, text, covers=frozenset())
        tokens, spans, dropped = LineTokens(text), list[Span](), 0
        for number, raw in read_lines(marked):
            line = decode(raw, marked, number).strip()
            with located(marked, number):
                for mention in self.mentions(line) if line else ():
                    try:
                        spans.append(_span(text, tokens, mention))
                    except SpanError:
                        if self.misplaced == "raise":
                            raise
                        dropped += 1
        if dropped:
            _log.warning("%s: mentions left out because their words do not stand there: %d", block.name, dropped)
        return Document(block.name, text, tuple(dict.fromkeys(spans)))


def _span(text: str, tokens: LineTokens, mention: Mention) -> Span:
    numbers = [tuple(map(int, match.groups())) for match in _PLACE.finditer(mention.places)]
    places = [((line, token), (last_line, last_token)) for line, token, last_line, last_token in numbers]
    if not places or _PLACE.sub("", mention.places).strip(", \t"):
        raise DataError("want a place after each mention, line:token line:token, several parted by commas")
    quotes = [mention.quote] if len(places) == 1 else mention.quote.split("...")
    if len(quotes) != len(places):
        raise SpanError(
            f"{len(places)} places for {len(quotes)} quotes parted by '...'; misplaced='drop' leaves it out"
        )
    parts = sorted(tokens.locate(*place, quote) for place, quote in zip(places, quotes, strict=True))
    joined: list[tuple[int, int]] = []
    for start, end in parts:
        if joined and not text[joined[-1][1] : start].strip():
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return Span(joined[0][0], joined[-1][1], mention.label, fragments=tuple(joined))


def _whole(quote: str) -> re.Pattern[str]:
    """Finds the words of a quote, not as a part of a longer word."""
    words = quote.split()
    if not words:
        return re.compile(r"(?!)")
    before, after = (r"(?<!\w)" if words[0][0].isalnum() else ""), (r"(?!\w)" if words[-1][-1].isalnum() else "")
    return re.compile(before + r"\s+".join(map(re.escape, words)) + after, re.IGNORECASE)


def _same(found: str, quote: str) -> bool:
    return _plain(found) == _plain(quote) or _plain(unescape(found)) == _plain(unescape(quote))


def _plain(words: str) -> Sequence[str]:
    return words.casefold().split()

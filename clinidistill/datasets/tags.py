"""Tags of tokens, IOB, IOBES or BILOU: read into mentions, and made of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

from clinidistill.errors import DataError
from clinidistill.types import Document, Span

__all__ = ["TOKENS", "Scheme", "TagReader", "tagged"]

Scheme = Literal["auto", "iob", "iobes", "bilou"]
"""The tags' prefixes: ``B I`` with ``iob`` (1 and 2), and also those that end mentions: ``E S``, or ``L U``."""

TOKENS = {"tokens": "whitespace"}
"""Marks, in ``meta``, text that is tokens joined by spaces, and is to be cut there again."""

_TAG = re.compile(r"O|([BIESLU])-(.+)", re.DOTALL)
_LAST_ONLY = {"iob": "", "iobes": "ES", "bilou": "LU", "auto": "ESLU"}
"""The prefixes of a mention's last token, of several or the only one, in each scheme."""

_CONTINUES, _CLOSES = frozenset("IEL"), frozenset("ESLU")
_WHITE = re.compile(r"\s")
_BY_SPACE = re.compile(r"[^ \t\n]+")
_BY_WORD = re.compile(r"\w+|[^\w\s]")


class TagReader:
    """Reads the tags of a document's tokens, one after another.

    An ``I-x`` that continues nothing begins a mention, as in conlleval, and so do ``E-x`` and ``L-x``.

    Args:
        scheme: the prefixes that tags may have; ``"auto"`` is any, though not those of two schemes in one document.
    """

    def __init__(self, scheme: Scheme = "auto"):
        self._scheme: str = scheme
        self._mentions: list[tuple[int, int, str]] = []
        self._open: str | None = None

    def read(self, tag: str, start: int, end: int) -> None:
        """Take in the tag of the token at ``[start, end)``.

        Raises:
            DataError: if it is none of the scheme.
        """
        match, prefixes = _TAG.fullmatch(tag), f"BI{_LAST_ONLY[self._scheme]}"
        prefix, label = ("", "") if match is None else (match[1] or "", match[2])
        if match is None or prefix not in prefixes:
            raise DataError(
                f"no tag of the scheme {self._scheme!r}; want O, or a label after one of "
                + ", ".join(f"{prefix}-" for prefix in prefixes)
            )
        if self._scheme == "auto" and prefix in _CLOSES:
            self._scheme = "iobes" if prefix in "ES" else "bilou"
        if prefix in _CONTINUES and self._open == label:
            self._mentions[-1] = (self._mentions[-1][0], end, label)
        elif prefix:
            self._mentions.append((start, end, label))
        self._open = label if prefix and prefix not in _CLOSES else None

    def end_sentence(self) -> None:
        """No mention goes on from here."""
        self._open = None

    @property
    def spans(self) -> tuple[Span, ...]:
        """The mentions so far."""
        return tuple(Span(*mention) for mention in self._mentions)


def tagged(document: Document, scheme: str = "iob") -> Iterator[tuple[int, str, str, bool]]:
    """A document's tokens: offset, token, tag, and whether a line break outside mentions comes before.

    Text is cut into words and punctuation marks, or at spaces if ``meta`` says that it was tokens; and at the edges
    of spans.

    Raises:
        DataError: if spans overlap, are discontinuous or hold no token, or a label has white space.
    """
    _refuse_unsayable(document)
    pattern = _BY_SPACE if document.meta.items() >= TOKENS.items() else _BY_WORD
    last = 0
    for start, end, label in _stretches(document):
        matches = list(pattern.finditer(document.text, start, end))
        for number, match in enumerate(matches):
            begins = not (label and number) and "\n" in document.text[last : match.start()]
            tag = f"{_prefix(number, len(matches), scheme)}-{label}" if label else "O"
            yield match.start(), match[0], tag, begins
            last = match.end()
        if label and not matches:
            raise DataError(f"document {document.id!r}: span [{start}, {end}) holds white space only; drop it")


def _prefix(number: int, count: int, scheme: str) -> str:
    """The prefix of a mention's token, counted from 0.

    >>> [_prefix(number, 3, "bilou") for number in range(3)], _prefix(0, 1, "bilou")
    (['B', 'I', 'L'], 'U')
    """
    last = _LAST_ONLY[scheme]
    if last and number == count - 1:
        return last[count == 1]
    return "I" if number else "B"


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

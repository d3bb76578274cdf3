"""The same note with hostile characters in it, and where its mentions then are, counted rightly and wrongly."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clinidistill.testing.notes import HOSTILE
from clinidistill.types import Document, Span

__all__ = ["TWISTS", "UNITS", "Twist", "Twisted"]

Key = tuple[int, int, str]

_ROOM = "\n" * 240  # behind the note, so that offsets that are too large stay inside
_UNSEEN = re.compile("[\u0300-\u036f\u200b-\u200f\u202a-\u202e\u2060\xad\ufeff\ufe0f\x00-\x08\x1c-\x1f]")


@dataclass(frozen=True, slots=True)
class Twist:
    """A way to make a note hostile.

    Args:
        what: what the text then has.
        before: put before the note.
        line_end: put at each line's end.
    """

    what: str
    before: str = ""
    line_end: str = "\n"


TWISTS = (
    *(Twist(ascii(text)[1:-1] + " before the mention", f"{text}\n\n") for text in HOSTILE),
    Twist("everything hostile before the mention", " ".join(HOSTILE) + "\n\n"),
    Twist("\\r\\n at line ends", line_end="\r\n", before="Note\r\n\r\n"),
    Twist("emoji at line ends", line_end=" 😀\n", before="😀\n"),
)

UNITS: dict[str, Callable[[str], int]] = {
    "bytes of UTF-8": lambda text: len(text.encode("utf-8", "surrogatepass")),
    "UTF-16 units": lambda text: len(text.encode("utf-16-le", "surrogatepass")) // 2,
    "characters of the text normalised to NFC": lambda text: len(unicodedata.normalize("NFC", text)),
    "characters of the text normalised to NFD": lambda text: len(unicodedata.normalize("NFD", text)),
    "characters of the text normalised to NFKC": lambda text: len(unicodedata.normalize("NFKC", text)),
    "characters of the text normalised to NFKD": lambda text: len(unicodedata.normalize("NFKD", text)),
    "characters of the text in lower case": lambda text: len(text.lower()),
    "characters of the text in upper case": lambda text: len(text.upper()),
    "characters of the case-folded text": lambda text: len(text.casefold()),
    "each \\r\\n as one character": lambda text: len(text.replace("\r\n", "\n")),
    "no white space at the text's start": lambda text: len(text.lstrip()),
    "each stretch of white space as one character": lambda text: len(re.sub(r"\s+", " ", text)),
    "no characters without width": lambda text: len(_UNSEEN.sub("", text)),
    "ASCII characters only": lambda text: len(text.encode("ascii", "ignore")),
    "characters of Latin-1 only": lambda text: len(text.encode("latin-1", "ignore")),
}
"""Ways to count that are wrong."""


@dataclass(frozen=True, slots=True)
class Twisted:
    """A note made hostile.

    Args:
        what: what its text has.
        document: the note.
        expected: where the mentions of the plain note are in it.
    """

    what: str
    document: Document
    expected: frozenset[Key]

    @classmethod
    def of(cls, document: Document, spans: Sequence[Span], number: int, twist: Twist) -> Twisted:
        """`document` made hostile, with its mentions' places; those with a line break inside are passed over."""
        plain = document.text
        longer = len(twist.line_end) - 1

        def place(offset: int) -> int:
            return len(twist.before) + offset + longer * plain.count("\n", 0, offset)

        text = twist.before + plain.replace("\n", twist.line_end) + _ROOM
        expected = frozenset(
            (place(span.start), place(span.end - 1) + 1, span.label)
            for span in spans
            if "\n" not in plain[span.start : span.end]
        )
        return cls(twist.what, Document(f"{document.id}-twist-{number}", text), expected)

    def counted(self, count: Callable[[str], int]) -> frozenset[Key]:
        """Where the mentions would be by a wrong count; only those that it would put elsewhere."""
        text = self.document.text
        moved = {(count(text[:start]), count(text[:end]), label) for start, end, label in self.expected}
        return frozenset(moved) - self.expected

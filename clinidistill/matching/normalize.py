"""Text normalised for matching, with a map back to the original offsets."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass

__all__ = ["FOLDINGS", "Normalized", "normalize"]


@dataclass(frozen=True, slots=True, eq=False)
class Normalized:
    """A normalised text that knows where each of its characters came from.

    The map is a list of segments: segment k begins at ``_begins[k]`` in the normalised text and covers
    ``[_starts[k], _ends[k])`` of the original, either character by character or, where ``_atomic[k]``, as one
    cluster that cannot be cut (a letter with its combining marks, a ligature, ß, a run of white space).
    Characters that were dropped lie between segments. No segments at all means that nothing moved.
    """

    text: str
    _begins: tuple[int, ...] = ()
    _starts: tuple[int, ...] = ()
    _ends: tuple[int, ...] = ()
    _atomic: tuple[bool, ...] = ()

    def original(self, start: int, end: int) -> tuple[int, int] | None:
        """The original half-open offsets of ``text[start:end]``, or None if it would cut a cluster.

        >>> normalize("Straße  42").original(0, 7)
        (0, 6)
        >>> normalize("Straße  42").original(0, 5) is None
        True
        """
        if not self._begins:
            return start, end
        first = bisect_right(self._begins, start) - 1
        last = bisect_right(self._begins, end - 1) - 1
        if self._atomic[first]:
            if start != self._begins[first]:
                return None
            from_ = self._starts[first]
        else:
            from_ = self._starts[first] + start - self._begins[first]
        if self._atomic[last]:
            if end != (self._begins[last + 1] if last + 1 < len(self._begins) else len(self.text)):
                return None
            return from_, self._ends[last]
        return from_, self._starts[last] + end - self._begins[last]


def normalize(text: str) -> Normalized:
    """Fold away what does not tell two spellings apart: case, accents, typography, white space.

    Compatibility decomposition (NFKD), case folding, combining marks and invisible characters dropped, all
    dashes one, all quotes one, every run of white space one space. ``normalize(normalize(x).text).text`` is
    ``normalize(x).text``.

    >>> normalize("Naïve\\u00a0 “ﬁbrosis” – 5\\u00a0µg").text
    'naive "fibrosis" - 5 μg'
    """
    if text.isascii() and not _ASCII_RUN.search(text):
        return Normalized(text.translate(FOLDINGS))
    builder = _Builder()
    for match in _PIECES.finditer(text):
        start, end = match.span()
        if end - start > 1:
            builder.keep(match.group().translate(FOLDINGS), start)
        else:
            character = match.group()
            builder.add(FOLDINGS[ord(character)], start, unicodedata.category(character) in _MARKS)
    return builder.build(len(text))


_ASCII_RUN = re.compile(r"\s\s")
# Words of printable ASCII with single spaces between go en bloc; anything else goes by the character.
_PIECES = re.compile(r"[!-~]+(?: [!-~]+)*|.", re.DOTALL)
_MARKS = {"Mn", "Me"}


class _Builder:
    """Collects segments from left to right."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._begins: list[int] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._atomic: list[bool] = []

    def keep(self, folded: str, start: int) -> None:
        """Characters that map one to one."""
        if not self._begins or self._atomic[-1] or self._ends[-1] != start:
            self._open(start, start + len(folded), atomic=False)
        self._ends[-1] = start + len(folded)
        self._parts.append(folded)
        self._length += len(folded)

    def add(self, folded: str, start: int, mark: bool) -> None:
        """One original character."""
        if not folded:
            if mark and self._begins:  # it belongs to the character before it
                self._extend(start + 1)
            return
        if folded[0] == " " and self._parts and self._parts[-1][-1] == " ":
            self._extend(start + 1)
            folded = folded[1:]
            if not folded:
                return
            self._parts.append(folded)
            self._length += len(folded)
        elif len(folded) == 1:
            self.keep(folded, start)
        else:
            self._open(start, start + 1, atomic=True)
            self._parts.append(folded)
            self._length += len(folded)

    def build(self, size: int) -> Normalized:
        """The text and its map; `size` is the original's length."""
        text = "".join(self._parts)
        if len(self._begins) == 1 and not self._atomic[0] and self._ends[0] - self._starts[0] == size:
            return Normalized(text)
        return Normalized(text, tuple(self._begins), tuple(self._starts), tuple(self._ends), tuple(self._atomic))

    def _open(self, start: int, end: int, *, atomic: bool) -> None:
        self._begins.append(self._length)
        self._starts.append(start)
        self._ends.append(end)
        self._atomic.append(atomic)

    def _extend(self, end: int) -> None:
        """Make the last character a cluster that reaches to `end`."""
        if not self._atomic[-1]:
            last = self._ends[-1] - 1
            if last > self._starts[-1]:
                self._ends[-1] = last
                self._length -= 1
                self._open(last, end, atomic=True)
                self._length += 1
            self._atomic[-1] = True
        self._ends[-1] = end


class _Foldings(dict[int, str]):
    """Code point → what it is folded to; filled as characters are met (`str.translate` asks it)."""

    def __missing__(self, point: int) -> str:
        folded = chr(point)
        while (again := "".join(map(_fold, folded))) != folded:
            folded = again
        self[point] = folded = re.sub(r"\s+", " ", folded)
        return folded


def _fold(character: str) -> str:
    special = _SPECIAL.get(character)
    if special is not None:
        return special
    if character.isspace():
        return " "
    category = unicodedata.category(character)
    if category in _MARKS or category == "Cf":  # Cf: soft hyphen, zero-width and direction marks
        return ""
    if category == "Pd":
        return "-"
    return unicodedata.normalize("NFKD", character).casefold()


_SPECIAL = {
    **dict.fromkeys("`´‘’‚‛′ʹʻʼˈ", "'"),
    **dict.fromkeys("“”„‟″", '"'),
    **dict.fromkeys("−⁃", "-"),
    **{sign: sign for sign in "™℠"},  # NFKD would glue the letters TM to the name before
}
FOLDINGS = _Foldings()
"""Code point → what it is folded to: none, one or several characters."""

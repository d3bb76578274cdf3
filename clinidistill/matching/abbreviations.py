"""Abbreviations that a text defines itself: "acute myeloid leukaemia (AML)"."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

__all__ = ["Definition", "WrittenOut", "definitions", "short_forms"]


class Definition(NamedTuple):
    """An abbreviation's definition: the short form, and half-open offsets of the long form and of the parenthesis.

    The parenthesis holds the short form, or in "AML (acute myeloid leukaemia)" the long one.
    """

    short: str
    start: int
    end: int
    opening: int
    closing: int


def definitions(text: str, matters: Callable[[str, int], object] | None = None) -> list[Definition]:
    """The abbreviations that a text defines, by place.

    Args:
        text: the text.
        matters: told a short form, and where its long form would end, whether it is worth a closer look.

    A long form is the shortest run of words before the short one that has its letters in order, the first of them at
    the beginning of a word, after Schwartz and Hearst, `A simple algorithm for identifying abbreviation definitions
    in biomedical text <https://psb.stanford.edu/psb-online/proceedings/psb03/schwartz.pdf>`_ (2003); failing that,
    the words before it whose initials are its letters in any order. Unlike theirs, a
    short form has a capital letter or a digit, and no long form crosses the end of a sentence.

    >>> text = "He has acute myeloid leukaemia (AML). AML (see above) is rare."
    >>> [(each.short, text[each.start : each.end]) for each in definitions(text)]
    [('AML', 'acute myeloid leukaemia')]
    """
    found = []
    for match in _PARENTHESIS.finditer(text):
        inside = match[1]
        short = _SHORT.match(inside)
        if short is not None and (matters is None or matters(short[0], len(text[: match.start()].rstrip()))):
            before = text[max(0, match.start() - _WIDEST) : match.start()]
            sentence = _SENTENCE.split(before)[-1].rstrip()
            words = min(len(short[0]) + 5, len(short[0]) * 2)
            reach = "".join(_WORD_AND_SPACE.findall(sentence)[-words:])
            at = _long_form(short[0], reach)
            if at is None:
                at = _initials(short[0], reach)
            if at is not None:
                end = match.start() - (len(before) - len(before.rstrip()))
                found.append(Definition(short[0], end - len(reach) + at, end, match.start(), match.end()))
                continue
        if " " not in inside:
            continue
        word = _LAST_SHORT.search(text, max(0, match.start() - _LONGEST_SHORT - 1), match.start())
        if word is None or (matters is not None and not matters(word[1], match.end() - 1)):
            continue
        if _long_form(word[1], inside) == 0:
            found.append(Definition(word[1], match.start() + 1, match.end() - 1, match.start(), match.end()))
    return found


def _long_form(short: str, text: str) -> int | None:
    """Where the long form begins that ends with `text`; None if there is none."""
    letters = [character for character in short.lower() if character.isalnum()]
    folded = text.lower()
    if len(folded) != len(text):
        return None
    at = len(folded)
    for number, letter in enumerate(reversed(letters), 1):
        at = folded.rfind(letter, 0, at)
        while number == len(letters) and at > 0 and folded[at - 1].isalnum():
            at = folded.rfind(letter, 0, at)
        if at < 0:
            return None
    long = text[at:]
    if len(long) <= len(short) or short in long.split():
        return None
    return at


def _initials(short: str, text: str) -> int | None:
    """Where the last words of `text` begin that have the short form's letters as initials, in any order.

    Abbreviations of Latin names stand behind English ones: "myotonic dystrophy (DM)", dystrophia myotonica.
    """
    words = list(_WORD.finditer(text))[-len(short) :]
    same = len(words) > 1 and sorted(short.lower()) == sorted(word[0][0].lower() for word in words)
    return words[0].start() if same else None


def short_forms(text: str, defined: Iterable[Definition]) -> Iterator[tuple[int, int, Definition]]:
    """Half-open offsets of each short form in a text, in the plural too, with its first definition.

    >>> text = "Acute myeloid leukaemia (AML). AMLs are rare."
    >>> [(start, end) for start, end, _ in short_forms(text, definitions(text))]
    [(25, 28), (31, 35)]
    """
    meant: dict[str, Definition] = {}
    for each in defined:
        meant.setdefault(each.short, each)
    for short, definition in meant.items():
        start = text.find(short)
        while start >= 0:
            end = start + len(short)
            end += text.startswith("s", end)
            if not (start and text[start - 1].isalnum()) and not text[end : end + 1].isalnum():
                yield start, end, definition
            start = text.find(short, end)


class WrittenOut:
    """A text with its abbreviations written out, so that names are found that it has in part abbreviated.

    Every short form gives way to its long form, and a definition's parenthesis is left out: "von Hippel-Lindau (VHL)
    disease" reads "von Hippel-Lindau disease", and "VHL disease" after it does too.

    Attributes:
        text: the text written out.

    >>> text = "Von Hippel-Lindau (VHL) disease. VHL disease runs in families."
    >>> written = WrittenOut(text, definitions(text))
    >>> written.text
    'Von Hippel-Lindau disease. Von Hippel-Lindau disease runs in families.'
    >>> text[slice(*written.original(27, 52))]
    'VHL disease'
    """

    def __init__(self, text: str, defined: Sequence[Definition]):
        edits = [(each.opening, each.closing, "") for each in defined]
        kept = [(each.opening, each.closing) for each in defined] + [(each.start, each.end) for each in defined]
        edits += [
            (start, end, text[each.start : each.end])
            for start, end, each in short_forms(text, defined)
            if not any(a < end and start < b for a, b in kept)
        ]
        pieces: list[str] = []
        self._edits: list[tuple[int, int, int, int]] = []  # what was written for what
        self._starts: list[int] = []
        written = at = 0
        for begin, end, long in sorted(edits):
            start = begin - (not long and text[at:begin].endswith(" "))
            if start < at:
                continue
            pieces += (text[at:start], long)
            written += start - at
            self._edits.append((written, written + len(long), start, end))
            self._starts.append(written)
            written += len(long)
            at = end
        pieces.append(text[at:])
        self.text = "".join(pieces)

    def surroundings(self) -> Iterator[tuple[int, int]]:
        """Half-open offsets into the written text of the whole words around what was changed, none twice."""
        start = end = -1
        for begin, done, _, _ in self._edits:
            left = self.text.rfind(" ", 0, max(0, begin - _REACH)) + 1
            right = self.text.find(" ", done + _REACH)
            right = len(self.text) if right < 0 else right
            if left <= end:
                end = right
            else:
                if start >= 0:
                    yield start, end
                start, end = left, right
        if start >= 0:
            yield start, end

    def original(self, start: int, end: int) -> tuple[int, int] | None:
        """Offsets into the text as it was; None where nothing was changed, or a long form is cut off at its end."""
        first = bisect_right(self._starts, start) - 1
        last = bisect_left(self._starts, end) - 1
        if last < 0 or (self._edits[last][1] <= start and self._edits[last][0] <= start):
            return None
        if first >= 0:
            _, done, was, until = self._edits[first]
            start = was if start < done else until + start - done
        _, done, _, until = self._edits[last]
        return None if end < done else (start, until + end - done)


_SHORT = re.compile(r"(?=[^\s;,]*[A-Z0-9])(?=[^\s;,]*[A-Za-z])[A-Za-z0-9][^\s;,()\[\]]{0,8}[A-Za-z0-9+](?=$|[;,])")
_LAST_SHORT = re.compile(r"(?<![^\W_])((?=[\w-]*[A-Z])[A-Za-z0-9][\w-]{0,8}[A-Za-z0-9]) $")
_PARENTHESIS = re.compile(r"[(\[]([^()\[\]\n]{2,100})[)\]]")
_SENTENCE = re.compile(r"[.!?;:]\s+(?=[A-Z(])|\n\s*\n|[()\[\]]")
_WORD = re.compile(r"[^\W_]+")
_WORD_AND_SPACE = re.compile(r"\S+\s*")
_WIDEST = 200
_REACH = 60  # characters of a name before or after its abbreviated part
_LONGEST_SHORT = 10

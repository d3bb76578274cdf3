"""A text as the words that are compared, and where each of them stands."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from clinidistill.matching.normalize import FOLDINGS, Normalized, normalize

__all__ = ["Words", "word_key"]


class Words:
    """The words of a text: runs of letters and digits, folded as :func:`~clinidistill.matching.normalize` folds.

    Everything else separates words. Most texts map character by character, which is much cheaper than an offset
    map; :meth:`original` hides the difference.

    Attributes:
        text: the text as it was given.
        words: its words in order.
        folded: the text with typography folded (not case), on which offsets of words are counted.

    >>> words = Words("Naïve\u2009T–cells")
    >>> words.words, words.place(1, 3)
    (['naive', 't', 'cells'], (6, 13))
    """

    __slots__ = ("_joined", "_map", "folded", "text", "words")

    def __init__(self, text: str):
        self.text = text
        self._map: Normalized | None = None
        folded = text
        try:
            joined = text.encode("ascii").translate(_ASCII).decode("ascii")
        except UnicodeEncodeError:
            foreign = set()
            for character in set(_NOT_ASCII.findall(text)):
                one = _ONE_TO_ONE[character]
                if one is None:
                    self._map = normalize(text)
                    folded = self._map.text
                    foreign = set(_NOT_ASCII.findall(folded))
                    break
                if one != character:
                    folded = folded.replace(character, one)
                if not one.isascii():
                    foreign.add(one)
            joined = _joined(folded, foreign)
        self.folded = folded
        self._joined = f" {joined} "
        self.words = joined.split()

    def places(self, runs: Iterable[tuple[int, int, object]]) -> Iterator[tuple[int, int]]:
        """Half-open offsets into `folded` of runs of words.

        Args:
            runs: first word and the word after the last, in order of the first; what else is in the tuple is ignored.
        """
        words, joined = self.words, self._joined
        index = start = 0
        for first, stop, _ in runs:
            word = words[first]
            for _ in range(words[index:first].count(word)):
                start = joined.index(f" {word} ", start) + 1
            start = joined.index(f" {word} ", start)
            index = first
            end = start + len(word)
            for word in words[first + 1 : stop]:
                end = joined.index(word, end + 1) - 1 + len(word)
            yield start, end

    def place(self, first: int, stop: int) -> tuple[int, int]:
        """Half-open offsets into `folded` of words `first` to `stop`, the latter left out."""
        return next(self.places([(first, stop, None)]))

    @property
    def is_mapped_one_to_one(self) -> bool:
        """Whether offsets into `folded` are offsets into `text`."""
        return self._map is None

    def original(self, start: int, end: int) -> tuple[int, int] | None:
        """Offsets into `text` for offsets into `folded`; None if they would cut a character of `text`."""
        return (start, end) if self._map is None else self._map.original(start, end)


def _joined(folded: str, foreign: set[str]) -> str:
    """The folded text with spaces for all that is no word; `foreign` are its characters that are not ASCII.

    Characters are looked up in a table of bytes, many times faster than in a dictionary of code points: the few
    letters from elsewhere that an English text has (α, μ) are control characters for the while.
    """
    letters = sorted(filter(str.isalnum, foreign))
    if len(letters) > len(_SPARE) or (letters and any(map(folded.__contains__, _SPARE))):
        return folded.translate(_WORD_CHARACTERS)
    for character in foreign.difference(letters):
        folded = folded.replace(character, " ")
    for spare, letter in zip(_SPARE, letters, strict=False):
        folded = folded.replace(letter, spare)
    joined = folded.encode("ascii").translate(_SPARED if letters else _ASCII).decode("ascii")
    for spare, letter in zip(_SPARE, letters, strict=False):
        joined = joined.replace(spare, letter)
    return joined


def word_key(text: str) -> str:
    """The words of `text` with one space between: equal for all writings of a name that count as one.

    >>> word_key("Non-Small\u2010Cell  Carcinoma"), word_key("β-Blocker")
    ('non small cell carcinoma', 'β blocker')
    """
    return " ".join(Words(text).words)


def _one_to_one(character: str) -> str | None:
    """The one character that stands for it, or None if it takes none or several (or belongs to the one before)."""
    folded = FOLDINGS[ord(character)]
    if not folded or unicodedata.category(character) in ("Mn", "Me"):
        return None
    if len(folded) > 1 and any(map(str.isalnum, folded)):
        return None
    return folded[0]


class _OneToOne(dict[str, "str | None"]):
    def __missing__(self, character: str) -> str | None:
        self[character] = one = _one_to_one(character)
        return one


class _WordCharacters(dict[int, str]):
    def __missing__(self, point: int) -> str:
        character = chr(point)
        self[point] = word = character.lower() if character.isalnum() else " "
        return word


_ONE_TO_ONE = _OneToOne()
_WORD_CHARACTERS = _WordCharacters()
_ASCII = "".join(_WORD_CHARACTERS[point] for point in range(128)).encode("ascii") + bytes(range(128, 256))
_SPARE = "".join(map(chr, range(14, 32)))
_SPARED = _ASCII[:14] + _SPARE.encode("ascii") + _ASCII[32:]
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")

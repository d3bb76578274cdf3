"""Words that are spelled right, whatever a terminology knows."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from importlib import resources
from importlib.metadata import version
from itertools import chain
from string import ascii_lowercase

from clinidistill.matching.variants import plurals, spellings

__all__ = ["is_known", "known_words", "known_words_version", "near_known"]


@cache
def known_words() -> frozenset[str]:
    """English words, and medical ones that general lists lack, in lower case; read at first use (0.2 s, 25 MB).

    The English ones are those of pyspellchecker, with their inflections; the medical ones are all words of five
    letters and more in the names of public classifications (see ``words_medical.txt``).
    """
    from spellchecker import SpellChecker

    english = SpellChecker(language="en").word_frequency.dictionary
    lines = resources.files("clinidistill.matching").joinpath("words_medical.txt").read_text(encoding="ascii")
    medical = (line.split() for line in lines.splitlines() if not line.startswith("#"))
    return frozenset(filter(str.isalpha, chain(english, *medical)))


@cache
def known_words_version() -> str:
    """What changes whenever the known words do."""
    medical = resources.files("clinidistill.matching").joinpath("words_medical.txt").read_bytes()
    return f"pyspellchecker {version('pyspellchecker')}, {sha256(medical).hexdigest()[:16]}"


def is_known(word: str) -> bool:
    """Whether a word in lower case, its singular, plural, British or American form is known.

    >>> is_known("anaemic"), is_known("neutropenias"), is_known("metforimn")
    (True, True, False)
    """
    known = known_words()
    return any(form in known for form in chain((word,), plurals(word), spellings(word)))


def near_known(word: str) -> Iterable[str]:
    """The known words that are one letter more, less or other away, or two neighbours in the other order.

    >>> sorted(near_known("metforminn"))
    ['metformin']
    """
    cuts = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    return known_words().intersection(
        chain(
            (head + tail[1:] for head, tail in cuts[:-1]),
            (head + tail[1] + tail[0] + tail[2:] for head, tail in cuts[:-2]),
            (head + letter + tail[1:] for head, tail in cuts[:-1] for letter in ascii_lowercase),
            (head + letter + tail for head, tail in cuts for letter in ascii_lowercase),
        )
    )

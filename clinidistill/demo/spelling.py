"""Slips of the keyboard."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

__all__ = ["misspell"]

_SLIPS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"(?<=\w)([a-z])\1(?=\w)"), r"\1"),  # diarrhea → diarhea
    (re.compile(r"(?<=[a-z])(ie|ei|ea|ae|eu|ue|ia|ai|io|oi)(?=[a-z])"), lambda m: m[0][::-1]),  # pneumonia → penumonia
    (re.compile(r"(?<=[a-z]{2})[aeiou](?=[a-z]{2})"), ""),  # metoprolol → metprolol
    (re.compile(r"(?<=[aeiou])[lmnpst](?=[aeiou])"), lambda m: m[0] * 2),  # nausea → naussea
    (re.compile(r"ph(?=[a-z])"), "f"),
    (re.compile(r"(?<=[a-z])y(?=[a-z])"), "i"),
)


def misspell(name: str, rng: random.Random) -> str:
    """`name` with one plausible slip in one of its long lower-case words; as it is where there is none.

    >>> misspell("diarrhea", random.Random(0)) != "diarrhea"
    True
    >>> misspell("SOB", random.Random(0))
    'SOB'
    """
    words = list(re.finditer(r"\b\w?[a-z]{6,}\b", name))
    if not words:
        return name
    word = rng.choice(words)
    slips = [(match, new) for pattern, new in _SLIPS for match in pattern.finditer(word[0])]
    if not slips:
        return name
    match, new = rng.choice(slips)
    changed = word[0][: match.start()] + (new(match) if callable(new) else match.expand(new)) + word[0][match.end() :]
    return name[: word.start()] + changed + name[word.end() :]

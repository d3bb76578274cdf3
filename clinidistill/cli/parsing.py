"""From words on the command line to names and options."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from clinidistill.errors import ConfigError

__all__ = ["component", "mapping"]


def component(words: str) -> tuple[str, dict[str, str]]:
    """A name and options, as in ``"terminology path=drugs.csv label=medication"``; quotes keep spaces together.

    Raises:
        ConfigError: if there is no name, or a word after it is not ``option=value``.

    >>> component("terminology path='my drugs.csv' label=medication")
    ('terminology', {'path': 'my drugs.csv', 'label': 'medication'})
    """
    try:
        parts = shlex.split(words)
    except ValueError as error:
        raise ConfigError(f"{words!r} should read 'NAME option=value …' ({error})") from None
    if not parts:
        raise ConfigError(f"{words!r} should read 'NAME option=value …'; there is no name")
    return parts[0], mapping(parts[1:])


def mapping(pairs: Iterable[str]) -> dict[str, str]:
    """``["a=b", …]`` as a dictionary.

    Raises:
        ConfigError: if one is not ``name=value``.
    """
    out = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise ConfigError(f"{pair!r} should read NAME=VALUE")
        out[name] = value
    return out

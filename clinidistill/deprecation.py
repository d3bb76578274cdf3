"""What goes away says so one minor version before; see docs/stability.md."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import TypeVar

import typing_extensions

__all__ = ["deprecated", "warn_deprecated"]

T = TypeVar("T", bound=Callable[..., object])


def deprecated(*, since: str, removed_in: str, instead: str) -> Callable[[T], T]:
    """Decorator for a function or class that goes away: it warns where it is called, or subclassed.

    Args:
        since: the version that first warns, such as ``"0.2"``.
        removed_in: the version that will not have it any more; a later minor one.
        instead: what to use in its place.

    >>> @deprecated(since="0.2", removed_in="0.3", instead="new()")
    ... def old(): ...
    >>> old.__deprecated__
    'old is deprecated since clinidistill 0.2 and goes in 0.3; use new()'
    """

    def decorate(thing: T) -> T:
        said = _message(thing.__qualname__, since, removed_in, instead)
        return typing_extensions.deprecated(said)(thing)

    return decorate


def warn_deprecated(what: str, *, since: str, removed_in: str, instead: str) -> None:
    """Warn of the use of an option, or of a module's attribute, that goes away.

    The warning points at the first caller outside this package, however deep inside it is called.

    Args:
        what: the option or attribute, as its users know it.
        since: as of :func:`deprecated`.
        removed_in: likewise.
        instead: likewise.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and _ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    warnings.warn_explicit(
        _message(what, since, removed_in, instead),
        DeprecationWarning,
        filename=frame.f_code.co_filename,
        lineno=frame.f_lineno,
        module=frame.f_globals.get("__name__"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _ours(module: str) -> bool:
    return module.partition(".")[0] in {"clinidistill", "importlib"}  # importlib stands between for `from … import`


def _message(what: str, since: str, removed_in: str, instead: str) -> str:
    return f"{what} is deprecated since clinidistill {since} and goes in {removed_in}; use {instead}"

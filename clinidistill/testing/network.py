"""Attempts of this process to reach another machine, refused and told."""

from __future__ import annotations

import errno
import functools
import ipaddress
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["no_network"]

_WATCHING: list[list[str]] = []
_LOOKUPS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}


@contextmanager
def no_network() -> Iterator[list[str]]:
    """Refuses connections to other machines, in all threads; gives the list of those that were tried.

    Connections to this machine are let through. The interpreter reports every attempt, whatever library makes it
    (``sys.addaudithook``); other processes are not watched.
    """
    _install()
    attempts: list[str] = []
    _WATCHING.append(attempts)
    try:
        yield attempts
    finally:
        _WATCHING.remove(attempts)


@functools.cache
def _install() -> None:
    sys.addaudithook(_hook)  # for good: the interpreter has no way to take one away


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if not _WATCHING or not event.startswith("socket."):
        return
    host = None
    if event in _LOOKUPS:
        host = args[0]
    elif event in {"socket.connect", "socket.sendto"} and isinstance(args[1], tuple):  # a string names a local socket
        host = args[1][0]
    if host is not None and not _is_here(host):
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
        for attempts in _WATCHING:
            attempts.append(name)
        raise OSError(errno.ENETUNREACH, "a conformance check lets nothing leave this machine")


def _is_here(host: object) -> bool:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    if name in {"", "localhost"} or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified

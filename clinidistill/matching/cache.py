"""Compiled automata kept in the user's cache folder, under a hash of what they are made of."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from clinidistill.component import digest
from clinidistill.errors import DataError
from clinidistill.matching.automaton import Automaton
from clinidistill.matching.compiled import Compiled, Term, compile_terms
from clinidistill.matching.names import NameRules
from clinidistill.settings import Settings
from clinidistill.terminologies import Terminology

__all__ = ["automaton_of", "cached_automaton", "cached_meta", "inputs_of"]

_LOG = logging.getLogger(__name__)


def automaton_of(terminology: Terminology, rules: NameRules, *, cached: bool = True) -> Automaton:
    """The automaton of a terminology's names; see :func:`cached_automaton`.

    Raises:
        DataError: if the terminology cannot be read, or no name of it is left to look for.
    """

    def terms() -> Iterator[Term]:
        return rules.terms(terminology)

    def meta() -> Mapping[str, Any]:
        return {"content_hash": terminology.content_hash}

    automaton = cached_automaton(inputs_of(terminology, rules), terms, meta) if cached else Automaton(terms())
    if not automaton:
        raise DataError(
            "no names to look for: the terminology is empty, or min_length and stop terms leave none",
            path=terminology.options.get("path"),
        )
    return automaton


def inputs_of(terminology: Terminology, rules: NameRules) -> list[Any]:
    """What :func:`automaton_of` depends on."""
    return [terminology.source_hash, rules.fingerprint_data()]


def cached_automaton(
    inputs: Any, terms: Callable[[], Iterable[Term]], meta: Callable[[], Mapping[str, Any]]
) -> Automaton:
    """The automaton of `terms`, from the cache if it was compiled before from the same inputs.

    A file holds flat tables and their SHA-256, and is read as such: nothing in it can run. (pyahocorasick's own
    format would not do: it pickles values, and its nodes are read back as they lie, unchecked.) A file that is not
    what its checksum says, or whose tables do not fit together, is compiled anew and replaced. Files are written
    aside and then renamed, so that any number of processes may compile at once. Where the folder cannot be written,
    nothing is kept. What compiles in no time is not kept either.

    Args:
        inputs: whatever the terms depend on; plain values, see :func:`~clinidistill.component.digest`.
        terms: makes the terms.
        meta: what to remember with them; asked for once they are compiled.
    """
    path = _path(inputs)
    compiled = _read(path)
    if compiled is None:
        compiled = compile_terms(terms())
        compiled.meta.update(meta())
        if len(compiled.code) >= _WORTH_KEEPING:
            _write(path, compiled)
    return Automaton(compiled)


def cached_meta(inputs: Any) -> dict[str, Any]:
    """What is remembered of the automaton made from these inputs; empty if it is not in the cache."""
    try:
        with open(_path(inputs), "rb") as file:
            magic, checksum, header = (file.readline(_LONGEST_LINE) for _ in range(3))
    except OSError:
        return {}
    if magic != _MAGIC or checksum.split()[1:] != [_sha256(header)]:
        return {}
    with suppress(ValueError, TypeError, KeyError):
        return Compiled.unpack_meta(header)
    return {}


def _path(inputs: Any) -> Path:
    return Settings().cache / "automata" / f"{digest([_code(), inputs])}.terms"


@cache
def _code() -> str:
    """Hash of the code that makes automata, so that one made by other code is not taken for its like."""
    sha = hashlib.sha256()
    for package in ("matching", "terminologies"):
        for each in sorted(resources.files(f"clinidistill.{package}").iterdir(), key=lambda file: file.name):
            if each.is_file():
                sha.update(each.name.encode() + b"\0" + each.read_bytes())
    return sha.hexdigest()


def _read(path: Path) -> Compiled | None:
    try:
        with open(path, "rb") as file:
            magic, checksum = file.readline(_LONGEST_LINE), file.readline(_LONGEST_LINE)
            tables = file.read()
    except OSError:
        return None
    try:
        if magic != _MAGIC or checksum.split()[:1] != [_sha256(tables)]:
            raise ValueError("its checksum is wrong")
        return Compiled.unpack(tables)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError) as error:
        _LOG.warning("the cached automaton %s is broken (%s) and is made anew", path.name, type(error).__name__)
        return None


def _write(path: Path, compiled: Compiled) -> None:
    tables = compiled.pack()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, aside = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")  # its owner's alone
    except OSError as error:
        _LOG.warning("automata cannot be kept in %s (%s)", path.parent, type(error).__name__)
        return
    try:
        with open(handle, "wb") as file:
            header = tables[: tables.index(b"\n") + 1]  # with a checksum of its own: it is read alone, too
            file.write(_MAGIC + _sha256(tables) + b" " + _sha256(header) + b"\n")
            file.write(tables)
        os.replace(aside, path)
    except OSError as error:
        _LOG.warning("an automaton cannot be kept in %s (%s)", path.parent, type(error).__name__)
        with suppress(OSError):
            os.unlink(aside)


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


_MAGIC = b"clinidistill automaton 2\n"
_LONGEST_LINE = 1 << 20
_WORTH_KEEPING = 5_000  # entries

"""Terminologies made of others; ``|``, ``-``, ``filter`` and ``map_codes`` of a :class:`Terminology` make them.

They stream as their parts do: in memory are codes, and concepts whose code comes more than once, no others.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from clinidistill.component import digest
from clinidistill.errors import OptionError
from clinidistill.terminologies.base import Concept, Terminology

__all__ = ["Difference", "Recoded", "Selection", "Union", "merged"]


class _Composed(Terminology):
    """What all of them share: names, files and source hashes of their parts."""

    _parts: Sequence[Terminology]

    @abstractmethod
    def _operation(self) -> Any:
        """What is done with the parts, of plain values; None if it is a function, whose workings no hash can tell."""

    @cached_property
    def name(self) -> str:
        return self._parts[0].name

    def source_files(self) -> Sequence[Path] | None:
        files = [part.source_files() for part in self._parts]
        return None if None in files else [*chain.from_iterable(each for each in files if each is not None)]

    @cached_property
    def source_hash(self) -> str:
        """Hash of the parts' source hashes and the operation; the :attr:`content_hash` where that is a function."""
        operation = self._operation()
        if operation is None:
            return self.content_hash
        return digest([type(self).__qualname__, self.version, operation, [part.source_hash for part in self._parts]])


class Union(_Composed):
    """The concepts of several terminologies, the first one's first; one concept a code.

    A code that comes more than once, in two parts or in one, stands where it comes first, with the names and types
    of all; the name there is the preferred one. Iterating reads each part twice.

    Args:
        parts: the terminologies.
    """

    def __init__(self, parts: Sequence[Terminology]):
        self._parts = [each for part in parts for each in (part._parts if isinstance(part, Union) else [part])]

    @cached_property
    def name(self) -> str:
        return "+".join(dict.fromkeys(part.name for part in self._parts))

    def __iter__(self) -> Iterator[Concept]:
        return merged(lambda: chain.from_iterable(self._parts))

    def __len__(self) -> int:
        return len({concept.code for part in self._parts for concept in part})

    def _operation(self) -> Any:
        return "union"


class Difference(_Composed):
    """The concepts of a terminology whose codes are not among others.

    Args:
        terminology: where they are taken from.
        without: another terminology, or codes.
    """

    def __init__(self, terminology: Terminology, without: Terminology | Iterable[str]):
        self._without = _as_codes(without, "without")
        self._parts = [terminology, without] if isinstance(without, Terminology) else [terminology]

    def __iter__(self) -> Iterator[Concept]:
        codes = _codes(self._without)
        return (concept for concept in self._parts[0] if concept.code not in codes)

    def _operation(self) -> Any:
        return "" if isinstance(self._without, Terminology) else self._without


class Selection(_Composed):
    """The concepts of a terminology that pass; see :meth:`Terminology.filter`.

    Args:
        terminology: where they are taken from.
        predicate: says of a concept whether it passes.
        codes: those that pass, or a terminology whose codes do.
        types: a concept passes that has one of them.
    """

    def __init__(
        self,
        terminology: Terminology,
        predicate: Callable[[Concept], object] | None = None,
        *,
        codes: Terminology | Iterable[str] | None = None,
        types: Iterable[str] | None = None,
    ):
        if predicate is None and codes is None and types is None:
            raise OptionError("nothing to filter by: give a predicate, codes= or types=")
        if isinstance(types, str):
            raise OptionError("types= is a list of types, not one string")
        self._predicate = predicate
        self._wanted = None if codes is None else _as_codes(codes, "codes")
        self._types = None if types is None else frozenset(types)
        self._parts = [terminology, codes] if isinstance(codes, Terminology) else [terminology]

    def __iter__(self) -> Iterator[Concept]:
        codes = None if self._wanted is None else _codes(self._wanted)
        for concept in self._parts[0]:
            if (
                (codes is None or concept.code in codes)
                and (self._types is None or not self._types.isdisjoint(concept.types))
                and (self._predicate is None or self._predicate(concept))
            ):
                yield concept

    def _operation(self) -> Any:
        codes = None if isinstance(self._wanted, Terminology) else self._wanted
        return None if self._predicate is not None else [codes, self._types]


class Recoded(_Composed):
    """A terminology with other codes; see :meth:`Terminology.map_codes`.

    Concepts that fall on one code become one, as in a :class:`Union`. Iterating reads the terminology twice.

    Args:
        terminology: where the concepts are taken from.
        codes: from its codes to others, or a function that gives another code, or None if it knows none.
        drop_missing: whether concepts without another code are left out; else they keep theirs.
    """

    def __init__(
        self,
        terminology: Terminology,
        codes: Mapping[str, str] | Callable[[str], str | None],
        *,
        drop_missing: bool = False,
    ):
        self._parts = [terminology]
        self._codes = dict(codes) if isinstance(codes, Mapping) else codes
        self._drop_missing = drop_missing

    def __iter__(self) -> Iterator[Concept]:
        return merged(self._recoded)

    def __len__(self) -> int:
        return len({concept.code for concept in self._recoded()})

    def _recoded(self) -> Iterator[Concept]:
        code_of = self._codes.get if isinstance(self._codes, dict) else self._codes
        for concept in self._parts[0]:
            if (code := code_of(concept.code)) is not None:
                yield Concept(code, concept.name, concept.synonyms, concept.types)
            elif not self._drop_missing:
                yield concept

    def _operation(self) -> Any:
        return [self._codes, self._drop_missing] if isinstance(self._codes, dict) else None


def merged(concepts: Callable[[], Iterable[Concept]]) -> Iterator[Concept]:
    """One concept a code, where it comes first, with the names and types of all; goes through `concepts` twice."""
    left: set[str] = set()
    more: dict[str, list[Concept]] = {}
    for concept in concepts():
        if concept.code in left:
            more.setdefault(concept.code, []).append(concept)
        else:
            left.add(concept.code)
    for concept in concepts():
        if concept.code in left:
            left.remove(concept.code)
            same = (concept, *more.pop(concept.code, ()))
            terms = chain.from_iterable(each.terms for each in same)
            types = frozenset().union(*(each.types for each in same))
            yield Concept.named(concept.code, terms, types) if len(same) > 1 else concept


def _as_codes(codes: Terminology | Iterable[str], option: str) -> Terminology | frozenset[str]:
    if isinstance(codes, Terminology):
        return codes
    if isinstance(codes, str) or not isinstance(codes, Iterable):
        raise OptionError(f"{option}= takes a terminology or a list of codes, not {type(codes).__name__}")
    return frozenset(codes)


def _codes(source: Terminology | frozenset[str]) -> AbstractSet[str]:
    return {concept.code for concept in source} if isinstance(source, Terminology) else source

"""Terminologies: concepts with a code, a name and synonyms."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from clinidistill.component import Component

__all__ = ["Concept", "MemoryTerminology", "Terminology"]


@dataclass(frozen=True, slots=True)
class Concept:
    """One concept of a terminology.

    Args:
        code: its identifier there, e.g. an RXCUI, SCTID or DOID.
        name: preferred name.
        synonyms: other names, without `name`, no duplicates.
        types: semantic types, tags or hierarchies it belongs to.
    """

    code: str
    name: str
    synonyms: tuple[str, ...] = ()
    types: frozenset[str] = frozenset()

    @property
    def terms(self) -> tuple[str, ...]:
        """All names, the preferred one first."""
        return (self.name, *self.synonyms)


class Terminology(Component, ABC):
    """Concepts, streamed from where they lie; iterate it as often as you like."""

    @abstractmethod
    def __iter__(self) -> Iterator[Concept]:
        """The concepts, in the same order each time.

        Raises:
            DataError: with file and line, where the file is not what its format asks for.
        """

    def __len__(self) -> int:
        """Number of concepts (reads them all)."""
        return sum(1 for _ in self)

    @property
    def name(self) -> str:
        """How it is called: its ``name`` option, else its registered or class name."""
        return self.options.get("name") or self.registered_name or type(self).__name__

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 (32 hexadecimal digits) of its concepts, so that a changed file is another terminology."""
        sha = hashlib.sha256()
        for concept in self:
            fields = (concept.code, *concept.terms, "", *sorted(concept.types))
            sha.update("\x1f".join(fields).encode("utf-8", "surrogatepass") + b"\x1e")
        return sha.hexdigest()[:32]

    @property
    def fingerprint(self) -> str:
        """The :attr:`content_hash`: where the concepts came from does not matter, what they are does."""
        return self.content_hash


class MemoryTerminology(Terminology):
    """Concepts held in a list."""

    def __init__(self, concepts: Iterable[Concept], name: str | None = None):
        self._concepts = list(concepts)

    def __iter__(self) -> Iterator[Concept]:
        return iter(self._concepts)

    def __len__(self) -> int:
        return len(self._concepts)

"""Terminologies: concepts with a code, a name and synonyms."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from clinidistill.component import Component, digest
from clinidistill.errors import ConfigError, OptionError
from clinidistill.registry import registry
from clinidistill.terminologies.files import open_bytes, stem

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

    @classmethod
    def named(cls, code: str, terms: Iterable[str], types: Iterable[str] = ()) -> Concept:
        """A concept of its terms, the preferred one first; empty and repeated ones are left out.

        >>> Concept.named("6809", ["metformin", "Glucophage", "metformin"])
        Concept(code='6809', name='metformin', synonyms=('Glucophage',), types=frozenset())
        """
        name, *synonyms = dict.fromkeys(filter(None, terms))
        return cls(code, name, tuple(synonyms), frozenset(types))

    @property
    def terms(self) -> tuple[str, ...]:
        """All names, the preferred one first."""
        return (self.name, *self.synonyms)


class Terminology(Component, ABC):
    """Concepts, streamed from where they lie; iterate it as often as you like."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    """File name endings by which :meth:`of` knows this format, e.g. ``(".obo",)``; ``.gz`` may follow."""

    filenames: ClassVar[tuple[str, ...]] = ()
    """Patterns of the names that the publisher gives its files, in lower case, e.g. ``("desc[0-9]*.xml",)``; :meth:`of`
    goes by these before it goes by endings. ``.gz`` may follow."""

    @abstractmethod
    def __iter__(self) -> Iterator[Concept]:
        """The concepts, in the same order each time.

        Raises:
            DataError: with file and line, where the file is not what its format asks for.
        """

    def __len__(self) -> int:
        """Number of concepts (reads them all)."""
        return sum(1 for _ in self)

    @cached_property
    def name(self) -> str:
        """How it is called: its ``name`` option, else its file's name, else its registered or class name."""
        options = self.options
        path = options.get("path")
        return options.get("name") or (path and stem(path)) or self.registered_name or type(self).__name__

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 (32 hexadecimal digits) of its concepts, so that a changed file is another terminology."""
        sha = hashlib.sha256()
        for concept in self:
            fields = (concept.code, *concept.terms, "", *sorted(concept.types))
            sha.update("\x1f".join(fields).encode("utf-8", "surrogatepass") + b"\x1e")
        return sha.hexdigest()[:32]

    def source_files(self) -> Sequence[Path] | None:
        """The files on disk that it is made of, in a set order; None where these are not known."""
        return None

    @cached_property
    def source_hash(self) -> str:
        """Hexadecimal hash (32 digits) that changes whenever the concepts could, and is told without parsing.

        It is made of class, version, options, and the bytes of :meth:`source_files`; where they lie does not matter.
        Unlike the :attr:`content_hash`, which it is where there are no such files or an option has no fingerprint,
        it may differ though the concepts are the same.

        Raises:
            DataError: if a file cannot be read.
        """
        files = self.source_files()
        if files is None:
            return self.content_hash
        cls = type(self)
        options = {key: value for key, value in self.options.items() if key not in {"path", *self.display_options}}
        sources = [
            ("".join(file.suffixes).lower(), _file_hash(file)) for file in files
        ]  # endings matter to some formats
        try:
            return digest([f"{cls.__module__}.{cls.__qualname__}", cls.version, options, sources])
        except ConfigError:
            return self.content_hash

    @property
    def fingerprint(self) -> str:
        """The :attr:`content_hash`: where the concepts came from does not matter, what they are does."""
        return self.content_hash

    def __or__(self, other: Terminology) -> Terminology:
        """Its concepts, then those of `other`; one concept a code, with the names and types of both, its own first.

        >>> a = Terminology.of([Concept("1", "fever"), Concept("2", "cough")])
        >>> b = Terminology.of([Concept("1", "pyrexia"), Concept("3", "rash")])
        >>> [concept.terms for concept in a | b]
        [('fever', 'pyrexia'), ('cough',), ('rash',)]
        """
        from clinidistill.terminologies.composed import Union

        return Union([self, other]) if isinstance(other, Terminology) else NotImplemented

    def __sub__(self, other: Terminology | Iterable[str]) -> Terminology:
        """Its concepts whose codes are not those of `other`, a terminology or codes.

        >>> a = Terminology.of([Concept("1", "fever"), Concept("2", "cough")])
        >>> [concept.name for concept in a - ["1"]]
        ['cough']

        Raises:
            OptionError: if `other` is neither.
        """
        from clinidistill.terminologies.composed import Difference

        return Difference(self, other)

    def filter(
        self,
        predicate: Callable[[Concept], object] | None = None,
        *,
        codes: Terminology | Iterable[str] | None = None,
        types: Iterable[str] | None = None,
    ) -> Terminology:
        """Its concepts that pass all that is given.

        Args:
            predicate: says of a concept whether it passes. What a function does no hash can tell, so that the
                :attr:`source_hash` is then the :attr:`content_hash`.
            codes: those that pass, or a terminology whose codes do.
            types: a concept passes that has one of them.

        Raises:
            OptionError: if nothing is given, or one string in place of a list.

        >>> a = Terminology.of([Concept("1", "fever", types=frozenset({"sign"})), Concept("2", "cough")])
        >>> [concept.name for concept in a.filter(types=["sign"])]
        ['fever']
        >>> [concept.name for concept in a.filter(lambda concept: concept.code > "1")]
        ['cough']
        """
        from clinidistill.terminologies.composed import Selection

        return Selection(self, predicate, codes=codes, types=types)

    def map_codes(
        self, codes: Mapping[str, str] | Callable[[str], str | None], *, drop_missing: bool = False
    ) -> Terminology:
        """The same concepts under other codes, say SCTIDs for CUIs; concepts that fall on one code become one.

        Args:
            codes: from its codes to others, or a function that gives another code, or None if it knows none.
            drop_missing: whether concepts without another code are left out; else they keep theirs.

        >>> a = Terminology.of([Concept("C1", "fever"), Concept("C2", "cough"), Concept("C3", "pyrexia")])
        >>> [(concept.code, concept.terms) for concept in a.map_codes({"C1": "386", "C3": "386"})]
        [('386', ('fever', 'pyrexia')), ('C2', ('cough',))]
        """
        from clinidistill.terminologies.composed import Recoded

        return Recoded(self, codes, drop_missing=drop_missing)

    @staticmethod
    def of(
        value: Terminology
        | Mapping[str, Any]
        | str
        | Path
        | Iterable[str | Concept]
        | Iterable[Terminology | Mapping[str, Any] | Path],
    ) -> Terminology:
        """`value` as a terminology.

        Args:
            value: a terminology; a file's path, whose name or ending tells the format; a mapping of a format's options,
                with the format's name under ``"format"`` unless its ``"path"`` tells it; terms and concepts at hand
                (a term is its own code); or several terminologies, mappings and :class:`~pathlib.Path` objects, to
                be joined as by ``|``.

        Raises:
            OptionError: if it is none of these, or the path tells no format.
            RegistryError: if the format is unknown.

        >>> [concept.code for concept in Terminology.of(["aspirin", Concept("6809", "metformin")])]
        ['aspirin', '6809']
        """
        if isinstance(value, Terminology):
            return value
        if isinstance(value, (str, Path)):
            value = {"path": value}
        if isinstance(value, Mapping):
            options = dict(value)
            format_ = options.pop("format", None) or _format_of(options.get("path"))
            terminology = registry("terminologies").create(format_, **options)
            assert isinstance(terminology, Terminology)
            return terminology
        if not isinstance(value, Iterable):
            raise OptionError(
                f"{type(value).__name__} is no terminology: give one, its file's path, or a list of terms"
            )
        items = list(value)
        parts = [Terminology.of(item) for item in items if isinstance(item, (Terminology, Mapping, Path))]
        if parts and len(parts) == len(items):
            from clinidistill.terminologies.composed import Union

            return Union(parts)
        if strange := sorted({type(item).__name__ for item in items if not isinstance(item, (str, Concept))}):
            raise OptionError(
                "a terminology is made of terms (str) and Concepts, or of several terminologies alone, not of "
                + ", ".join(strange)
            )
        return MemoryTerminology(
            Concept(item, item) if isinstance(item, str) else item for item in items if isinstance(item, (str, Concept))
        )


def _format_of(path: object) -> str:
    """The name of the format that claims the file name of `path`, or else its ending."""
    name = Path(str(path or "")).name.lower().removesuffix(".gz")
    formats = registry("terminologies")
    ready = {each.name: formats.get(each.name) for each in formats.available() if each.state == "ready"}
    classes = {format_: cls for format_, cls in ready.items() if issubclass(cls, Terminology)}
    for format_, cls in classes.items():
        if any(fnmatch(name, pattern) for pattern in cls.filenames):
            return format_
    for format_, cls in classes.items():
        if name.endswith(cls.suffixes or ("\0",)):
            return format_
    endings = ", ".join(suffix for cls in classes.values() for suffix in cls.suffixes)
    raise OptionError(
        f"the ending of {name!r} tells no terminology format ({endings} would): name it, as in "
        '{"format": "obo", "path": ...}'
    )


def _file_hash(path: Path) -> str:
    with open_bytes(path), open(path, "rb") as file:  # the first for its errors; packed files are hashed packed
        return hashlib.file_digest(file, "sha256").hexdigest()


class MemoryTerminology(Terminology):
    """Concepts held in a list."""

    registered_name: ClassVar[str | None] = "terminology"

    def __init__(self, concepts: Iterable[Concept], name: str | None = None):
        self._concepts = self._options["concepts"] = list(concepts)  # an option that can be read again

    def __iter__(self) -> Iterator[Concept]:
        return iter(self._concepts)

    def __len__(self) -> int:
        return len(self._concepts)

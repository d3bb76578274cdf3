"""Ontologies in OBO format."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from clinidistill.errors import DataError
from clinidistill.terminologies.base import Concept, Terminology
from clinidistill.terminologies.files import read_lines

__all__ = ["Obo", "Scope"]

Scope = Literal["EXACT", "NARROW", "BROAD", "RELATED"]


class Obo(Terminology):
    """The terms of an OBO file (format 1.0 to 1.4), such as the Disease Ontology.

    A term's namespace and subsets become its concept's types. A term without a name is left out: it only refers
    to another file's.

    Args:
        path: the file, ``.gz`` too.
        scopes: which synonyms are taken. A narrow synonym names something more special, a broad one something
            more general, a related one something else: only exact ones name the concept itself.
        under: ids; only terms below these by ``is_a`` are taken, these themselves left out.
        obsolete: whether obsolete terms are taken too.
        name: how the terminology is called.

    Iterating raises:
        DataError: with file and line, where a line is not OBO, a term has no id, or an id of `under` is missing.

    See the `OBO 1.4 specification <https://owlcollab.github.io/oboformat/doc/GO.format.obo-1_4.html>`_.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".obo",)

    def __init__(
        self,
        path: str | Path,
        *,
        scopes: Sequence[Scope] = ("EXACT",),
        under: Sequence[str] | None = None,
        obsolete: bool = False,
        name: str | None = None,
    ):
        self.path = Path(path)
        self._scopes = frozenset(scopes)
        self._under = under
        self._obsolete = obsolete

    def source_files(self) -> Sequence[Path]:
        return [self.path]

    def __iter__(self) -> Iterator[Concept]:
        wanted = None if self._under is None else self._below(self._under)
        for term in self._terms():
            if term.name and (self._obsolete or not term.obsolete) and (wanted is None or term.id in wanted):
                yield Concept.named(term.id, [term.name, *term.synonyms], term.types)

    def _below(self, roots: Sequence[str]) -> set[str]:
        """The ids of all terms that reach one of `roots` by ``is_a``."""
        children: defaultdict[str, list[str]] = defaultdict(list)
        known: set[str] = set()
        for term in self._terms():
            known.add(term.id)
            for parent in term.parents:
                children[parent].append(term.id)
        if missing := set(roots) - known:
            raise DataError(f"no terms {', '.join(sorted(missing))}; the option under= takes ids", path=self.path)
        below: set[str] = set()
        waiting = list(roots)
        while waiting:
            new = set(children[waiting.pop()]) - below
            below |= new
            waiting += new
        return below - set(roots)

    def _terms(self) -> Iterator[_Term]:
        term: _Term | None = None
        stanza = ""
        for number, raw in enumerate(read_lines(self.path), 1):
            line = raw.strip()
            if not line or line.startswith("!"):
                continue
            if line.startswith("[") and line.endswith("]"):
                if term is not None:
                    yield self._whole(term)
                stanza = line
                term = _Term(number) if line == "[Term]" else None
                continue
            tag, colon, value = line.partition(":")
            if not colon:
                raise DataError("neither 'tag: value' nor a [Stanza]", path=self.path, line=number)
            if term is not None:
                self._take(term, tag.strip(), value.strip(), number)
        if term is not None:
            yield self._whole(term)
        if not stanza:
            raise DataError("no [Term] in it; is it an OBO file?", path=self.path)

    def _take(self, term: _Term, tag: str, value: str, line: int) -> None:
        if tag == "id":
            term.id = _bare(value)
        elif tag == "name":
            term.name = _bare(value)
        elif tag == "is_a":
            term.parents.append(_bare(value))
        elif tag in ("namespace", "subset"):
            term.types.append(_bare(value))
        elif tag == "is_obsolete":
            term.obsolete = _bare(value).lower() == "true"
        elif tag == "synonym" or tag in _OLD_SYNONYMS:
            quoted = _QUOTED.match(value)
            if quoted is None:
                raise DataError(f'{tag} without its text in "quotes"', path=self.path, line=line)
            text, scope = quoted.groups()
            if _OLD_SYNONYMS.get(tag, scope or "RELATED") in self._scopes:
                term.synonyms.append(_unescape(text))

    def _whole(self, term: _Term) -> _Term:
        if not term.id:
            raise DataError("a [Term] without an id", path=self.path, line=term.line)
        return term


@dataclass(slots=True)
class _Term:
    line: int
    id: str = ""
    name: str = ""
    synonyms: list[str] = field(default_factory=list)
    parents: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    obsolete: bool = False


_OLD_SYNONYMS = {f"{scope.lower()}_synonym": scope for scope in ("EXACT", "NARROW", "BROAD", "RELATED")}
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"(?:\s+(EXACT|NARROW|BROAD|RELATED)\b)?')
_COMMENT = re.compile(r"(?:^|\s)!.*$")
_MODIFIERS = re.compile(r"\s+\{[^{}]*=[^{}]*\}\s*$")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t", "W": " "}


def _bare(value: str) -> str:
    """An unquoted value without its trailing comment and modifiers."""
    return _unescape(_MODIFIERS.sub("", _COMMENT.sub("", value)).strip())


def _unescape(value: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), value)

"""Rules for terminologies."""

from __future__ import annotations

import itertools
from tempfile import TemporaryDirectory
from typing import Any

from clinidistill.component import Component
from clinidistill.errors import ClinidistillError
from clinidistill.terminologies.base import Concept, MemoryTerminology, Terminology
from clinidistill.testing.damage import copied, damaged
from clinidistill.testing.rules import Case, Rule, add, broken, leave_out, try_all
from clinidistill.testing.shared import COMPONENT_RULES
from clinidistill.testing.threads import in_threads

__all__ = ["TERMINOLOGY_RULES", "TerminologyCase", "check_terminology"]


def check_terminology(terminology: Terminology) -> dict[str, str]:
    """Check that a terminology keeps the contract of :class:`~clinidistill.terminologies.base.Terminology`.

    Args:
        terminology: a small one, since it is read several times.

    Returns:
        The rules that could not be tried on it, with why.

    Raises:
        ConformanceError: at the first rule that it breaks.
    """
    return try_all(TERMINOLOGY_RULES, TerminologyCase(terminology))


class TerminologyCase(Case):
    """A terminology under test."""

    group = "terminologies"
    base = Terminology
    component: Terminology

    def answers(self) -> list[Concept]:
        return list(self.component)

    def beside(self, component: Component) -> TerminologyCase:
        return TerminologyCase(component)


TERMINOLOGY_RULES: list[Rule] = []


@add(TERMINOLOGY_RULES, "terminology/again")
def can_be_read_again(case: TerminologyCase) -> None:
    """It can be iterated as often as one likes, also twice at a time, and gives the same concepts in the same order."""
    first = case.answers()
    if case.answers() != first:
        broken("its second iteration gives other concepts, or another order; begin anew in __iter__, and sort sets")
    one, other = iter(case.component), iter(case.component)
    pairs = list(itertools.zip_longest(one, other))
    if pairs != [(concept, concept) for concept in first]:
        broken("two iterations at a time disturb each other; keep no place on self")
    for found in in_threads(case.answers):
        if found != first:
            broken("iterations in several threads disturb each other; keep no place on self")


@add(TERMINOLOGY_RULES, "terminology/concepts")
def concepts_are_whole(case: TerminologyCase) -> None:
    """Each concept has a code and a name, and synonyms without the name and without duplicates."""
    concepts = case.answers()
    if not concepts:
        leave_out("it has no concepts; take one that has a few")
    for number, concept in enumerate(concepts, 1):
        if not isinstance(concept, Concept):
            broken(f"item {number} is a {type(concept).__name__}; yield Concepts")
        if not all(isinstance(text, str) and text.strip() for text in (concept.code, *concept.terms)):
            broken(f"concept {number} has an empty code or name, or one that is no string; leave it out")
        if len(set(concept.terms)) != len(concept.terms):
            broken(f"concept {concept.code!r} has a name twice; make it with Concept.named")
        if not isinstance(concept.synonyms, tuple) or not isinstance(concept.types, frozenset):
            broken(f"concept {concept.code!r} has synonyms that are no tuple, or types that are no frozenset")


@add(TERMINOLOGY_RULES, "terminology/length")
def length_is_right(case: TerminologyCase) -> None:
    """`len` is the number of its concepts."""
    if len(case.component) != len(case.answers()):
        broken(f"len() says {len(case.component)}, and it gives {len(case.answers())} concepts")


@add(TERMINOLOGY_RULES, "terminology/fingerprint")
def fingerprint_is_of_concepts(case: TerminologyCase) -> None:
    """Its fingerprint is a hash of its concepts, wherever they come from."""
    if case.component.fingerprint != MemoryTerminology(case.answers()).fingerprint:
        broken("its fingerprint is not that of its concepts in memory; leave fingerprint and content_hash alone")


@add(TERMINOLOGY_RULES, "terminology/source")
def source_files_tell_changes(case: TerminologyCase) -> None:
    """What `source_files` names is there, and `source_hash` goes by its bytes, not by where it lies."""
    if case.component.source_files() is None:
        leave_out("it knows no source files")
    with TemporaryDirectory() as folder:
        other = _moved(case, folder)
        files = [] if other is None else other.source_files() or []
        if other is None or not files:
            leave_out("it is not made of one path")
        if lost := [file.name for file in files if not file.is_file()]:
            broken(f"source_files names {lost[0]}, which is no file")
        if other.source_hash != case.component.source_hash:
            broken("source_hash changes when the files lie elsewhere; hash their bytes, not their paths")
        for file in files:
            before = file.read_bytes()
            file.write_bytes(before + b"\n")
            if _again(other).source_hash == case.component.source_hash:
                broken(f"source_hash stays as it is when {file.name} changes; hash the bytes of all source files")
            file.write_bytes(before)


@add(TERMINOLOGY_RULES, "terminology/damage")
def damaged_files_are_data_errors(case: TerminologyCase) -> None:
    """Damaged files are DataErrors, whatever is wrong with them, or are read as far as they make sense."""
    with TemporaryDirectory() as folder:
        other = _moved(case, folder)
        if other is None:
            leave_out("it is not made of one path")
        for what in damaged(other.options["path"]):
            try:
                for _ in _again(other):
                    pass
            except ClinidistillError:
                continue
            except Exception as error:
                broken(f"of a file {what} it raises {type(error).__name__}; raise DataError with file and line")


def _moved(case: TerminologyCase, folder: str) -> Any:
    return copied(case.component, folder)


def _again(terminology: Terminology) -> Terminology:
    from clinidistill.testing.options import rebuilt

    again = rebuilt(terminology, {})
    assert isinstance(again, Terminology)
    return again


TERMINOLOGY_RULES += COMPONENT_RULES

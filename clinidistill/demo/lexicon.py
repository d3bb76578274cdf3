"""The vocabulary that the demo notes are written in."""

from __future__ import annotations

import re
import tomllib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

__all__ = ["LABELS", "Entry", "held_out", "load_lexicon"]

LABELS = {
    **dict.fromkeys(("chronic", "acute", "family"), "disease"),
    **dict.fromkeys(("symptom", "sign", "state", "reaction"), "symptom"),
    **dict.fromkeys(("home", "given", "class", "fluid", "otc", "supplement", "allergy", "vaccine"), "medication"),
}
"""Role in the lexicon → label of its mentions."""

_HELD_OUT_PERCENT = 36


@dataclass(frozen=True, slots=True)
class Entry:
    """One concept of the lexicon.

    Args:
        names: its surface forms, most usual first; ``~`` stands for his or her.
        domain: clinical domain, e.g. ``"cardiac"``.
        role: what it is for, a key of :data:`LABELS`.
        sex: ``"M"`` or ``"F"`` where it fits one only, else empty.
        order: usual dose, route and frequency of a drug, else empty.
        problems: the kinds of problem in its domain that it belongs to; empty for any.
        imaged: whether imaging shows it or rules it out.
    """

    names: tuple[str, ...]
    domain: str
    role: str
    sex: str = ""
    order: str = ""
    problems: frozenset[str] = frozenset()
    imaged: bool = False

    @property
    def label(self) -> str:
        """Label of its mentions."""
        return LABELS[self.role]

    def fits(self, other: Entry) -> bool:
        """Whether the two may be named in one breath: no problem of one domain keeps them apart."""
        either_general = self.domain != other.domain or not (self.problems and other.problems)
        return either_general or not self.problems.isdisjoint(other.problems)


def held_out(name: str) -> bool:
    """Whether a surface form is kept for the test notes; settled by its spelling alone, case aside."""
    return zlib.crc32(name.casefold().encode()) % 100 < _HELD_OUT_PERCENT


@cache
def load_lexicon() -> Mapping[str, Mapping[str, tuple[Entry, ...]]]:
    """Domain → role → entries, usual ones first."""
    problems = {
        domain: {kind: {name.strip() for name in names.split(";")} for kind, names in kinds.items()}
        for domain, kinds in _read("problems.toml").items()
    }
    return {
        domain: {
            role: tuple(_entry(item, domain, role, problems.get(domain, {})) for item in listing.split(";"))
            for role, listing in roles.items()
        }
        for domain, roles in _read("lexicon.toml").items()
    }


def _read(name: str) -> dict[str, dict[str, str]]:
    return tomllib.loads(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))


def _entry(item: str, domain: str, role: str, problems: Mapping[str, set[str]]) -> Entry:
    listed, _, order = item.partition("@")
    sex, names = re.fullmatch(r"\s*(?:([mf]):)?(.*)", listed, re.S).groups()  # type: ignore[union-attr]
    forms = tuple(" ".join(name.split()) for name in names.split(" / "))
    kinds = {kind for kind, members in problems.items() if forms[0] in members}
    return Entry(
        forms, domain, role, (sex or "").upper(), order.strip(), frozenset(kinds - {"imaged"}), "imaged" in kinds
    )

"""Sentence templates of the demo notes.

A template file holds sections. ``== name`` opens one (``== name*``: its templates are items of a list),
``@ One | Another`` gives its headings, and every other line is a template. In a template

* ``{cc}``, ``{home}``, … are slots, filled by :mod:`clinidistill.demo.patient`;
* ``{3-9}`` and ``{3.1-5.6}`` are numbers from a range, ``{this|that}`` is a choice;
* ``<s:chest pain>`` is a mention as it stands (``m`` medication, ``d`` disease, ``s`` symptom).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

__all__ = ["Section", "Template", "load_templates"]

_LABELS = {"m": "medication", "d": "disease", "s": "symptom"}
_PART = re.compile(r"\{([^{}]+)\}|<([mds]):([^<>]+)>")


@dataclass(frozen=True, slots=True)
class Template:
    """One sentence with slots.

    Args:
        id: file, section and place in it, e.g. ``"train/opening/3"``.
        parts: ``("text", words)``, ``("slot", name)`` or ``(label, mention)``, in order.
    """

    id: str
    parts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """The templates for one section of a note.

    Args:
        headings: ways to head it; empty where it goes without.
        listed: whether its templates are items of a list.
        templates: at least one.
    """

    headings: tuple[str, ...]
    listed: bool
    templates: tuple[Template, ...]


@cache
def load_templates(name: str) -> Mapping[str, Section]:
    """Section name → section, of the template file ``"train"`` or ``"test"``."""
    text = resources.files(__package__).joinpath("templates", f"{name}.txt").read_text(encoding="utf-8")
    sections: dict[str, Section] = {}
    for block in re.split(r"^== ", text, flags=re.M)[1:]:
        title, *lines = (line for line in block.splitlines() if line.strip())
        key = title.rstrip("*")
        headings = tuple(h.strip() for line in lines if line.startswith("@") for h in line[1:].split("|"))
        bodies = [line for line in lines if not line.startswith("@")]
        templates = tuple(Template(f"{name}/{key}/{n}", _parts(body)) for n, body in enumerate(bodies, 1))
        sections[key] = Section(headings, title.endswith("*"), templates)
    return sections


def _parts(body: str) -> tuple[tuple[str, str], ...]:
    parts, at = [], 0
    for match in _PART.finditer(body):
        parts.append(("text", body[at : match.start()]))
        slot, letter, mention = match.groups()
        parts.append(("slot", slot) if slot else (_LABELS[letter], mention))
        at = match.end()
    return tuple(part for part in (*parts, ("text", body[at:])) if part[1])

"""Terminologies: concepts with codes, names and synonyms, read from the formats they are published in."""

from __future__ import annotations

from typing import Any, cast

from clinidistill.registry import registry
from clinidistill.terminologies.base import Concept, MemoryTerminology, Terminology

__all__ = ["Concept", "MemoryTerminology", "Terminology", "load_terminology", "register_terminology"]

register_terminology = registry("terminologies").register
"""Class decorator: makes a :class:`Terminology` loadable by a name."""


def load_terminology(name: str, /, **options: Any) -> Terminology:
    """The terminology format called `name`.

    Args:
        name: ``"rxnorm"``, ``"snomed"``, ``"umls"``, ``"mesh"``, ``"drugbank"``, ``"icd10cm"``, ``"obo"``,
            ``"table"``, or a plugin's.
        options: as that format takes them; most take ``path``.

    Raises:
        RegistryError: if the name is unknown, claimed twice, or its package is broken.
        OptionError: if an option is unknown, missing or of the wrong kind.
    """
    return cast(Terminology, registry("terminologies").create(name, **options))

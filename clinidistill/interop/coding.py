"""Which code system a span's code is of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from clinidistill.errors import ConfigError
from clinidistill.types import Span

__all__ = ["SYSTEMS", "Coding", "check_vocabularies", "coding_of"]

SYSTEMS: Mapping[str, str] = {
    "RxNorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "SNOMED": "http://snomed.info/sct",
    "ICD10CM": "http://hl7.org/fhir/sid/icd-10-cm",
    "MeSH": "https://id.nlm.nih.gov/mesh",
    "UMLS": "http://terminology.hl7.org/CodeSystem/umls",
    "LOINC": "http://loinc.org",
}
"""FHIR's URI of each code system, by the name that OMOP has for it (its ``vocabulary_id``).

From https://terminology.hl7.org/external_terminologies.html
"""


class Coding(NamedTuple):
    """A code and the vocabulary that it is of, by OMOP's name for it."""

    vocabulary: str
    code: str


def check_vocabularies(vocabularies: Mapping[str, str]) -> None:
    """Refuse what is no mapping of labels to known vocabularies.

    Raises:
        ConfigError: naming what is unknown, and all that are known.
    """
    if unknown := sorted(set(vocabularies.values()) - SYSTEMS.keys()):
        raise ConfigError(f"unknown vocabularies: {', '.join(unknown)}; known: {', '.join(SYSTEMS)}")


def coding_of(span: Span, vocabularies: Mapping[str, str]) -> Coding | None:
    """The code of a span; None if it has none, or nobody says of which vocabulary it is.

    Args:
        span: the mention.
        vocabularies: the vocabulary of each label's codes. A code that names its own (``"RxNorm:6809"``) needs none.

    >>> coding_of(Span(0, 9, "medication", code="6809"), {"medication": "RxNorm"})
    Coding(vocabulary='RxNorm', code='6809')
    """
    if span.code is None:
        return None
    prefix, colon, rest = span.code.partition(":")
    if colon and prefix in SYSTEMS:
        return Coding(prefix, rest)
    vocabulary = vocabularies.get(span.label)
    return None if vocabulary is None else Coding(vocabulary, span.code)

"""FHIR R4: what a note mentions as unconfirmed Conditions and MedicationStatements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clinidistill.interop.coding import SYSTEMS, check_vocabularies, coding_of
from clinidistill.types import Document, Span

__all__ = ["EXTENSION", "fhir_bundle"]

EXTENSION = "urn:clinidistill:mention"
"""URL of the extension that holds a mention's place, label and score."""

_STATUS = "http://terminology.hl7.org/CodeSystem/condition-ver-status"


def fhir_bundle(
    document: Document,
    *,
    subject: str,
    vocabularies: Mapping[str, str] | None = None,
    medication: str = "medication",
    source: str | None = None,
) -> dict[str, Any]:
    """A collection Bundle with a resource for each mention; JSON-ready.

    Mentions of `medication` become MedicationStatements of status ``unknown``, all others Conditions that are
    ``unconfirmed``: a note may mention what a patient does not have. An extension holds offsets (code points), label
    and score.

    Args:
        document: a note with spans.
        subject: reference to the patient, such as ``"Patient/42"``.
        vocabularies: the vocabulary of each label's codes, such as ``{"medication": "RxNorm"}``.
        medication: the label of medications.
        source: reference to the note, such as ``"DocumentReference/17"``; None names none.

    Raises:
        ConfigError: if a vocabulary is unknown.

    >>> note = Document("17", "On metformin.", [Span(3, 12, "medication", code="6809")])
    >>> bundle = fhir_bundle(note, subject="Patient/42", vocabularies={"medication": "RxNorm"})
    >>> bundle["entry"][0]["resource"]["medicationCodeableConcept"]["coding"]
    [{'system': 'http://www.nlm.nih.gov/research/umls/rxnorm', 'code': '6809'}]

    Resources: https://hl7.org/fhir/R4/condition.html, https://hl7.org/fhir/R4/medicationstatement.html
    """
    known = dict(vocabularies or {})
    check_vocabularies(known)
    resources = []
    for span in document.spans:
        concept: dict[str, Any] = {"text": document.mention(span)}
        if (coding := coding_of(span, known)) is not None:
            concept["coding"] = [{"system": SYSTEMS[coding.vocabulary], "code": coding.code}]
        shared = {"extension": [_place(span)], "subject": {"reference": subject}}
        resources.append(_resource(concept, shared, source, is_medication=span.label == medication))
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": each} for each in resources]}


def _resource(
    concept: dict[str, Any], shared: dict[str, Any], source: str | None, *, is_medication: bool
) -> dict[str, Any]:
    if is_medication:
        derived = {} if source is None else {"derivedFrom": [{"reference": source}]}
        return {
            "resourceType": "MedicationStatement",
            **shared,
            "status": "unknown",
            "medicationCodeableConcept": concept,
            **derived,
        }
    evidence = {} if source is None else {"evidence": [{"detail": [{"reference": source}]}]}
    status = {"coding": [{"system": _STATUS, "code": "unconfirmed"}]}
    return {"resourceType": "Condition", **shared, "verificationStatus": status, "code": concept, **evidence}


def _place(span: Span) -> dict[str, Any]:
    return {
        "url": EXTENSION,
        "extension": [
            {"url": "start", "valueInteger": span.start},
            {"url": "end", "valueInteger": span.end},
            {"url": "label", "valueString": span.label},
            {"url": "score", "valueDecimal": round(span.score, 4)},
        ],
    }

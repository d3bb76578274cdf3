import json

import pytest
from fhir.resources.R4B.bundle import Bundle

import clinidistill as cd
from clinidistill.errors import ConfigError
from clinidistill.interop.fhir import EXTENSION, fhir_bundle

NOTE = cd.Document(
    "17",
    "💊 On metformin; no angina, some itch.",
    [
        cd.Span(5, 14, "medication", 0.25, code="6809"),
        cd.Span(19, 25, "disease", code="SNOMED:194828000"),
        cd.Span(32, 36, "symptom", code="418290006"),
    ],
)


def test_bundles_are_valid_fhir_and_say_no_more_than_the_note_does():
    bundle = fhir_bundle(
        NOTE, subject="Patient/42", vocabularies={"medication": "RxNorm"}, source="DocumentReference/17"
    )
    drug, disease, symptom = (
        entry.resource for entry in Bundle.model_validate_json(json.dumps(bundle)).entry
    )  # raises if it is not valid
    assert (drug.get_resource_type(), drug.status) == ("MedicationStatement", "unknown")
    assert drug.medicationCodeableConcept.coding[0].code == "6809"
    assert drug.derivedFrom[0].reference == "DocumentReference/17"
    assert disease.verificationStatus.coding[0].code == symptom.verificationStatus.coding[0].code == "unconfirmed"
    assert (disease.code.text, disease.code.coding[0].system) == ("angina", "http://snomed.info/sct")
    assert symptom.code.text == "itch"
    assert symptom.code.coding is None  # nobody says what its code is of
    assert {each.subject.reference for each in (drug, disease, symptom)} == {"Patient/42"}
    (place,) = drug.extension
    parts = {part.url: part for part in place.extension}
    assert place.url == EXTENSION
    assert NOTE.text[parts["start"].valueInteger : parts["end"].valueInteger] == "metformin"
    assert float(parts["score"].valueDecimal) == 0.25


def test_a_note_without_mentions_is_an_empty_bundle():
    Bundle.model_validate(fhir_bundle(cd.Document("1", "Well."), subject="Patient/1"))
    assert fhir_bundle(cd.Document("1", "Well."), subject="Patient/1")["entry"] == []


def test_unknown_vocabularies_are_refused():
    with pytest.raises(ConfigError, match="unknown vocabularies: snomed"):
        fhir_bundle(NOTE, subject="Patient/42", vocabularies={"disease": "snomed"})

import json

import clinidistill as cd
import pytest
from clinidistill.testing import check_terminology

from clinidistill_fhir import CodeSystem

LISINOPRIL = {"code": "C09AA03", "display": "lisinopril", "designation": [
    {"language": "en-US", "value": "Zestril"}, {"language": "fr", "value": "lisinoprilum"},
]}  # fmt: skip
SYSTEM = {
    "resourceType": "CodeSystem",
    "url": "http://example.org/drugs",
    "concept": [{"code": "C09", "display": "ACE inhibitors", "concept": [LISINOPRIL]}, {"code": "A10BA02"}],
}


@pytest.fixture
def write(tmp_path):
    def write(data):
        file = tmp_path / "drugs.fhir.json"
        file.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
        return file

    return write


def test_it_keeps_the_contract_of_terminologies(write):
    check_terminology(CodeSystem(write(SYSTEM)))


def test_concepts_come_with_their_names_and_what_stands_above_them(write):
    above, drug, bare = CodeSystem(write(SYSTEM))
    assert above == cd.Concept("C09", "ACE inhibitors")
    assert drug == cd.Concept("C09AA03", "lisinopril", ("Zestril", "lisinoprilum"), frozenset({"ACE inhibitors"}))
    assert bare == cd.Concept("A10BA02", "A10BA02")


def test_other_languages_are_left_out_if_asked(write):
    _, drug, _ = CodeSystem(write(SYSTEM), languages=["en-US"])
    assert drug.synonyms == ("Zestril",)


def test_a_teacher_marks_its_names_with_their_codes(write):
    teacher = cd.load_teacher("terminology", path=write(SYSTEM), label="medication")
    (note,) = teacher.predict([cd.Document("n1", "Takes Zestril.")])
    assert [(note.mention(span), span.code) for span in note.spans] == [("Zestril", "C09AA03")]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("{\n,", "no JSON"),
        ("[" * 9999, "no JSON"),
        ([], "no CodeSystem"),
        ({"resourceType": "ValueSet"}, "no CodeSystem"),
        ({"resourceType": "CodeSystem", "concept": [{"display": "x"}]}, "KeyError"),
        ({"resourceType": "CodeSystem", "concept": ["x"]}, "AttributeError"),
    ],
)
def test_what_is_no_code_system_is_refused(write, data, reason):
    with pytest.raises(cd.errors.DataError, match=reason) as caught:
        list(CodeSystem(write(data)))
    assert caught.value.path.name == "drugs.fhir.json"

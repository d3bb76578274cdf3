"""What makes a mention of a name that may mean something else."""

import pytest

from clinidistill.errors import OptionError
from clinidistill.matching import Automaton, Evidence, Matcher, Term

TERMS = [
    Term("AML", "other"),
    Term("acute myeloid leukaemia", "aml"),
    Term("von Hippel-Lindau disease", "vhl"),
    Term("ALL", "all", ambiguous=True),
    Term("acute lymphoblastic leukaemia", "all"),
    Term("iron", "fe", ambiguous=True),
    Term("As", "as", ambiguous=True),
    Term("cold", "cold", ambiguous=True),
    Term("coryza", "cold"),
    Term("cough", "cough"),
]
AUTOMATON = Automaton(TERMS)


def found(text, **options):
    matches = Matcher(AUTOMATON, evidence=Evidence(**options)).find(text)
    return [(text[start:end], code) for start, end, code, *_ in matches]


def test_an_abbreviation_means_what_the_text_says_everywhere():
    text = "AML today. Acute myeloid leukaemia (AML) was found."
    assert found(text) == [("AML", "aml"), ("Acute myeloid leukaemia", "aml"), ("AML", "aml")]
    assert found(text, definitions=False)[0] == ("AML", "other")


def test_an_abbreviation_of_something_else_is_no_mention():
    assert found("Anterior mitral leaflet (AML). AML torn.") == []
    assert [code for _, code in found("Anterior mitral leaflet (AML).", definitions=False)] == ["other"]


def test_names_abbreviated_in_part_are_found():
    text = "Von Hippel-Lindau (VHL) disease. VHL disease is rare."
    assert found(text) == [("Von Hippel-Lindau (VHL) disease", "vhl"), ("VHL disease", "vhl")]


@pytest.mark.parametrize(
    ("kind", "yes", "no"),
    [
        ("capitals", "Has ALL since May", "Has all since May"),
        ("capitals", "Has ALL since May", "HAS ALL SINCE MAY"),
        ("dose", "iron 325 mg daily", "iron 12 mg/dL"),
        ("dose", "oral iron", "low iron"),
        ("dose", "iron po", "iron stores"),
        ("list", "cough, cold", "a cold hand, cough"),
        ("concept", "cold; a coryza", "cold; a cough"),
    ],
)
def test_ambiguous_names_need_evidence_and_each_kind_can_be_switched_off(kind, yes, no):
    ambiguous = {"all", "fe", "cold"}
    marked = [mention for mention, code in found(yes, evidence=(kind,)) if code in ambiguous and mention != "coryza"]
    assert len(marked) == 1
    assert not [each for each in found(no, evidence=(kind,)) if each[1] in ambiguous and each[0] != "coryza"]
    assert not [each for each in found(yes, evidence=()) if each[1] in ambiguous and each[0] != "coryza"]


def test_a_function_word_is_no_element():
    assert found("cough, as 5 mg") == [("cough", "cough")]


def test_unknown_kinds_of_evidence_are_told():
    with pytest.raises(OptionError, match="no evidence is called 'moon'"):
        Evidence(evidence=("moon",))

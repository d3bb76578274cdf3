import pytest

from clinidistill.matching import stop_list
from clinidistill.matching.names import NameRules
from clinidistill.matching.variants import plurals, spellings, unqualified
from clinidistill.terminologies import Concept


@pytest.mark.parametrize(
    ("one", "many"),
    [("lung tumor", "lung tumors"), ("biopsy", "biopsies"), ("metastasis", "metastases"), ("abscess", "abscesses")]
    + [("thorax", "thoraxes"), ("stomach ache", "stomach aches"), ("rash", "rashes"), ("x-ray", "x-rays")],
)
def test_singular_and_plural_lead_to_each_other(one, many):
    assert many in plurals(one)
    assert one in plurals(many)


def test_the_end_of_an_abbreviation_or_a_latin_noun_is_no_plural():
    assert [*plurals("AIDS")] == ["AIDSs"]
    assert [*plurals("pruritus")] == [*plurals("arthritis")] == [*plurals("factor 8")] == []


@pytest.mark.parametrize(
    ("british", "american"),
    [("anaemia", "anemia"), ("Haemophilia", "Hemophilia"), ("chronic diarrhoea", "chronic diarrhea")]
    + [("dyspnoea", "dyspnea"), ("brain tumours", "brain tumors"), ("oesophagitis", "esophagitis")],
)
def test_british_and_american_spelling_lead_to_each_other(british, american):
    assert [*spellings(british)] == [american]
    assert [*spellings(american)] == [british]


@pytest.mark.parametrize("term", ["erythema", "chemotherapy", "systemic sclerosis", "infection", "seminoma"])
def test_words_that_only_look_american_stay(term):
    assert [*spellings(term)] == []


def test_qualifiers_are_stripped_one_after_another():
    assert [*unqualified("Unspecified abdominal pain, unspecified NOS (finding)")] == ["abdominal pain"]
    assert [*unqualified("unspecified")] == [*unqualified("pain (acute)")] == []


@pytest.mark.parametrize("name", ["everyday", "analytes"])
def test_stop_lists_hold_terms_in_singular_and_plural_and_no_comments(name):
    terms = stop_list(name)
    assert len(terms) > 100
    assert not any("#" in term or not term for term in terms)
    assert {"symptom", "symptoms"} <= stop_list("everyday")


@pytest.mark.parametrize(
    ("rule", "name", "text"),
    [
        ("word_order", "Carcinoma, hepatocellular", "hepatocellular carcinoma"),
        ("word_order", "breast carcinoma", "carcinoma of the breast"),
        ("synonyms", "Pituitary neoplasms", "pituitary tumor"),
        ("joined", "non-small cell carcinoma", "nonsmall cell carcinoma"),
        ("adjectives", "ischemia", "ischaemic"),
        ("adjectives", "Dyskinesias", "dyskinetic"),
        ("adjectives", "dizziness", "dizzy"),
        ("unqualified", "Pneumonia, unspecified organism", "pneumonia"),
        ("synonyms", "Difficulty in walking", "difficulty walking"),
        ("synonyms", "Difficulty in walking", "trouble walking"),
        ("unqualified", "Akathisia, Drug-Induced", "akathisia"),
    ],
)
def test_each_rule_makes_its_variants_and_can_be_switched_off(rule, name, text):
    concept = Concept("1", name)
    assert text in {term.text.lower() for term in NameRules().terms([concept])}
    assert text not in {term.text.lower() for term in NameRules(**{rule: False}).terms([concept])}


def test_systematic_names_have_no_variants():
    assert len(list(NameRules().terms([Concept("1", "2-(4-isobutylphenyl)propionic acid")]))) == 1


def test_the_plural_of_an_abbreviation_is_no_word():
    assert [term.match_case for term in NameRules().terms([Concept("1", "PAS")])] == [False, True]

"""Misspelled names: what is found, what is left alone, and that blocking loses nothing."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import OSA
from rapidfuzz.process import cdist

from clinidistill.errors import OptionError
from clinidistill.matching import Automaton, Matcher, Misspellings, NameRules, Term, Words, least_score
from clinidistill.matching import fuzzy as module
from clinidistill.matching.fuzzy import LEAST_SCORE, SimilarWords, similarity
from clinidistill.matching.known_words import is_known, known_words, near_known
from clinidistill.teachers import load_teacher
from clinidistill.terminologies import Concept
from clinidistill.types import Document

DRUGS = """
metformin lisinopril amlodipine atorvastatin clonidine clonazepam prednisone prednisolone hydroxyzine
hydralazine acetaminophen ibuprofen amitriptyline azithromycin fluorouracil iron
""".split()  # noqa: SIM905 - prose, not a table
DISEASES = ["hypertension", "heart failure", "rheumatoid arthritis", "breast carcinoma"]
ALIKE = str.maketrans("eiouykqz", "aaaaaccs")


@pytest.fixture(scope="module")
def misspellings():
    rules = NameRules()
    return Misspellings(Automaton(rules.terms(Concept(name, name) for name in DRUGS + DISEASES)))


def found(misspellings, text):
    return [(text[match.start : match.end], match.code) for match in sorted(misspellings.find(Words(text)))]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("metforimn", "metformin"),
        ("Lisinoprill", "lisinopril"),
        ("hypertention", "hypertension"),
        ("HYPERTENTION", "hypertension"),
        ("acetominophen", "acetaminophen"),
        ("amitryptilline", "amitriptyline"),
        ("azythromycin", "azithromycin"),
        ("rhuematoid arthritis", "rheumatoid arthritis"),
        ("Hert  failure", "heart failure"),
        ("carcinoma of the brest", None),  # another order of words is another name
        ("atorvastatins", None),  # a variant, which the automaton finds
    ],
)
def test_a_misspelled_name_is_found_where_it_stands(misspellings, written, meant):
    text = f"Known: {written}, for years."
    assert found(misspellings, text) == ([(written, meant)] if meant else [])


def test_scores_lie_below_one_and_offsets_are_those_of_the_text():
    matcher = Matcher(Automaton([Term("metformin", "6809")]), least_score=LEAST_SCORE)
    text = "Straße:\u00a0 metfo\u00adrimn, metformin"
    misspelled, right = matcher.find(text)
    assert text[misspelled.start : misspelled.end] == "metfo\u00adrimn"
    assert LEAST_SCORE <= misspelled.score < 1 == right.score


@pytest.mark.parametrize(
    "text",
    [
        "prednisolne",  # prednisolone or prednisone
        "The clinic was informed by mail",
        "irno",  # too short to be sure of
        "MFTORMIN12",
        "creatinin",
        "met-formin",
        "",
    ],
)
def test_what_is_unclear_is_left_alone(misspellings, text):
    assert found(misspellings, text) == []


def test_a_known_word_just_as_near_speaks_against_a_name_of_one_word_only():
    misspellings = Misspellings(Automaton([Term("pectin", "1"), Term("pectin jelly", "2")]))
    assert is_known("plectin")
    assert found(misspellings, "a lectin, plectin and pecten") == []  # all known
    assert "section" in near_known("pection")
    assert found(misspellings, "the pection") == []
    assert found(misspellings, "the pection jelly") == [("pection jelly", "2")]


def test_an_abbreviation_and_an_ambiguous_name_are_spelled_right_or_not_meant():
    terms = [Term("GEMSA", "1"), Term("selenium", "2", ambiguous=True), Term("Xanaxa", "3", match_case=True)]
    misspellings = Misspellings(Automaton(terms))
    assert found(misspellings, "Gemssa selennium Xannaxa") == []


def test_the_longest_wins_among_exact_and_misspelled_names():
    matcher = Matcher(Automaton([Term("failure", "1"), Term("heart failure", "2")]), least_score=LEAST_SCORE)
    assert [match.code for match in matcher.find("Acute hert failure")] == ["2"]
    assert [match.code for match in Matcher(matcher.automaton).find("Acute hert failure")] == ["1"]


def test_without_an_edit_nothing_is_found(misspellings):
    assert found(misspellings, ", ".join(DRUGS + DISEASES)) == []


def test_known_words_are_english_and_medical_in_any_inflection():
    assert {"clinic", "thyroglobulin", "apgar", "coumadin"} <= known_words()
    assert not {"metforimn", "lisinoprill", "hypertention"} & known_words()


def test_a_teacher_finds_misspelled_names_if_asked_to_and_is_another_teacher_then():
    note = Document("n1", "On metforimn.")
    teachers = [
        load_teacher("terminology", terminology=DRUGS, label="drug", fuzzy=f) for f in (False, True, 0.95, 0.81)
    ]
    assert [len(list(teacher.label_document(note))) for teacher in teachers] == [0, 1, 0, 1]
    assert len({teacher.fingerprint for teacher in teachers}) == 3  # True is 0.81


def test_several_processes_find_the_same_misspelled_names():
    notes = [Document(str(at), f"On {drug}n and metforimn.") for at, drug in enumerate(DRUGS * 3)]
    one, two = (
        load_teacher("terminology", terminology=DRUGS, label="drug", fuzzy=True, workers=workers) for workers in (1, 2)
    )
    spans = [annotation.spans for annotation in one.annotate(notes)]
    assert all(spans)
    assert [annotation.spans for annotation in two.annotate(notes)] == spans


@pytest.mark.parametrize("fuzzy", [0, 1, -0.5, 2.0])
def test_a_least_score_outside_its_range_is_refused(fuzzy):
    with pytest.raises(OptionError, match="between 0 and 1"):
        least_score(fuzzy)


def test_a_least_score_near_nothing_does_not_let_everything_through():
    misspellings = Misspellings(Automaton([Term("hyperuricemia", "1"), Term("metformin", "2")]), 0.01)
    assert found(misspellings, "hypouricemia, fotmermin, metforimn") == [("metforimn", "2")]


def test_what_is_remembered_of_words_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "_MOST_REMEMBERED", 3)
    misspellings = Misspellings(Automaton([Term("metformin", "1"), Term("severe gout", "2")]))
    text = "metforimn, mefformin or sevre gout in clinic, then metforimin"
    assert [code for _, code in found(misspellings, text)] == ["1", "1", "2", "1"]
    assert len(misspellings._corrections) <= 3


def test_the_option_of_the_same_name_reads_true_false_and_numbers():
    assert [least_score(each) for each in (True, False, 0.9)] == [LEAST_SCORE, None, 0.9]


letters = st.text("abeiouclmnstyz", min_size=4, max_size=9)


@given(st.lists(letters, min_size=1, max_size=30, unique=True), st.lists(letters, min_size=1, max_size=10))
def test_blocking_finds_what_comparing_everything_with_everything_finds(words, queries):
    index = SimilarWords(words)
    folded = [[word.translate(ALIKE) for word in each] for each in (queries, words)]
    distances = cdist(*folded, scorer=OSA.distance)
    for query, row in zip(queries, distances, strict=True):
        assert {*index.near(query)} == {word for word, distance in zip(words, row, strict=True) if distance <= 1}


@given(st.sampled_from(DRUGS[:-1]), st.integers(0, 100), st.sampled_from(string.ascii_lowercase), st.integers(0, 3))
def test_any_single_edit_is_near(word, at, letter, kind):
    at %= len(word) - 1
    head, tail = word[:at], word[at:]
    edited = [head + tail[1:], head + letter + tail[1:], head + letter + tail, head + tail[1] + tail[0] + tail[2:]][
        kind
    ]
    assert word in SimilarWords(DRUGS).near(edited)
    if edited != f"a{word}":
        assert 1 - 1.5 / max(len(word), len(edited)) <= similarity(edited, word) <= 1


@pytest.mark.parametrize(
    "pair",
    [
        "hypouricemia/hyperuricemia",
        "apyrexia/pyrexia",
        "albuminemia/albuminuria",
        "microcyte/macrocyte",
        "lipemia/lipoma",
    ],
)
def test_words_of_another_meaning_are_not_alike(pair):
    word, other = pair.split("/")
    assert similarity(word, other) == 0
    assert not Misspellings(Automaton([Term(f"severe {other}", "1")])).find(Words(f"severe {word}"))

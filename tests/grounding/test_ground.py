import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinidistill.errors import ConfigError
from clinidistill.grounding import Grounding, ground, status_counts
from clinidistill.matching import normalize


def found(text, mentions, **options):
    """(status, what stands there) of each grounding."""
    return [(g.status, g.span and text[g.span.start : g.span.end]) for g in ground(text, mentions, **options)]


def places(text, mentions, **options):
    return [g.span and (g.span.start, g.span.end) for g in ground(text, mentions, **options)]


@pytest.mark.parametrize(
    ("text", "mention", "there"),
    [
        ("No Chest Pain.", "chest pain", "Chest Pain"),
        ("chest\n  pain", "chest pain", "chest\n  pain"),
        ("chest pain", "chestpain", "chest pain"),
        ("insomnia", "in somnia", "insomnia"),
        ("Guillain - Barre syndrome", "Guillain-Barré syndrome", "Guillain - Barre syndrome"),
        ("x - ray", "X-ray", "x - ray"),
        ("x-ray", "xray", "x-ray"),
        ("elevated at 10 . 5 .", "10.5", "10 . 5"),
        ("neuro . consult", "neuro consult", "neuro . consult"),
        ("fever.", "“fever” …", "fever"),
        ("fever.", " fever ", "fever"),
        ("don’t know", "don't know", "don’t know"),
        ("the I.V. line", "IV", "I.V"),
        ("5 mg", "5mg", "5 mg"),
        ("5 µg", "5 ug", "5 µg"),
        ("chest\u200bpain", "chest pain", "chest\u200bpain"),
        ("shortness of breath", "shortnessofbreath", "shortness of breath"),
        ("insomnia", "i n s o m n i a", "insomnia"),
        ("x2days", "2 days", "2days"),
        ("ﬁbrosis of the lung", "FIBROSIS", "ﬁbrosis"),
        ("cafe\u0301 au lait", "café au lait", "cafe\u0301 au lait"),
        ("with ALL", "all", "ALL"),
    ],
)
def test_case_accents_spacing_and_punctuation_do_not_count(text, mention, there):
    assert found(text, [mention]) == [("normalised", there)]


@pytest.mark.parametrize(
    ("text", "mention", "there"),
    [
        ("had hypertension.", "hypertensoin", "hypertension"),
        ("had hypertension.", "ypertension", "hypertension"),
        ("had hypertension.", "hyperttension", "hypertension"),
        ("chronic kidney disease", "chronic disease", "chronic kidney disease"),
        ("Chronic kidney disease", "chronic kindey disease", "Chronic kidney disease"),
        ("shortness of breath", "shortness breath", "shortness of breath"),
        ("pulmonary oedema", "pulmonary edema", "pulmonary oedema"),
        ("chest pain on exertion", "chest pian on exertion", "chest pain on exertion"),
        ("Type 2 diabetes", "type 2 diabtes", "Type 2 diabetes"),
        ("a seizures", "seizure", "seizures"),
        ("continue lisinopril.", "lisinoprill", "lisinopril"),
        ("on warfarin", "warfarinn", "warfarin"),
        ("on metformin", "netformin", "metformin"),
        ("on metformin", "emtformin", "metformin"),
        ("on lamotrigine", "lamotrigime", "lamotrigine"),
        ("aldosterone", "daldosterone", "aldosterone"),
    ],
)
def test_a_typo_or_a_dropped_word_is_bridged_and_scored(text, mention, there):
    (one,) = ground(text, [mention])
    assert (one.status, text[one.span.start : one.span.end]) == ("fuzzy", there)
    assert 0.6 <= one.score < 1
    assert one.span.score == one.score
    assert one.span.status == "fuzzy"


@pytest.mark.parametrize(
    ("text", "mention"),
    [
        ("type 1 diabetes", "type 2 diabetes"),
        ("stage II cancer", "stage III cancer"),
        ("hyperkalemia", "hypokalemia"),
        ("hypertension", "hypotension"),
        ("right arm weakness", "left arm weakness"),
        ("febrile", "afebrile"),
        ("symptomatic", "asymptomatic"),
        ("nitrate", "nitrite"),
        ("prednisolone", "prednisone"),
        ("dysphasia", "dysphagia"),
        ("arthritis", "arteritis"),
        ("macrocytic anemia", "microcytic anemia"),
        ("intracranial pressure", "intercranial pressure"),
        ("abduction", "adduction"),
        ("methanol", "ethanol"),
        ("dehydration", "rehydration"),
        ("never seen", "fever"),
        ("renal failure", "hepatic failure"),
        ("chronic renal failure", "acute renal failure"),
        ("neuropathy", "nephropathy"),
        ("glucose 105", "glucose 10.5"),
        ("glucose 10 5", "glucose 10.5"),
        ("5 mg twice", "50 mg twice"),
        ("500 mg", "500 µg"),
        ("500 mcg", "500 mg"),
        ("HER2+ breast cancer", "HER2-"),
        ("BP > 90", "BP < 90"),
        ("a trial of steroids", "atrial"),
        ("atypical", "a typical"),
        ("in fact", "infact"),
        ("pacemaker", "ACE"),
        ("all of them", "ALL"),
        ("vitamin B12", "vitamin B6"),
        ("plain film", "pain"),
        ("headache", "headaches"),
        ("coronary artery vasospasm; coronary arteries, coronary stent", "coronary vasospasm"),
        ("fluid (CSF) analysis", "fluid analysis"),
        ("staining", "straining"),
        ("slowing", "showing"),
        ("simple", "sample"),
        ("infections", "injections"),
        ("infectious", "infections"),
        ("metastases", "metastasis"),
        ("microg", "microl"),
        ("laparoscopy", "laparoscope"),
        ("old blood", "cold blood"),
        ("breath", "breach"),
        ("fever, no chest pain", "fever chest pain"),
        ("fever. Sudden cough", "fever cough"),
        ("T4", "T3"),
        ("", "fever"),
        ("fever", ""),
        ("fever", "..."),
    ],
)
def test_another_concept_is_lost(text, mention):
    (one,) = ground(text, [mention])
    assert (one.status, one.span, one.score, one.index) == ("lost", None, 0.0, 0)


def test_two_readings_that_are_equally_near_are_lost():
    assert found("dopamines or domamines", ["doamines"]) == [("lost", None)]


def test_mentions_begin_and_end_on_word_edges():
    assert places("pACEmaker, ACE", ["ACE"]) == [(11, 14)]
    assert found("non-smoker took 5mg x2days", ["smoker", "mg", "2days", "5"]) == [
        ("exact", "smoker"),
        ("exact", "mg"),
        ("exact", "2days"),
        ("exact", "5"),
    ]
    assert places("H1N1 N1", ["N1"]) == [(5, 7)], "an edge within a word is taken only where there is no other"
    assert found("cafe\u0301", ["cafe"]) == [("normalised", "cafe\u0301")]
    assert found("患者发热三天", ["发热"]) == [("exact", "发热")], "no spaces between words"


def test_a_mention_quoted_once_is_marked_wherever_it_stands():
    text = "fever, no fever; Fever"
    assert found(text, ["fever"]) == [("exact", "fever"), ("exact", "fever"), ("normalised", "Fever")]
    assert places(text, ["fever"], occurrences="first") == [(0, 5)]
    assert found("MI, not mi", ["MI"]) == [("exact", "MI")], "an abbreviation in another case is another word"


def test_a_mention_quoted_k_times_is_marked_at_its_first_k_places():
    text = "fever, no fever; Fever"
    assert places(text, ["fever", "fever"]) == [(0, 5), (10, 15)]
    assert found(text, ["fever"] * 4) == [
        ("exact", "fever"),
        ("exact", "fever"),
        ("normalised", "Fever"),
        ("lost", None),
    ]


def test_one_string_under_two_labels_may_stand_in_one_place():
    (one, two, three) = ground("fever", ["fever"] * 3, ["sign", "symptom", "sign"])
    assert [g.span and g.span.key for g in (one, two, three)] == [(0, 5, "sign"), (0, 5, "symptom"), None]


def test_a_place_inside_a_longer_mention_of_the_label_counts_only_where_there_is_no_other():
    text = "diabetes mellitus and diabetes"
    both = ["diabetes", "diabetes mellitus"]
    assert places(text, both) == [(22, 30), (0, 17)]
    assert places(text, ["diabetes", *both]) == [(0, 8), (22, 30), (0, 17)]
    assert places("diabetes mellitus", both) == [(0, 8), (0, 17)]
    assert places(text, both, labels=["a", "b"]) == [(0, 8), (22, 30), (0, 17)]


def test_claimed_offsets_choose_among_real_places_and_make_none():
    text = "fever, no fever"
    assert places(text, ["fever"], claimed=[(9, 14)]) == [(10, 15)]
    assert places(text, ["fever", "fever"], claimed=[(10, 15), None]) == [(10, 15), (0, 5)]
    assert places(text, ["fever"], claimed=[(10**9, -5)]) == [(10, 15)]
    assert found(text, ["cough"], claimed=[(0, 5)]) == [("lost", None)]


def test_labels_are_one_for_all_or_one_for_each():
    assert {g.span.label for g in ground("a b", ["a", "b"])} == {"entity"}
    assert {g.span.label for g in ground("a b", ["a", "b"], "word")} == {"word"}
    assert [g.span.label for g in ground("a b", ["b", "a"], ["x", "y"])] == ["x", "y"]
    with pytest.raises(ConfigError, match="1 labels for 2 mentions"):
        ground("a b", ["a", "b"], ["x"])
    with pytest.raises(ConfigError, match="0 claimed offsets for 2 mentions"):
        ground("a b", ["a", "b"], claimed=[])


def test_min_score_bounds_what_counts_as_alike():
    text, mention = "left upper extremity pain", "left extremity pain"
    (one,) = ground(text, [mention])
    assert one.status == "fuzzy"
    assert found(text, [mention], min_score=one.score + 0.01) == [("lost", None)]


def test_a_grounding_does_not_show_the_mention():
    (one,) = ground("secret", ["secret"])
    assert isinstance(one, Grounding)
    assert "secret" not in repr(one)


def test_statuses_are_counted():
    counts = status_counts(ground("Fever and hypertension", ["Fever", "HYPERTENSION", "hypertensoin", "cough"]))
    assert counts == {"exact": 1, "normalised": 1, "fuzzy": 1, "lost": 1}


letters = st.text(st.sampled_from("abcdé ß-.\u0301\u00a0\n5İﬁ发\ud800\0\u202e"), max_size=60)


@given(letters, st.lists(letters, max_size=6), st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_is_given_spans_are_well_formed_and_say_the_truth(text, mentions, data):
    claims = data.draw(st.none() | st.just([(3, 5)] * len(mentions)))
    grounded = ground(text, mentions, claimed=claims)
    assert sorted({g.index for g in grounded}) == list(range(len(mentions)))
    assert [g.index for g in grounded] == sorted(g.index for g in grounded)
    for g in grounded:
        assert g.mention == mentions[g.index]
        assert (g.span is None) == (g.status == "lost")
        if g.span is not None:
            here = text[g.span.start : g.span.end]
            assert 0 <= g.span.start < g.span.end <= len(text)
            assert (here == g.mention) == (g.status == "exact")
            if g.status == "normalised":
                assert bare(here) == bare(g.mention)


def bare(text):
    return [character for character in normalize(text).text if character.isalnum()]


@given(
    st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8), min_size=1, max_size=20), st.data()
)
@settings(max_examples=60, deadline=None)
def test_words_that_stand_in_the_text_are_found_verbatim(words, data):
    text = " ".join(words)
    first = data.draw(st.integers(0, len(words) - 1))
    mention = " ".join(words[first : data.draw(st.integers(first + 1, len(words)))])
    start = len(" ".join([*words[:first], ""])) if first else 0
    grounded = ground(text, [mention])
    assert grounded[0].status == "exact"
    assert (start, start + len(mention)) in {(g.span.start, g.span.end) for g in grounded}


@pytest.mark.alone
@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("fever " * 10, ["x" * 10_000_000]),
        ("fever and cough " * 10, [f"fevr{n}" for n in range(50_000)]),
        ("seizure fever cough dyspnea " * 20_000, [f"feverish {n}" for n in range(1000)] + ["fevers"] * 1000),
        ("ab " * 100_000, ["ab " * n + "b" for n in range(1, 300)]),
        ("a" * 500_000, ["a" * n for n in range(1, 1000)]),
        (" " * 1_000_000 + "fever" + " " * 1_000_000, ["fever now", "fevre", "now fever"] * 50),
        ("e\u0301" * 100_000, ["é" * 50, "e" * 50, "\u0301"]),
        ("\ud800\0" * 50_000, ["\ud800", "\0", "\ud800\0 "]),
    ],
    ids=["long mention", "many mentions", "long text", "nested", "no edges", "spaces", "marks", "no characters"],
)
def test_hostile_input_takes_seconds_at_most(text, mentions):
    started = time.process_time()
    grounded = ground(text, mentions)
    assert time.process_time() - started < 15
    assert len({g.index for g in grounded}) == len(mentions)

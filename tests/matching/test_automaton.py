import itertools
import re
import unicodedata

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from clinidistill.matching import Automaton, Term, Words, word_key
from clinidistill.matching.compiled import Compiled

NAMES = [
    "naïve T cell",
    "Sjögren's syndrome",
    "µ-opioid",
    "fibrosis",
    "Weiß disease",
    "non-small cell",
    "İleus",
    "β-blocker",
]
AUTOMATON = Automaton(Term(name, str(n)) for n, name in enumerate(NAMES))
HOSTILE = "abtcxßİµé\u0301\u0308ﬁ \t\r\n\u00a0\u200b\u00ad–’.,("


def brute_force(terms, text):
    """Runs of words that read as a term, loosely joined; of overlapping ones the longest, then the leftmost."""
    runs = [match.span() for match in re.finditer(r"[^\W_]+", text)]
    keys = {" ".join(re.findall(r"[^\W_]+", term)) for term in terms}
    found = []
    for first, last in itertools.combinations_with_replacement(range(len(runs)), 2):
        start, end = runs[first][0], runs[last][1]
        words = " ".join(text[slice(*run)] for run in runs[first : last + 1])
        if words in keys and not re.search(r"[^ab1 -]|--", text[start:end]):
            found.append((start, end, words))
    kept = []
    for each in sorted(found, key=lambda each: (each[0] - each[1], each[0])):
        if all(each[1] <= other[0] or other[1] <= each[0] for other in kept):
            kept.append(each)
    return sorted(kept)


small = st.text(alphabet="ab1 -", min_size=2, max_size=6).map(lambda text: " ".join(text.split()).strip("-"))
terms = st.lists(small.filter(lambda term: len(term) > 1 and any(map(str.isalpha, term))), min_size=1, max_size=8)


@given(terms, st.text(alphabet="ab1 -,", max_size=40))
@settings(max_examples=300)
def test_it_agrees_with_brute_force(terms, text):
    terms = [term for term in terms if len(word_key(term)) > 1]
    automaton = Automaton(Term(term, word_key(term)) for term in terms)
    assert [match[:3] for match in automaton.find(text)] == brute_force(terms, text)
    repacked = Automaton(Compiled.unpack(automaton.compiled.pack()))
    assert repacked.find(text) == automaton.find(text)


@st.composite
def written(draw):
    """A name in one of the ways that notes write it."""
    code = draw(st.integers(0, len(NAMES) - 1))
    name = NAMES[code]
    for change in draw(
        st.lists(
            st.sampled_from(
                [
                    str.lower,
                    lambda text: unicodedata.normalize("NFD", text),
                    lambda text: unicodedata.normalize("NFKC", text),
                    lambda text: text.replace(" ", "\u00a0"),
                    lambda text: text.replace(" ", " \r\n"),
                    lambda text: text.replace("-", "–").replace("'", "’"),
                    lambda text: text.replace("fi", "ﬁ").replace("ss", "ß"),
                    lambda text: text[:2] + "\u00ad" + text[2:],
                ]
            ),
            max_size=4,
        )
    ):
        name = change(name)
    return str(code), name


texts = st.text(alphabet=HOSTILE, max_size=30)


@given(
    texts,
    st.sampled_from([" ", ", ", "\r\n", "\u00a0(", ". "]),
    written(),
    st.sampled_from([" ", ".", "\n", ")"]),
    texts,
)
def test_a_name_between_non_letters_is_found_exactly_where_it_was_put(before, left, name, right, after):
    code, mention = name
    start = len(before + left)
    found = AUTOMATON.find(before + left + mention + right + after, nested=True)
    assert (start, start + len(mention), code) in [match[:3] for match in found]


@given(texts, st.lists(st.tuples(written().map(lambda pair: pair[1]), texts), max_size=3))
def test_every_match_renormalises_to_its_term_and_they_do_not_overlap(before, parts):
    text = before + "".join(name + after for name, after in parts)
    free = 0
    for start, end, code, *_ in AUTOMATON.find(text):
        assert free <= start < end <= len(text)
        assert word_key(text[start:end]) == word_key(NAMES[int(code)])
        free = end


@given(st.text(alphabet=HOSTILE, max_size=12), st.text(alphabet=HOSTILE, max_size=20))
def test_a_term_of_any_characters_is_found_in_itself(term, other):
    key = word_key(term)
    assume(len(key) > 1 and any(map(str.isalpha, key)))
    matches = Automaton([Term(term, "1")]).find(term)
    assert len(matches) == 1
    assert word_key(term[matches[0].start : matches[0].end]) == key


def test_a_longer_match_that_is_no_whole_word_does_not_hide_a_shorter_one():
    automaton = Automaton([Term("heart", "1"), Term("heart fail", "2")])
    assert [match[:3] for match in automaton.find("heart failure")] == [(0, 5, "1")]


def test_of_terms_that_read_the_same_the_first_wins():
    (match,) = Automaton([Term("Cold", "1"), Term("cold", "2")]).find("COLD")
    assert match[:3] == (0, 4, "1")


def test_a_term_that_matches_case_is_found_in_its_own_spelling_only():
    automaton = Automaton([Term("ALL", "1", match_case=True)])
    assert [match[:3] for match in automaton.find("All of ALL")] == [(7, 10, "1")]


def test_a_term_that_matches_case_goes_before_one_that_does_not():
    automaton = Automaton([Term("aids", "1"), Term("AIDS", "2", match_case=True)])
    assert [match.code for match in automaton.find("aids AIDS Aids")] == ["1", "2", "1"]


def test_single_characters_and_bare_numbers_are_left_out():
    automaton = Automaton(Term(text, text) for text in ("T", "42", "5-2", "", "\u200b", "T4"))
    assert len(automaton) == 1
    assert [match[:3] for match in automaton.find("T 42 5-2 T4")] == [(9, 11, "T4")]


def test_no_terms_find_nothing():
    assert Automaton([]).find("aspirin") == []


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("non-small cell", "NON SMALL-CELL", "NON SMALL-CELL"),
        ("Crohn's disease", "Crohn’s disease", "Crohn’s disease"),
        ("diabetes, type 2", "Diabetes type 2", "Diabetes type 2"),
        ("diabetes, type 2", "diabetes,  Type 2.", "diabetes,  Type 2"),
        ("fever cough", "fever, cough", None),
        ("heart failure", "Heart\n\nFailure", None),
        ("heart failure", "heart\n  failure", "heart\n  failure"),
        ("amoxicillin/clavulanate", "amoxicillin / clavulanate", "amoxicillin / clavulanate"),
        ("amoxicillin/clavulanate", "amoxicillin/clavulanate", "amoxicillin/clavulanate"),
        ("amoxicillin/clavulanate", "amoxicillin-clavulanate", "amoxicillin-clavulanate"),
        ("CD4+", "CD4 and CD4+ cells", "CD4+"),
        ("CD4", "CD4+ cells", "CD4"),
        ("vitamin D (calciferol)", "Vitamin D (calciferol)", "Vitamin D (calciferol)"),
        ("vitamin D (calciferol)", "vitamin D calciferol", "vitamin D calciferol"),
    ],
)
def test_what_may_stand_between_words(name, text, found):
    matches = Automaton([Term(name, "1")]).find(text)
    assert [text[match.start : match.end] for match in matches] == ([found] if found else [])


def test_of_overlapping_matches_the_longest_stays_and_nested_ones_can_be_had():
    automaton = Automaton(Term(name, name) for name in ("acute renal", "renal failure index", "renal", "failure"))
    assert [match.code for match in automaton.find("acute renal failure index")] == ["renal failure index"]
    nested = automaton.find("acute renal failure index", nested=True)
    assert [match.code for match in nested] == ["acute renal", "renal", "renal failure index", "failure"]


def test_a_misspelled_word_is_read_as_it_is_corrected_and_lowers_the_score():
    automaton = Automaton([Term("heart failure", "1"), Term("heart", "2"), Term("fever", "3")])
    words = Words("hert failure, fever")
    (match,) = automaton.candidates(words, {0: ("heart", 0.8)})[1:]
    assert (match.start, match.end, match.code, match.score) == (0, 12, "1", 0.8)


@pytest.mark.parametrize("cut", [0, 5, 40, 200, -1])
def test_tables_that_were_cut_short_are_refused(cut):
    data = Automaton([Term("heart failure", "1"), Term("ALL", "2", match_case=True)]).compiled.pack()
    with pytest.raises((ValueError, KeyError)):
        Compiled.unpack(data[:cut])

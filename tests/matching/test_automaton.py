import unicodedata

from hypothesis import assume, given
from hypothesis import strategies as st

from clinidistill.matching import Automaton, Match, Term, normalize

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
    """Whole words, leftmost then longest, none overlapping; over the normalised text and its offsets."""

    def boundary(at):
        return at in (0, len(text)) or not (text[at - 1].isalnum() and text[at].isalnum())

    at, found = 0, []
    while at < len(text):
        fits = [t for t in terms if text.startswith(t, at) and boundary(at) and boundary(at + len(t))]
        if fits:
            longest = max(fits, key=len)
            found.append(Match(at, at + len(longest), longest))
            at += len(longest)
        else:
            at += 1
    return found


small = st.text(alphabet="ab1 -", min_size=2, max_size=6).map(lambda text: " ".join(text.split()))
terms = st.lists(small.filter(lambda term: len(term) > 1 and any(map(str.isalpha, term))), min_size=1, max_size=8)


@given(terms, st.text(alphabet="ab1 -", max_size=40).map(lambda text: " ".join(text.split())))
def test_it_agrees_with_brute_force(terms, text):
    assert Automaton(Term(term, term) for term in terms).find(text) == brute_force(terms, text)


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
    expected = Match(start, start + len(mention), code)
    assert expected in AUTOMATON.find(before + left + mention + right + after)


@given(texts, st.lists(st.tuples(written().map(lambda pair: pair[1]), texts), max_size=3))
def test_every_match_renormalises_to_its_term_and_they_do_not_overlap(before, parts):
    text = before + "".join(name + after for name, after in parts)
    free = 0
    for start, end, code in AUTOMATON.find(text):
        assert free <= start < end <= len(text)
        assert normalize(text[start:end]).text == normalize(NAMES[int(code)]).text
        free = end


@given(st.text(alphabet=HOSTILE, max_size=12), st.text(alphabet=HOSTILE, max_size=20))
def test_a_term_of_any_characters_is_found_in_itself(term, other):
    key = normalize(term).text.strip()
    assume(len(key) > 1 and any(map(str.isalpha, key)))
    matches = Automaton([Term(term, "1")]).find(term)
    assert len(matches) == 1
    assert normalize(term[matches[0].start : matches[0].end]).text.strip() == key


def test_a_longer_match_that_is_no_whole_word_does_not_hide_a_shorter_one():
    automaton = Automaton([Term("heart", "1"), Term("heart fail", "2")])
    assert automaton.find("heart failure") == [Match(0, 5, "1")]


def test_of_terms_that_read_the_same_the_first_wins():
    assert Automaton([Term("Cold", "1"), Term("cold", "2")]).find("COLD") == [Match(0, 4, "1")]


def test_a_term_that_matches_case_is_found_in_its_own_spelling_only():
    automaton = Automaton([Term("ALL", "1", match_case=True)])
    assert automaton.find("All of ALL") == [Match(7, 10, "1")]


def test_a_term_that_matches_case_goes_before_one_that_does_not():
    automaton = Automaton([Term("aids", "1"), Term("AIDS", "2", match_case=True)])
    assert [match.code for match in automaton.find("aids AIDS Aids")] == ["1", "2", "1"]


def test_single_characters_and_bare_numbers_are_left_out():
    automaton = Automaton(Term(text, text) for text in ("T", "42", "5-2", "", "\u200b", "T4"))
    assert len(automaton) == 1
    assert automaton.find("T 42 5-2 T4") == [Match(9, 11, "T4")]


def test_no_terms_find_nothing():
    assert Automaton([]).find("aspirin") == []

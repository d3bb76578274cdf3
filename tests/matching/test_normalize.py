import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinidistill.matching import normalize

HOSTILE = (
    "aAbß\u1e9eİıſµσςé\u0301\u0308\u0345ﬁ½…™ \t\r\n\u00a0\u2009\u200b\u00ad\u200d\ufeff–−’“`´¨ͺ가\U0001d400\ud800-'9²"
)
hostile = st.text(alphabet=HOSTILE, max_size=40)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Café", "cafe"),
        ("İSTANBUL", "istanbul"),
        ("Straße", "strasse"),
        ("ﬁbrosis", "fibrosis"),
        ("5 µg", "5 μg"),
        ("non‑small—cell − x", "non-small-cell - x"),
        ("Crohn’s ‘x’ “y”", "crohn's 'x' \"y\""),
        ("a \t\r\n\u00a0 b", "a b"),
        ("met\u00adfor\u200bmin\ufeff", "metformin"),
        ("Aspirin™", "aspirin™"),
    ],
)
def test_spellings_that_mean_the_same_fold_together(text, expected):
    assert normalize(text).text == expected


def test_every_character_folds_to_something_that_folds_no_further():
    for point in range(sys.maxunicode + 1):
        character = chr(point)
        if unicodedata.category(character) in ("Cn", "Co"):
            continue
        folded = normalize(character).text
        assert normalize(folded).text == folded, hex(point)


@given(hostile)
def test_normalising_twice_is_normalising_once(text):
    once = normalize(text).text
    assert normalize(once).text == once


@given(hostile, st.data())
def test_the_original_of_a_slice_renormalises_to_it(text, data):
    normalized = normalize(text)
    size = len(normalized.text)
    if not size:
        return
    start = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(start + 1, size))
    offsets = normalized.original(start, end)
    if offsets is not None:
        assert 0 <= offsets[0] < offsets[1] <= len(text)
        assert normalize(text[slice(*offsets)]).text == normalized.text[start:end]


@given(hostile)
def test_the_whole_maps_to_all_but_dropped_characters_at_the_ends(text):
    normalized = normalize(text)
    if normalized.text:
        start, end = normalized.original(0, len(normalized.text))
        assert normalize(text[:start]).text == normalize(text[end:]).text == ""


def test_a_slice_that_cuts_a_ligature_sharp_s_or_run_of_space_has_no_original():
    normalized = normalize("ﬁt  groß")  # fit gross
    assert normalized.original(0, 2) == (0, 1)
    assert normalized.original(0, 1) is None
    assert normalized.original(1, 3) is None
    assert normalized.original(4, 8) is None
    assert normalized.original(3, 9) == (2, 8)


def test_combining_marks_belong_to_the_letter_before_them_and_invisible_ones_to_none():
    text = "cafe\u0301\u200b \u200bnoir"
    normalized = normalize(text)
    assert normalized.text == "cafe noir"
    assert normalized.original(0, 4) == (0, 5)
    assert normalized.original(5, 9) == (8, 12)


def test_plain_ascii_needs_no_map():
    assert normalize("Took aspirin\n81 mg.\t").original(5, 12) == (5, 12)

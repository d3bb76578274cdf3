"""Abbreviations that a text defines itself."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinidistill.matching.abbreviations import WrittenOut, definitions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("acute myeloid leukaemia (AML)", [("AML", "acute myeloid leukaemia")]),
        ("She has AML (acute myeloid leukaemia).", [("AML", "acute myeloid leukaemia")]),
        ("given 5-fluorouracil (5-FU; 20 mg)", [("5-FU", "5-fluorouracil")]),
        ("causing myotonic dystrophy (DM)", [("DM", "myotonic dystrophy")]),
        ("von Hippel-Lindau [VHL] disease", [("VHL", "von Hippel-Lindau")]),
        ("Heart stopped. Later (HF)", []),
        ("fever (see below)", []),
        ("fever (38.5)", []),
        ("methotrexate (MTX) and MTX again", [("MTX", "methotrexate")]),
    ],
)
def test_long_forms_are_those_that_have_the_letters_of_the_short_one(text, expected):
    assert [(each.short, text[each.start : each.end]) for each in definitions(text)] == expected


def test_what_is_written_out_leads_back_to_what_was_written():
    text = "Von Hippel-Lindau (VHL) disease; VHL disease, and VHLs."
    written = WrittenOut(text, definitions(text))
    assert written.text == "Von Hippel-Lindau disease; Von Hippel-Lindau disease, and Von Hippel-Lindau."
    first = written.original(0, 25)
    second = written.original(27, 52)
    assert [text[slice(*place)] for place in (first, second) if place] == [
        "Von Hippel-Lindau (VHL) disease",
        "VHL disease",
    ]
    assert written.original(0, 10) is None  # as it was
    assert written.original(27, 35) is None  # a long form cut off


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet="ab AB().s", max_size=60))
def test_places_written_out_lie_in_the_text(text):
    defined = definitions(text)
    written = WrittenOut(text, defined)
    for each in defined:
        assert 0 <= each.start < each.end <= len(text)
    for start in range(len(written.text)):
        place = written.original(start, len(written.text))
        assert place is None or 0 <= place[0] < place[1] <= len(text)

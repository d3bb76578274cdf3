from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinidistill.students.encoding import IGNORE, Window
from clinidistill.students.span_candidates import (
    BEGINS,
    ENDS,
    gold_slots,
    read_slots,
    select,
    unit_codes,
    units,
    words_in,
)
from clinidistill.types import Span

TEXT = "severe chest pain, no fever"  # 0 severe 1 chest 2 pain 3 , 4 no 5 fever
WORDS = words_in(TEXT)
LABELS = ("disease", "symptom")


def window(*offsets):
    """A window with a special token on both sides."""
    starts, ends = zip((0, 0), *offsets, (0, 0), strict=True)
    return Window(0, np.arange(len(starts)), np.array(starts), np.array(ends))


WHOLE = window((0, 3), (3, 6), (7, 12), (13, 17), (17, 18), (19, 21), (22, 24), (24, 27))


def test_a_unit_is_a_word_whatever_its_pieces():
    found = units(WHOLE, WORDS, begins_note=True, ends_note=True)
    assert found.first.tolist() == [1, 3, 4, 5, 6, 7]
    assert found.last.tolist() == [2, 3, 4, 5, 6, 8]
    assert found.first_word.tolist() == found.last_word.tolist() == [0, 1, 2, 3, 4, 5]
    codes = unit_codes(WHOLE, found)
    assert codes[[0, -1]].tolist() == [IGNORE, IGNORE]
    assert codes[1:-1].tolist() == [BEGINS, ENDS, *[BEGINS + ENDS] * 4, BEGINS, ENDS]


def test_words_under_one_token_are_one_unit():
    found = units(window((0, 6), (7, 18), (19, 21)), WORDS, begins_note=True, ends_note=False)
    assert found.first.tolist() == found.last.tolist() == [1, 2, 3]
    assert list(zip(found.first_word.tolist(), found.last_word.tolist(), strict=True)) == [(0, 0), (1, 3), (4, 4)]


def test_a_word_that_the_window_cuts_is_none_of_its_units():
    inner = window((3, 6), (7, 12), (13, 15))
    assert units(inner, WORDS, begins_note=False, ends_note=False).first_word.tolist() == [1]
    assert units(inner, WORDS, begins_note=True, ends_note=True).first_word.tolist() == [0, 1, 2]  # letters got lost


def test_tokens_between_words_are_none_of_their_units():
    spaced = window((0, 6), (6, 7), (7, 12))
    found = units(spaced, WORDS, begins_note=True, ends_note=False)
    assert (found.first.tolist(), found.last.tolist()) == ([1, 3], [1, 3])
    assert unit_codes(spaced, found).tolist() == [IGNORE, 3, 0, 3, IGNORE]


def test_a_window_without_words_has_no_units():
    empty = window()
    found = units(empty, words_in(" "), begins_note=True, ends_note=True)
    assert len(found) == 0
    assert gold_slots(empty, found, words_in(" "), [Span(0, 1, "disease")], LABELS, max_width=3) is None


def slots(spans, seen=WHOLE, max_width=3, **edges):
    found = units(seen, WORDS, **{"begins_note": True, "ends_note": True, **edges})
    told = gold_slots(seen, found, WORDS, spans, LABELS, max_width=max_width)
    return [] if told is None else list(zip(*(column.tolist() for column in read_slots(told)), strict=True))


def test_nested_spans_and_spans_with_two_labels_are_all_told():
    spans = [
        Span(0, 17, "disease"),
        Span(7, 17, "symptom", score=0.5),
        Span(7, 17, "disease"),
        Span(13, 17, "symptom", score=0.25),
        Span(22, 27, "other"),
    ]
    assert sorted(slots(spans)) == [(1, 3, 0, 1.0), (3, 2, 0, 1.0), (3, 2, 1, 0.5), (4, 1, 1, 0.25)]


def test_spans_that_a_word_surrounds_take_the_whole_word():
    assert slots([Span(2, 9, "disease", score=0.5), Span(0, 12, "disease", score=0.75)]) == [(1, 2, 0, 0.75)]


def test_spans_that_are_too_wide_are_not_told():
    assert slots([Span(0, 18, "disease")]) == []
    assert slots([Span(0, 18, "disease")], max_width=4) == [(1, 4, 0, 1.0)]


def test_half_a_mention_at_the_edge_of_a_window_is_none():
    inner = window((7, 12), (13, 17))
    spans = [Span(0, 12, "disease"), Span(13, 18, "disease"), Span(7, 17, "symptom")]
    assert slots(spans, inner, begins_note=False, ends_note=False) == [(1, 2, 1, 1.0)]


def crosses(a, b):
    return a[0] < b[0] <= a[1] < b[1] or b[0] < a[0] <= b[1] < a[1]


def overlaps(a, b):
    return a[0] <= b[1] and b[0] <= a[1]


@pytest.mark.parametrize(("nested", "clash"), [(True, crosses), (False, overlaps)])
@given(st.integers(0, 2**32), st.integers(0, 12))
def test_the_likeliest_candidates_that_do_not_clash_are_kept(nested, clash, seed, size):
    random = Random(seed)
    found = [(a := random.randrange(10), a + random.randrange(5)) for _ in range(size)]
    scores = np.array([random.random() for _ in found])
    expected = []
    for n in sorted(range(size), key=lambda n: -scores[n]):
        if not any(clash(found[n], found[other]) for other in expected):
            expected.append(n)
    first, last = np.array(found, dtype=np.int64).reshape(-1, 2).T
    assert select(first, last, scores, nested=nested) == expected

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinidistill.errors import SpanError
from clinidistill.types import Span, flatten


@st.composite
def spans(draw: st.DrawFn) -> Span:
    cuts = sorted(draw(st.lists(st.integers(0, 10_000), min_size=2, max_size=8, unique=True)))
    fragments = tuple(zip(cuts[::2], cuts[1::2], strict=False))
    return Span(
        cuts[0],
        fragments[-1][1],
        draw(st.text(min_size=1)),
        draw(st.floats(0, 1)),
        draw(st.none() | st.text()),
        draw(st.none() | st.text()),
        fragments,
    )


@given(spans())
def test_a_span_survives_json(span):
    assert Span.from_dict(json.loads(json.dumps(span.to_dict()))) == span


@given(st.lists(spans()))
def test_spans_sort_by_start_then_end_then_label(unsorted):
    keys = [span.key for span in sorted(unsorted)]
    assert keys == sorted(keys)


@given(spans(), spans())
def test_overlap_is_a_shared_character_position(one, other):
    shared = set(range(one.start, one.end)) & set(range(other.start, other.end))
    assert one.overlaps(other) == other.overlaps(one) == bool(shared)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((-1, 3, "drug"), "starts before the document"),
        ((4, 4, "drug"), "is empty"),
        ((5, 4, "drug"), "is reversed"),
        ((0, 3, ""), "has no label"),
        ((0, 3, None), "has no label"),
        ((0, 3, "drug", 1.01), r"scores lie in \[0, 1\]"),
        ((0, 3, "drug", -0.01), r"scores lie in \[0, 1\]"),
        ((0, 3, "drug", math.nan), r"scores lie in \[0, 1\]"),
        ((0, 3, "drug", "0.5"), "score must be a number, not str"),
        ((0, 3, "drug", True), "score must be a number, not bool"),
        ((0, 3, "drug", None), "score must be a number, not NoneType"),
        ((0.0, 3, "drug"), "start must be an integer, not float"),
        ((0, 3.0, "drug"), "end must be an integer, not float"),
        ((False, 3, "drug"), "start must be an integer, not bool"),
        (("0", 3, "drug"), "start must be an integer, not str"),
        ((0, np.float64(3), "drug"), "end must be an integer, not float64"),
        ((0, np.bool_(True), "drug"), "end must be an integer, not bool"),
    ],
)
def test_a_span_that_cannot_be_says_why(arguments, complaint):
    with pytest.raises(SpanError, match=complaint):
        Span(*arguments)


@pytest.mark.parametrize(
    "fragments",
    [
        ((0, 3), (5, 8)),  # ends before the span
        ((1, 3), (5, 9)),  # starts after it
        ((5, 9), (0, 3)),  # out of order
        ((0, 6), (5, 9)),  # overlapping
        ((0, 3), (4, 4), (5, 9)),  # an empty one
        ((0, 3, 4), (5, 9)),  # no pair
        ((0, 3.0), (5, 9)),
        5,
    ],
)
def test_fragments_must_be_ordered_pairs_that_fill_the_span(fragments):
    with pytest.raises(SpanError, match="fragment"):
        Span(0, 9, "drug", fragments=fragments)


def test_a_single_fragment_is_a_contiguous_span():
    assert Span(0, 9, "drug", fragments=((0, 9),)) == Span(0, 9, "drug")
    assert hash(Span(0, 9, "drug", fragments=[])) == hash(Span(0, 9, "drug"))


def test_numpy_numbers_become_plain_ones():
    span = Span(np.int64(2), np.uint8(5), "drug", np.float32(0.5), fragments=np.array([[2, 3], [4, 5]]).tolist())
    assert span == Span(2, 5, "drug", 0.5, fragments=((2, 3), (4, 5)))
    assert {type(span.start), type(span.end), type(span.score)} == {int, float}
    assert json.loads(json.dumps(span.to_dict())) == span.to_dict()


def test_equal_spans_are_one_member_of_a_set():
    assert len({Span(0, 3, "drug"), Span(0, 3, "drug", 1), Span(0, 3, "disease")}) == 2


def test_length_counts_the_gaps_of_a_discontinuous_mention():
    assert len(Span(2, 9, "drug", fragments=((2, 4), (7, 9)))) == 7


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"start": 0, "end": 3}, r"lacks \['label'\]"),
        ({"start": 0, "end": 3, "label": "drug", "text": "secret"}, r"unknown fields \['text'\]"),
        ({"start": 0, "end": 3, "label": "drug", "score": "1"}, "score must be a number, not str"),
        ({"start": 0, "end": 3, "label": "drug", "code": 12}, "code must be a string or null"),
        ({"start": 0, "end": 3, "label": "drug", "source": []}, "source must be a string or null"),
        ({"start": 0, "end": 3, "label": "drug", "fragments": "ab"}, "fragments must be pairs of offsets"),
        ({"start": "0", "end": 3, "label": "drug"}, "start must be an integer, not str"),
    ],
)
def test_a_malformed_object_says_what_is_wrong_without_its_values(data, complaint):
    with pytest.raises(SpanError, match=complaint) as caught:
        Span.from_dict(data)
    assert "secret" not in str(caught.value)


def test_a_span_cannot_be_changed():
    with pytest.raises(AttributeError):
        Span(0, 3, "drug").start = 1


def places():
    return st.builds(
        lambda start, size, label, score: Span(start, start + size, label, score),
        st.integers(0, 30),
        st.integers(1, 8),
        st.sampled_from(["a", "b"]),
        st.sampled_from([0.25, 0.5, 1.0]),
    )


@given(st.lists(places(), max_size=12))
def test_flatten_keeps_what_no_better_span_overlaps(given_spans):
    kept = flatten(given_spans)
    assert kept == sorted(kept)
    assert not any(one.overlaps(other) for n, one in enumerate(kept) for other in kept[n + 1 :])

    def better(one, other):
        return (len(one), one.score) >= (len(other), other.score)

    for span in given_spans:
        assert span in kept or any(other.overlaps(span) and better(other, span) for other in kept)


def test_flatten_prefers_the_longest_then_the_highest_score_then_the_first():
    long, sure, unsure = Span(0, 9, "b", 0.1), Span(12, 15, "b", 0.9), Span(12, 15, "a", 0.5)
    early, late = Span(20, 24, "a"), Span(22, 26, "a")
    assert flatten([late, unsure, Span(4, 9, "a"), early, sure, long]) == [long, sure, early]

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinidistill.errors import SpanError
from clinidistill.types import Document, Span

NOTE = "Sekretnik takes metformin."
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=4)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    text = draw(st.text(min_size=1))
    places = st.tuples(st.integers(0, len(text) - 1), st.integers(1, len(text))).filter(
        lambda place: place[0] < place[1]
    )
    marked = [Span(*place, draw(st.sampled_from(["drug", "disease"]))) for place in draw(st.lists(places, max_size=5))]
    return Document(
        draw(st.text(min_size=1)),
        text,
        tuple(marked),
        draw(st.none() | st.frozensets(st.text())),
        draw(st.dictionaries(st.text(), JSON, max_size=3)),
    )


@given(documents())
def test_a_document_survives_json(document):
    assert Document.from_dict(json.loads(json.dumps(document.to_dict()))) == document


@given(documents())
def test_spans_are_kept_in_order_and_cut_the_text(document):
    assert list(document.spans) == sorted(document.spans)
    assert all(document.mention(span) == document.text[span.start : span.end] for span in document.spans)
    assert document.labels == {span.label for span in document.spans}


def test_offsets_count_code_points():
    assert Document("n1", "a\U0001f9ec\u0301 bc", [Span(4, 6, "gene")]).mention(Span(4, 6, "gene")) == "bc"


def test_the_fragments_of_a_mention_are_joined_by_a_space():
    note = Document("n1", "left and right leg pain")
    assert note.mention(Span(0, 18, "symptom", fragments=((0, 4), (15, 18)))) == "left leg"


def test_a_span_outside_the_text_names_offsets_label_and_document():
    with pytest.raises(
        SpanError, match=r"span \[16, 27\) 'drug' reaches outside document 'n1', which has 26 char"
    ) as caught:
        Document("n1", NOTE, [Span(16, 27, "drug")])
    assert "metformin" not in str(caught.value)


def test_a_span_may_end_where_the_text_ends():
    assert Document("n1", NOTE, [Span(25, 26, "full stop")]).labels == {"full stop"}


def test_the_repr_shows_sizes_not_text():
    shown = repr(Document("n1", NOTE, [Span(16, 25, "drug")], covers={"drug", "disease"}, meta={"who": "Sekretnik"}))
    assert shown == "Document(id='n1', 26 characters, 1 span, covers ['disease', 'drug'])"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("", NOTE), "non-empty string as its id"),
        ((7, NOTE), "non-empty string as its id"),
        (("n1", NOTE.encode()), "text must be a string, not bytes"),
        (("n1", NOTE, (), "drug"), "covers must be a set of labels, not one string"),
    ],
)
def test_a_document_that_cannot_be_says_why(arguments, complaint):
    with pytest.raises(SpanError, match=complaint) as caught:
        Document(*arguments)
    assert "Sekretnik" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"id": 1}, "needs 'id', a string"),
        ({"text": None}, "needs 'text', a string"),
        ({"spans": {"start": 1}}, "spans must be a list of objects"),
        ({"spans": [[0, 3, "Sekretnik"]]}, "spans must be a list of objects"),
        ({"covers": "Sekretnik"}, "covers must be a list of labels"),
        ({"covers": [1]}, "covers must be a list of labels"),
        ({"meta": ["Sekretnik"]}, "meta must be an object"),
    ],
)
def test_a_malformed_object_says_which_field_without_its_value(change, complaint):
    with pytest.raises(SpanError, match=complaint) as caught:
        Document.from_dict({"id": "n1", "text": NOTE, **change})
    assert "Sekretnik" not in str(caught.value)


def test_foreign_keys_go_into_meta():
    assert Document.from_dict({"id": "n1", "text": NOTE, "ward": 3, "meta": {"year": 2020}}).meta == {
        "ward": 3,
        "year": 2020,
    }


def test_covers_tells_looked_for_from_not_looked_for():
    note = Document("n1", NOTE)
    assert note.covers_label("anything")
    narrow = note.with_spans([Span(16, 25, "drug")], ["drug"])
    assert (narrow.covers_label("drug"), narrow.covers_label("disease")) == (True, False)
    assert narrow.without_spans() == note
    assert note.with_spans([], []).covers == frozenset()  # looked for nothing, which is not None


def test_documents_are_hashable_whatever_their_meta():
    one, other = (Document("n1", NOTE, covers=["drug"], meta={"tags": [n]}) for n in (1, 2))
    assert hash(one) == hash(other)
    assert len({one, other, Document("n1", NOTE, covers={"drug"}, meta={"tags": [1]})}) == 2

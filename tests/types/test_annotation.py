import pytest

from clinidistill.errors import SpanError
from clinidistill.types import Annotation, Span


def test_spans_are_sorted_and_kept_as_a_tuple():
    annotation = Annotation("n1", "rules", [Span(5, 9, "drug"), Span(0, 3, "drug")])
    assert [span.start for span in annotation.spans] == [0, 5]
    assert isinstance(annotation.spans, tuple)


def test_a_teacher_has_a_vote_on_the_labels_it_looked_for():
    annotation = Annotation("n1", "rules", covers=["drug"])
    assert annotation.knows("drug")
    assert not annotation.knows("disease")
    assert Annotation("n1", "rules").knows("disease")
    assert not Annotation("n1", "rules", covers=()).knows("drug")


def test_a_failed_teacher_has_no_vote_at_all():
    failed = Annotation("n1", "rules", error="TimeoutError")
    assert failed.failed
    assert not failed.knows("drug")


def test_one_string_is_no_set_of_labels():
    with pytest.raises(SpanError, match="not one string"):
        Annotation("n1", "rules", covers="drug")


def test_annotations_are_hashable_whatever_their_usage():
    one, other = (Annotation("n1", "llm", usage={"input_tokens": n}) for n in (1, 2))
    assert hash(one) == hash(other)
    assert one != other

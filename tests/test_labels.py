import pytest

from clinidistill.datasets import MemoryDataset
from clinidistill.errors import ConfigError, SpanError
from clinidistill.labels import Labels
from clinidistill.types import Annotation, Document, Span

NOTES = [
    Document("n1", "On metformin.", [Span(0, 2, "gold")]),
    Document("n2", "On lisinopril."),
    Document("n3", "Well."),
]
DRUG = Span(3, 12, "medication")


def only(labels):
    return {opinions.document.id: {name: a.spans for name, a in opinions.annotations.items()} for opinions in labels}


def test_a_teacher_without_an_entry_abstains_and_one_without_spans_found_nothing():
    labels = Labels.from_annotations(NOTES, {"a": {"n1": [DRUG], "n2": []}, "b": {}})
    assert only(labels) == {"n1": {"a": (Span(3, 12, "medication", source="a"),)}, "n2": {"a": ()}, "n3": {}}
    assert labels.teachers == ("a", "b")
    assert [opinions.document for opinions in labels] == NOTES


def test_a_span_that_names_its_source_keeps_it():
    labels = Labels.from_annotations(NOTES, {"a": {"n1": [Span(3, 12, "medication", source="model-7")]}})
    assert next(iter(labels)).annotations["a"].spans[0].source == "model-7"


def test_a_teacher_knows_what_is_stated_else_what_it_uses_anywhere_else_all():
    table = {"uses": {"n1": [DRUG], "n2": []}, "silent": {"n1": []}, "stated": {"n1": [DRUG]}, "open": {"n1": [DRUG]}}
    labels = Labels.from_annotations(NOTES, table, covers={"stated": ["medication", "disease"], "open": None})
    covers = {name: annotation.covers for name, annotation in next(iter(labels)).annotations.items()}
    assert covers == {
        "uses": {"medication"},
        "silent": None,
        "stated": {"medication", "disease"},
        "open": None,
    }
    assert list(labels)[1].annotations["uses"].covers == {"medication"}


def test_strangers_among_documents_and_covers_and_spans_outside_are_refused():
    with pytest.raises(ConfigError, match="'a' annotates documents that are not there.*n9"):
        Labels.from_annotations(NOTES, {"a": {"n9": []}})
    with pytest.raises(ConfigError, match="without annotations.*'b'"):
        Labels.from_annotations(NOTES, {"a": {}}, covers={"b": ["x"]})
    with pytest.raises(SpanError, match="'n3'"):
        Labels.from_annotations(NOTES, {"a": {"n3": [DRUG]}})


def test_labels_can_be_iterated_again_and_know_their_length():
    labels = Labels.from_annotations((note for note in NOTES), {"a": {"n1": [DRUG]}})
    assert only(labels) == only(labels)
    assert len(labels) == 3
    assert "teachers=['a']" in repr(labels)


def test_annotations_are_looked_up_in_chunks_as_they_are_needed():
    asked = []

    def lookup(teacher, documents):
        asked.append((teacher, len(documents)))
        return {d.id: Annotation(d.id, teacher) for d in documents}

    labels = Labels([Document(str(n), "text") for n in range(1000)], ["a", "b"], lookup)
    walk = iter(labels)
    assert asked == []
    assert list(next(walk).annotations) == ["a", "b"]
    assert asked == [("a", 256), ("b", 256)]
    assert [opinions.document.id for opinions in walk] == [str(n) for n in range(1, 1000)]
    assert [size for teacher, size in asked if teacher == "a"] == [256, 256, 256, 232]


def test_no_documents_means_no_lookups():
    assert list(Labels([], ["a"], lambda *_: pytest.fail("asked"))) == []


def test_voters_are_those_that_did_not_fail_and_know_the_label():
    said = {
        "a": Annotation("n1", "a"),
        "b": Annotation("n1", "b", covers={"disease"}),
        "c": Annotation("n1", "c", error="Timeout"),
        "d": Annotation("n1", "d", covers={"medication"}),
    }
    (opinions,) = Labels(NOTES[:1], said, lambda teacher, _: {"n1": said[teacher]})
    assert [a.teacher for a in opinions.voters("medication")] == ["a", "d"]
    assert [a.teacher for a in opinions.voters("disease")] == ["a", "b"]


def failing(teacher, documents):
    return {d.id: Annotation(d.id, teacher, error="Timeout" if d.id < "n3" else None) for d in documents}


def test_failures_come_by_document_then_teacher():
    labels = Labels(NOTES, ["b", "a"], failing)
    assert [(a.document_id, a.teacher) for a in labels.failures()] == [
        ("n1", "b"),
        ("n1", "a"),
        ("n2", "b"),
        ("n2", "a"),
    ]


def test_select_keeps_documents_and_the_order_asked_for():
    labels = Labels.from_annotations(NOTES, {"a": {"n1": [DRUG]}, "b": {}, "c": {"n1": []}})
    picked = labels.select("c", "a")
    assert (picked.teachers, picked.documents) == (("c", "a"), labels.documents)
    assert list(next(iter(picked)).annotations) == ["c", "a"]
    with pytest.raises(ConfigError, match="'z'; teachers: a, b, c"):
        labels.select("a", "z")


def test_predictions_are_one_teachers_spans_in_place_of_the_gold():
    labels = Labels.from_annotations(NOTES, {"a": {"n1": [DRUG]}, "b": {"n1": []}})
    predicted = labels.predictions("a")
    assert len(predicted) == 3
    assert [[s.key for s in d.spans] for d in predicted] == [[(3, 12, "medication")], [], []]
    assert [d.covers for d in predicted] == [{"medication"}, None, None]
    assert [d.text for d in predicted] == [note.text for note in NOTES]
    with pytest.raises(ConfigError, match="no teacher"):
        labels.predictions("z")


def test_a_dataset_of_unknown_length_stays_one():
    labels = Labels(MemoryDataset(NOTES).filter(lambda note: True), [], lambda *_: {})
    with pytest.raises(TypeError, match="does not know its length"):
        len(labels)

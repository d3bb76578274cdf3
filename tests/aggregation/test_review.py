import math

import pytest

import clinidistill as cd
from clinidistill import Annotation, Document, Labels, Span
from clinidistill.aggregation.agreement import agreement
from clinidistill.aggregation.review import review_queue
from clinidistill.errors import ConfigError

TEXT = "🙂 Low back pain;\r\nmetformin and aspirin."
LOW_BACK_PAIN, BACK_PAIN = (Span(TEXT.index(start), TEXT.index(";"), "symptom") for start in ("Low", "back"))
METFORMIN, ASPIRIN = (
    Span(TEXT.index(drug), TEXT.index(drug) + len(drug), "medication") for drug in ("metformin", "aspirin")
)


def labels(documents, covers=None):
    """``{document: [spans of a, of b, …]}``; None where a teacher has not seen the document."""
    notes = [Document(key, TEXT, meta={"ward": 3}) for key in documents]
    teachers = "abcd"[: max(map(len, documents.values()))]
    said = {
        teacher: {key: spans[n] for key, spans in documents.items() if spans[n] is not None}
        for n, teacher in enumerate(teachers)
    }
    return Labels.from_annotations(notes, said, covers=dict.fromkeys(said) if covers is None else covers)


def entropy(*counts):
    return -sum(n / sum(counts) * math.log2(n / sum(counts)) for n in counts)


def test_most_disagreement_comes_first_and_equal_ones_stay_in_order():
    found = labels(
        {
            "agreed": [[METFORMIN], [METFORMIN], [METFORMIN], [METFORMIN]],
            "one of four": [[METFORMIN], [], [], []],
            "one of four again": [[], [], [], [ASPIRIN]],
            "half": [[METFORMIN], [METFORMIN], [], []],
            "two places": [[METFORMIN, ASPIRIN], [METFORMIN, ASPIRIN], [], []],
            "nothing": [[], [], [], []],
        }
    )
    queue = review_queue(found)
    assert [note.id for note in queue] == [
        "two places",
        "half",
        "one of four",
        "one of four again",
        "agreed",
        "nothing",
    ]
    bits = {note.id: note.meta["disagreement"] for note in queue}
    assert bits["two places"] == 2
    assert bits["half"] == 1
    assert bits["one of four"] == pytest.approx(entropy(1, 3))
    assert bits["agreed"] == bits["nothing"] == 0
    assert [(each.document_id, each.disagreement) for each in agreement(found).documents] == [*bits.items()]
    assert [note.id for note in review_queue(found, limit=2)] == ["two places", "half"]


def test_other_edges_are_disagreement_and_the_most_frequent_answer_is_suggested():
    found = labels({"n": [[LOW_BACK_PAIN], [BACK_PAIN], [BACK_PAIN], []]})
    (note,) = review_queue(found)
    (span,) = note.spans
    assert (span.key, span.score, span.source) == (BACK_PAIN.key, 0.75, "teachers")
    assert note.meta["ward"] == 3
    assert note.meta["disagreement"] == pytest.approx(entropy(1, 2, 1))
    assert note.meta["contested"] == [
        {
            "start": LOW_BACK_PAIN.start,
            "end": LOW_BACK_PAIN.end,
            "label": "symptom",
            "marked_by": ["a", "b", "c"],
            "voters": 4,
            "disagreement": note.meta["disagreement"],
        }
    ]


def test_abstentions_do_not_count():
    covers = {"a": None, "b": None, "c": ["symptom"]}
    found = labels({"n": [[METFORMIN], [METFORMIN], []], "m": [[METFORMIN], None, []]}, covers)
    assert [note.meta["disagreement"] for note in review_queue(found)] == [0, 0]
    assert [note.spans[0].score for note in review_queue(found)] == [1, 1]
    table = {
        "a": {"n": Annotation("n", "a", (METFORMIN,))},
        "b": {"n": Annotation("n", "b", error="ServerError: x")},
    }
    failed = Labels([Document("n", TEXT)], table, lambda name, _: table[name])
    assert [note.meta["disagreement"] for note in review_queue(failed)] == [0]


def test_covers_is_what_somebody_looked_for():
    covers = {"a": ["medication"], "b": ["symptom"]}
    (note,) = review_queue(labels({"n": [[METFORMIN], [BACK_PAIN]]}, covers))
    assert note.covers == {"medication", "symptom"}
    assert [span.label for span in note.spans] == ["symptom", "medication"]


@pytest.mark.parametrize(("format", "file"), [("label-studio", "x.json"), ("doccano", "x.jsonl"), ("jsonl", "x.jsonl")])
def test_the_queue_goes_to_people_and_comes_back(format, file, tmp_path):
    split = Span(LOW_BACK_PAIN.start, METFORMIN.end, "symptom", fragments=((2, 6), (METFORMIN.start, METFORMIN.end)))
    queue = review_queue(labels({"n": [[METFORMIN, BACK_PAIN], [ASPIRIN], []], "m": [[split], [], []]}))
    assert queue.save(tmp_path / file, format) == 2
    back = list(cd.load_dataset(format, path=tmp_path / file))
    assert [(note.id, note.text, note.meta, note.covers) for note in back] == [
        (note.id, note.text, note.meta, note.covers) for note in queue
    ]
    assert [[span.key for span in note.spans] for note in back] == [[span.key for span in note.spans] for note in queue]
    assert back[0].mention(back[0].spans[0]) == "back pain"


def test_a_limit_below_zero_is_refused_and_declared_notes_stay_declared():
    found = labels({"n": [[METFORMIN], []]})
    with pytest.raises(ConfigError, match="limit must be 0 or more"):
        review_queue(found, limit=-1)
    assert list(review_queue(found, limit=0)) == []
    assert not review_queue(found).is_deidentified
    said = {"a": {"n": [METFORMIN]}, "b": {"n": []}}
    declared = Labels.from_annotations(cd.MemoryDataset([Document("n", TEXT)]).deidentified(), said)
    assert review_queue(declared).is_deidentified

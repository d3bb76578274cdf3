import json
import tempfile
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest
from document_strategies import LABELS, documents
from hypothesis import given, settings
from hypothesis import strategies as st

import clinidistill as cd
from clinidistill.datasets.label_studio import labelling_config
from clinidistill.errors import DataError, OptionError
from clinidistill.types import Document, Span

TEXT = "🙂 Denies chest pain.\r\nOn metformin."


def region(start, end, *labels, **more):
    value = {"start": start, "end": end, "labels": list(labels), **more.pop("value", {})}
    return {"from_name": "label", "to_name": "text", "type": "labels", "value": value, **more}


def task(number=1, text=TEXT, **keys):
    return {"id": number, "data": {"text": text}, **keys}


def annotation(*result, **keys):
    return {"result": list(result), "was_cancelled": False, **keys}


def write(folder, *tasks):
    (folder / "x.json").write_text(json.dumps(tasks), encoding="utf-8")
    return folder / "x.json"


def read(path, **options):
    return list(cd.load_dataset("label-studio", path=path, **options))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(documents(fragments=False, codes=False), max_size=3, unique_by=lambda document: document.id),
    st.none() | st.frozensets(st.sampled_from(LABELS)),
    st.dictionaries(st.sampled_from(["id", "text", "meta", "covers", "ward"]), st.integers() | st.none(), max_size=3),
    st.sampled_from([None, "gpt-4"]),
)
def test_documents_come_back_as_they_were(some, covers, meta, source):
    some = [
        replace(
            each,
            spans=tuple(dict.fromkeys(replace(span, score=0.25, source=source) for span in each.spans)),
            covers=covers,
            meta=meta,
        )
        for each in some
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.json"
        assert cd.MemoryDataset(some).save(path) == len(some)
        assert read(path) == some


def test_a_task_is_written_as_label_studio_imports_it(tmp_path):
    spans = (Span(9, 19, "symptom", 0.5, "a"), Span(25, 34, "medication", source="b"))
    note = Document("n1", TEXT, spans, frozenset({"symptom"}), {"disagreement": 2.5, "id": "other"})
    cd.MemoryDataset([note]).save(tmp_path / "x.json", "label-studio")
    (written,) = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert written["data"] == {
        "id": "n1",
        "text": TEXT,
        "covers": ["symptom"],
        "disagreement": 2.5,
        "meta": {"id": "other"},
    }
    first, second = written["predictions"]
    assert (first["model_version"], first["score"], second["model_version"]) == ("a", 0.5, "b")
    (only,) = first["result"]
    assert {name: only[name] for name in ("from_name", "to_name", "type")} == {
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
    }
    assert only["value"] == {"start": 9, "end": 19, "text": "chest pain", "labels": ["symptom"]}


def test_offsets_count_code_points_and_a_windows_line_end_as_two(tmp_path):
    """As Label Studio's own test has it: in '🐱 Warning: This is a test text', 'test' is [21, 25)."""
    cat = "🐱 Warning: This is a test text"
    quoted = region(21, 25, "x", value={"text": "test"})
    lines = region(15, 25, "y", value={"text": "pain.\\n\\nOn "})
    path = write(tmp_path, task(1, cat, annotations=[annotation(quoted)]), task(2, annotations=[annotation(lines)]))
    first, second = read(path)
    assert first.mention(first.spans[0]) == "test"
    assert second.mention(second.spans[0]) == "pain.\r\nOn "


def test_a_mention_that_the_text_does_not_have_there_is_refused_without_showing_it(tmp_path):
    path = write(tmp_path, task(annotations=[annotation(region(10, 20, "x", value={"text": "chest pain"}))]))
    with pytest.raises(DataError, match=r"x\.json:1: task 1: .*offsets count code points") as caught:
        read(path)
    assert "chest" not in str(caught.value)


def test_exports_that_count_utf_16_are_read_where_it_is_said(tmp_path):
    quote = {"text": "chest pain"}
    path = write(tmp_path, task(annotations=[annotation(region(10, 20, "x", value=quote))]))
    assert read(path, offsets="utf-16")[0].spans == (Span(9, 19, "x"),)
    path = write(tmp_path, task(annotations=[annotation(region(10, 20, "x"), region(26, 35, "y"))]))
    with pytest.raises(DataError, match=r"task 1: .*say offsets='utf-16', or check=False"):
        read(path)
    assert [span.key for span in read(path, offsets="utf-16")[0].spans] == [(9, 19, "x"), (25, 34, "y")]
    assert [span.key for span in read(path, check=False)[0].spans] == [(10, 20, "x"), (26, 35, "y")]
    with pytest.raises(OptionError, match="offsets"):
        read(path, offsets="bytes")


def test_people_s_annotations_come_before_predictions_and_cancelled_ones_never(tmp_path):
    prediction = {"model_version": "m", "result": [region(0, 1, "guess", score=0.5)]}
    skipped = annotation(region(0, 1, "skipped"), was_cancelled=True)
    path = write(
        tmp_path,
        task(1, annotations=[annotation(region(2, 8, "judged")), skipped], predictions=[prediction]),
        task(2, predictions=[prediction]),
        task(3, annotations=[skipped], predictions=[prediction]),
        task(4),
        task(5, annotations=[annotation()], predictions=[prediction]),
    )
    found = read(path)
    assert [[(span.label, span.source, span.score) for span in each.spans] for each in found] == [
        [("judged", None, 1.0)],
        [("guess", "m", 0.5)],
        [],
        [],
        [],
    ]
    assert [each.covers for each in found] == [None, None, frozenset(), frozenset(), None]
    assert [each.id for each in found] == ["1", "2", "3", "4", "5"]
    (_, guessed, *_) = read(path, predictions=False)
    assert (guessed.spans, guessed.covers) == ((), frozenset())


def test_of_several_annotations_ground_truth_wins_then_the_latest(tmp_path):
    old, new = (annotation(region(0, 1, day), updated_at=f"2024-01-0{day}T00:00:00Z") for day in "12")
    truth = annotation(region(0, 1, "truth"), updated_at="2023-01-01T00:00:00Z", ground_truth=True)
    path = write(tmp_path, task(1, annotations=[new, old]), task(2, annotations=[old, truth, new]))
    assert [each.spans[0].label for each in read(path)] == ["2", "truth"]


def test_regions_may_have_several_labels_or_none_and_other_results_are_passed_over(tmp_path):
    choice = {"type": "choices", "from_name": "c", "to_name": "text", "value": {"choices": ["yes"]}}
    regions = [region(2, 8, "b", "a"), region(0, 1), choice]
    (document,) = read(write(tmp_path, task(annotations=[annotation(*regions)])))
    assert [span.label for span in document.spans] == ["a", "b"]


def test_the_text_may_have_another_name_and_labels_are_renamed(tmp_path):
    other = {"id": 7, "data": {"note": "On aspirin.", "ward": 3}, "annotations": [annotation(region(3, 10, "Drug"))]}
    path = write(tmp_path, other)
    (document,) = read(path, text_field="note", labels={"Drug": "medication"})
    assert document == Document("7", "On aspirin.", (Span(3, 10, "medication"),), {"medication"}, {"ward": 3})
    with pytest.raises(DataError, match=r"'data' needs 'text' \(see the option text_field\)"):
        read(path)


@pytest.mark.parametrize(
    ("content", "place", "reason"),
    [
        ('{"id": 1}', (1, 1), "want \\[ here"),
        ("[{},\n]", (2, 1), "want { here"),
        ('[\n{"data": {"text": "secret"}, }\n]', (2, 30), "no JSON"),
        ("[{}", (1, 4), "want , or \\] here"),
        ("", (1, 1), "want \\[ here"),
        ("[1]", (1, 2), "want { here"),
        ('[{"n": ' + "9" * 5000 + "}]", (1, 8), "a number too long"),
    ],
)
def test_a_file_that_is_no_list_of_tasks_names_line_and_column(content, place, reason, tmp_path):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(DataError, match=reason) as caught:
        read(tmp_path / "x.json", on_error="skip")
    assert (caught.value.line, caught.value.column) == place
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"id": 1}, "'data' .export as JSON, not JSON-MIN."),
        ({"data": {"text": "secret"}}, "a task needs an 'id'"),
        ({"id": True, "data": {"text": "secret"}}, "a task needs an 'id'"),
        (task(text="secret", annotations={}), None),
        (task(text="secret", annotations={"a": 1}), "'annotations' must be of the kind list"),
        (task(text="secret", annotations=[1]), "each of 'annotations'"),
        (task(text="secret", annotations=[annotation(region(0, 7, "x"))]), "outside the text"),
        (task(text="secret", annotations=[annotation(region("0", 7, "x"))]), "must be an integer"),
        (task(text="secret", annotations=[annotation(region(0, 2, 5))]), "has no label"),
        (task(text="secret", annotations=[annotation({"type": "labels", "value": {}})]), "needs start and end"),
        (task(text="secret", annotations=[annotation({"type": "labels"})]), "a result's 'value'"),
        (task(text="secret", predictions=[{"result": [region(0, 2, "x", score=10**400)]}]), "score must lie"),
    ],
)
def test_a_malformed_task_names_file_line_and_task_and_shows_no_text(broken, reason, tmp_path):
    content = "[\n" + json.dumps(task(9)) + ",\n" + json.dumps(broken) + "\n]"
    (tmp_path / "x.json").write_text(content)
    if reason is None:  # an empty object is as good as an empty list
        assert len(read(tmp_path / "x.json")) == 2
        return
    with pytest.raises(DataError, match=f"task 2: .*{reason}") as caught:
        read(tmp_path / "x.json")
    assert (caught.value.path, caught.value.line) == (tmp_path / "x.json", 3)
    assert "secret" not in str(caught.value)
    assert [document.id for document in read(tmp_path / "x.json", on_error="skip")] == ["9"]


def test_a_discontinuous_mention_is_refused_and_the_file_stays_as_it_was(tmp_path):
    path = write(tmp_path, task())
    before = path.read_bytes()
    split = Document("n2", "left and right knee", (Span(0, 19, "x", fragments=((0, 4), (15, 19))),))
    with pytest.raises(DataError, match="document 'n2': Label Studio cannot say the discontinuous span"):
        cd.MemoryDataset([Document("n1", "Fine."), split]).save(path)
    with pytest.raises(DataError, match="document 'n3' holds lone surrogates"):
        cd.MemoryDataset([Document("n3", "\ud800")]).save(path)
    assert path.read_bytes() == before


def test_the_labelling_configuration_is_xml_with_every_label():
    labels = ['5" & <more>', *map(str, range(10))]
    view = ElementTree.fromstring(labelling_config(labels))
    assert [each.get("value") for each in view.iter("Label")] == labels
    assert view.find("Labels").get("toName") == view.find("Text").get("name") == "text"
    assert view.find("Text").get("value") == "$text"
    assert view.find("Labels").get("name") == "label"

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from document_strategies import LABELS, documents, texts
from hypothesis import given, settings
from hypothesis import strategies as st

import clinidistill as cd
from clinidistill.datasets.offsets import OffsetMap
from clinidistill.errors import DataError, OptionError, SpanError
from clinidistill.types import Document, Span


def read(path, **options):
    return list(cd.load_dataset("doccano", path=path, **options))


def write(folder, *rows):
    (folder / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "x.jsonl"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(documents(fragments=False, codes=False), max_size=3, unique_by=lambda document: document.id),
    st.none() | st.frozensets(st.sampled_from(LABELS)),
    st.dictionaries(st.sampled_from(["id", "label", "meta", "covers", "ward"]), st.integers(), max_size=3),
)
def test_documents_come_back_as_they_were(some, covers, meta):
    some = [
        replace(each, spans=tuple(dict.fromkeys(each.spans)), covers=covers, meta=meta) for each in some if each.text
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.doccano.jsonl"
        assert cd.MemoryDataset(some).save(path) == len(some)
        assert read(path, check=False) == some
        assert path.read_bytes().isascii()


def test_offsets_count_utf_16_as_in_doccano_s_issue_2290(tmp_path):
    text = "👨🏻\u200d🚒 firemen drive firetrucks"
    at = text.index("firetrucks")
    cd.MemoryDataset([Document("n1", text, (Span(at, at + 10, "x"),))]).save(tmp_path / "x.jsonl", "doccano")
    (row,) = map(json.loads, (tmp_path / "x.jsonl").read_text().splitlines())
    assert row["label"] == [[22, 32, "x"]]
    assert row["label"][0][0] == len(text[:at].encode("utf-16-le")) // 2
    assert read(tmp_path / "x.jsonl")[0].spans == (Span(at, at + 10, "x"),)


def test_offsets_may_count_graphemes_or_code_points(tmp_path):
    text = "👨🏻\u200d🚒\r\npain"  # one grapheme of four code points, then one of two
    at = text.index("pain")
    path = write(tmp_path, {"id": 1, "text": text, "label": [[2, 6, "x"]]})
    assert read(path, offsets="graphemes")[0].spans == (Span(at, at + 4, "x"),)
    path = write(tmp_path, {"id": 1, "text": text, "label": [[at, at + 4, "x"]]})
    assert read(path, offsets="code-points")[0].spans == (Span(at, at + 4, "x"),)
    with pytest.raises(OptionError, match="offsets"):
        read(path, offsets="bytes")


def test_offsets_that_count_something_else_are_found_and_named(tmp_path):
    text = "🙂 Chest pain.\r\nOn ramipril."
    at = text.index("ramipril")
    row = {"id": 1, "text": text, "label": [[2, 12, "symptom"], [at, at + 8, "drug"]]}
    path = write(tmp_path, {"id": 0, "text": "Fine.", "label": []}, row)
    with pytest.raises(DataError, match=r"x\.jsonl:2: .*say offsets='code-points', or check=False") as caught:
        read(path)
    assert "ramipril" not in str(caught.value)
    assert [span.key for span in read(path, offsets="code-points")[1].spans] == [
        (2, 12, "symptom"),
        (at, at + 8, "drug"),
    ]
    assert len(read(path, check=False)[1].spans) == 2
    row["label"] = [[3, 13, "symptom"], [at + 1, at + 9, "drug"]]
    assert read(write(tmp_path, row))[0].spans[1] == Span(at, at + 8, "drug")
    row["label"] = [[at, at + 8, "drug"]]  # as where a project counts a Windows line end as one: doccano's issue 2114
    row["text"] = text.replace("🙂", "\r\n\r\n", 1)
    with pytest.raises(DataError, match="say offsets='graphemes'"):
        read(write(tmp_path, row))
    row["label"] = [[3, 6, "half"]]  # inside words, whatever is counted
    assert read(write(tmp_path, row))[0].spans == (Span(3, 6, "half"),)


def test_an_offset_inside_a_character_is_refused(tmp_path):
    path = write(tmp_path, {"id": 1, "text": "🙂 x", "label": [[1, 3, "x"]]})
    with pytest.raises(DataError, match=r"x\.jsonl:1: offset 1 lies inside a character"):
        read(path)
    with pytest.raises(SpanError, match="offset 1 lies inside"):
        OffsetMap("\r\n", "graphemes").outward(1)


@settings(max_examples=60, deadline=None)
@given(texts())
def test_utf_16_offsets_are_those_of_the_encoded_text(text):
    offsets = OffsetMap(text, "utf-16")
    for at in range(len(text) + 1):
        theirs = len(text[:at].encode("utf-16-le")) // 2
        assert (offsets.outward(at), offsets.inward(theirs)) == (theirs, at)


@pytest.mark.parametrize(
    "labelled",
    [
        {"label": [[3, 10, "drug"]]},
        {"labels": [[3, 10, "drug"]]},
        {"entities": [{"id": 82, "label": "drug", "start_offset": 3, "end_offset": 10}]},
        {"entities": [[3, 10, "drug"]], "cats": ["a"]},
    ],
)
def test_every_form_that_doccano_exports_is_read(labelled, tmp_path):
    (document,) = read(write(tmp_path, {"id": 5, "text": "On aspirin.", **labelled}), labels={"drug": "medication"})
    assert (document.id, document.spans, document.covers) == ("5", (Span(3, 10, "medication"),), {"medication"})


def test_relations_and_comments_are_kept_in_meta(tmp_path):
    (document,) = read(write(tmp_path, {"id": "a", "text": "x", "entities": [], "relations": [], "Comments": ["?"]}))
    assert document == Document("a", "x", meta={"relations": [], "Comments": ["?"]})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"id": 1, "text": "secret"', "no JSON at column"),
        ("[1]", "a line must be one object"),
        ('{"text": "secret", "label": []}', "needs 'id'"),
        ('{"id": 1, "label": []}', "'text', a string"),
        ('{"id": 1, "text": "secret"}', "needs one of label, labels, entities"),
        ('{"id": 1, "text": "secret", "label": ["secret"]}', r"reads \[start, end, label\]"),
        ('{"id": 1, "text": "secret", "label": [[0, "6", "x"]]}', r"reads \[start, end, label\]"),
        ('{"id": 1, "text": "secret", "label": [[0, 6, null]]}', "has no label"),
        ('{"id": 1, "text": "secret", "label": [[0, 7, "x"]]}', "outside the text"),
        ('{"id": 1, "text": "secret \U0001f642", "label": [[0, 10, "x"]]}', "outside the text"),
        ('{"id": 1, "text": "secret", "label": [[4, 4, "x"]]}', "is empty"),
        ('{"id": 1, "text": "secret", "label": [[-1, 4, "x"]]}', "starts before"),
        ('{"id": 1, "text": "secret", "n": ' + "9" * 5000 + "}", "a number too long"),
    ],
)
def test_a_malformed_row_names_file_and_line_and_shows_no_text(line, reason, tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": 0, "text": "a", "label": []}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=reason) as caught:
        read(path)
    assert (caught.value.path, caught.value.line) == (path, 2)
    assert "secret" not in str(caught.value)
    assert [document.id for document in read(path, on_error="skip")] == ["0"]


def test_what_doccano_cannot_say_is_refused(tmp_path):
    path = tmp_path / "x.doccano.jsonl"
    split = Span(0, 19, "x", fragments=((0, 4), (15, 19)))
    for document, reason in [
        (Document("n1", "left and right knee", (split,)), "discontinuous span"),
        (Document("n1", ""), "is empty, which doccano does not take"),
        (Document("n1", "\ud800"), "lone surrogates"),
        (Document("n1", "x", meta={"a": {1}}), "meta that is not JSON"),
    ]:
        with pytest.raises(DataError, match=f"document 'n1'.*{reason}"):
            cd.MemoryDataset([document]).save(path)
    assert not path.exists()


def test_a_file_of_plain_json_lines_is_still_saved_as_such(tmp_path):
    cd.MemoryDataset([Document("n1", "x", (Span(0, 1, "y"),))]).save(tmp_path / "x.jsonl")
    assert list(cd.load_dataset("jsonl", path=tmp_path / "x.jsonl"))[0].spans == (Span(0, 1, "y"),)

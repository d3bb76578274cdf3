import clinidistill as cd
import pytest
from clinidistill.testing import check_dataset

from clinidistill_prodigy import Prodigy

NOTES = [
    cd.Document(
        "n1", "On lisinopril.\r\n😀 No cough.", [cd.Span(3, 13, "drug"), cd.Span(21, 26, "sign")], meta={"w": 3}
    ),
    cd.Document("n2", "", covers={"drug"}),
]


@pytest.fixture
def saved(tmp_path):
    cd.MemoryDataset(NOTES).save(tmp_path / "notes.prodigy.jsonl")
    return tmp_path / "notes.prodigy.jsonl"


def read(folder, *lines):
    (folder / "notes.prodigy.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return list(Prodigy(folder / "notes.prodigy.jsonl"))


def test_it_keeps_the_contract_of_datasets(saved):
    check_dataset(Prodigy(saved))


def test_what_is_written_comes_back(saved):
    assert list(cd.load_dataset("prodigy", path=saved)) == NOTES


def test_what_prodigy_writes_is_read(tmp_path):
    line = (
        '{"text": "On lisinopril.", "_input_hash": 1, "_task_hash": -5, "tokens": [], "_session_id": null, '
        '"spans": [{"start": 3, "end": 13, "token_start": 1, "token_end": 1, "label": "DRUG"}], "answer": "accept"}'
    )
    (note,) = read(tmp_path, line)
    assert (note.id, note.covers) == ("notes-1", None)
    assert [(note.mention(span), span.label) for span in note.spans] == [("lisinopril", "DRUG")]


def test_what_was_rejected_or_ignored_is_no_evidence(tmp_path):
    line = '{"text": "On lisinopril.", "spans": [{"start": 3, "end": 13, "label": "DRUG"}], "answer": "%s"}'
    for note in read(tmp_path, line % "reject", line % "ignore"):
        assert (note.spans, note.covers) == ((), frozenset())


@pytest.mark.parametrize(
    "line",
    ["{", "[]", '{"spans": []}', '{"text": "a", "spans": [3]}', '{"text": "a", "spans": [{"start": 0}]}', "[" * 9999],
)
def test_a_malformed_line_is_reported_with_its_number(tmp_path, line):
    with pytest.raises(cd.errors.DataError) as caught:
        read(tmp_path, '{"text": "cough"}', line)
    assert caught.value.line == 2

import json

import pytest

import clinidistill as cd

TEXT = "She took metformin for pain."
METFORMIN, PAIN = cd.Span(9, 18, "drug"), cd.Span(23, 27, "finding")


@pytest.fixture
def opinions(tmp_path):
    """Three files of the same two notes, each marked by somebody."""
    said = {"ann": [METFORMIN, PAIN], "ben": [METFORMIN], "cleo": [METFORMIN, PAIN]}
    for name, spans in said.items():
        notes = [cd.Document("a", TEXT, spans), cd.Document("b", TEXT, [METFORMIN])]
        cd.MemoryDataset(notes).save(tmp_path / f"{name}.jsonl")
    return [tmp_path / f"{name}.jsonl" for name in said]


def test_files_of_the_same_notes_are_compared(cli, opinions):
    code, out, _ = cli("agreement", *opinions)
    assert code == 0
    assert all(name in out for name in ("ann", "ben", "cleo", "drug", "finding"))
    code, out, _ = cli("agreement", *opinions, "--json", "-t", "ann", "-t", "cleo")
    assert code == 0
    assert json.loads(out)["pairs"][0]["strict"] == 1


@pytest.mark.parametrize(("file", "format"), [("x.json", None), ("x.jsonl", "doccano"), ("x.jsonl", None)])
def test_the_queue_is_written_for_the_tool_that_is_named(cli, opinions, file, format, tmp_path):
    named = [] if format is None else ["--queue-format", format]
    code, _, err = cli("agreement", *opinions, "--queue", tmp_path / file, "--limit", 1, *named)
    assert code == 0
    kind = format or ("label-studio" if file == "x.json" else "jsonl")
    (note,) = cd.load_dataset(kind, path=tmp_path / file)
    assert (note.id, note.meta["contested"][0]["marked_by"]) == ("a", ["ann", "cleo"])
    assert ('<Label value="drug" hotkey="1"/>' in err) == (kind == "label-studio")


def test_the_teachers_of_a_store_are_compared_and_namesakes_told_apart(cli, opinions, tmp_path):
    store, notes = tmp_path / "labels.sqlite", list(cd.load_dataset("jsonl", path=opinions[0]))
    drugs = [["metformin"], ["metformin", "pain"]]
    for terms in drugs:
        cd.label(notes, cd.load_teacher("terminology", terminology=terms, label="drug", name="t"), store)
    code, out, _ = cli("agreement", opinions[0], "--store", store, "--json")
    assert code == 0
    found = json.loads(out)
    assert len({name for name in found["teachers"] if name.startswith("t-")}) == 2
    assert found["pairs"][0]["strict"] == pytest.approx(2 * 2 / (2 + 4))


def test_what_cannot_be_compared_says_why(cli, opinions, tmp_path):
    code, _, err = cli("agreement", opinions[0], "--store", tmp_path / "absent.sqlite")
    assert code == 1
    assert "there is no such label store" in " ".join(err.split())
    cd.MemoryDataset([cd.Document("a", "secret")]).save(tmp_path / "dan.jsonl")
    code, _, err = cli("agreement", opinions[0], tmp_path / "dan.jsonl")
    assert code == 1
    assert "dan: the text of 'a' is not that of the files before" in " ".join(err.split())
    assert "secret" not in err

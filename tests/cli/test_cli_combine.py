import json

import pytest

import clinidistill as cd

TEXT = "She took metformin for pain."
METFORMIN, PAIN = cd.Span(9, 18, "drug"), cd.Span(23, 27, "finding")


@pytest.fixture
def opinions(tmp_path):
    """Three files of the same four notes, each marked by somebody, and what people say."""
    said = {"ann": [METFORMIN, PAIN], "ben": [METFORMIN], "cleo": [METFORMIN, PAIN], "gold": [METFORMIN, PAIN]}
    for name, spans in said.items():
        cd.MemoryDataset([cd.Document(f"n{n}", TEXT, spans) for n in range(4)]).save(tmp_path / f"{name}.jsonl")
    return [tmp_path / f"{name}.jsonl" for name in said]


def test_files_of_the_same_notes_are_combined(cli, opinions, tmp_path):
    code, _, _ = cli("combine", *opinions[:3], "-a", "majority threshold=0.3", "-o", tmp_path / "silver.jsonl")
    assert code == 0
    silver = list(cd.load_dataset("jsonl", path=tmp_path / "silver.jsonl"))
    assert [span.key for span in silver[0].spans] == [METFORMIN.key, PAIN.key]


def test_auto_says_what_it_picked_and_why(cli, opinions):
    code, out, err = cli("combine", *opinions[:3], "--dev", opinions[3])
    assert code == 0
    assert "has the best strict F1 in 5-fold cross-validation on dev" in " ".join(err.split())
    assert len(out.strip().splitlines()) == 4


def test_subsets_of_teachers_are_searched(cli, opinions):
    code, out, _ = cli("search", *opinions[:3], "--dev", opinions[3], "-a", "majority", "--json", "--quiet")
    assert code == 0
    rows = json.loads(out)["rows"]
    assert len(rows) == 7
    assert rows[0]["scores"]["strict"]["micro"]["f1"] == 1
    code, out, _ = cli("search", *opinions[:3], "--dev", opinions[3], "--quiet")
    assert code == 0
    assert "dawid-skene" in out

import json

import pytest

import clinidistill as cd

NOTES = [
    cd.Document("a", "MEDS:\nShe took metformin daily.", [cd.Span(15, 24, "drug")]),
    cd.Document("b", "He denied fever; took aspirin.", [cd.Span(22, 29, "drug"), cd.Span(10, 15, "finding")]),
]
FOUND = [NOTES[0], NOTES[1].with_spans([cd.Span(22, 29, "finding")])]


@pytest.fixture
def files(tmp_path):
    for name, notes in (("gold", NOTES), ("found", FOUND), ("train", NOTES[:1])):
        cd.MemoryDataset(notes).save(tmp_path / f"{name}.jsonl")
    return tmp_path


def test_it_explains_itself(cli):
    code, out, _ = cli("errors", "--help")
    assert code == 0
    assert "Usage: clinidistill errors" in out


def test_errors_of_a_file_are_told_by_kind_division_and_document(cli, files):
    code, out, err = cli(
        *("errors", files / "gold.jsonl", "--predicted", files / "found.jsonl", "--train", files / "train.jsonl"),
        *("--by", "seen", "--by", "section"),
    )
    assert (code, err) == (0, "")
    kinds, confusion, seen, section, worst = out.strip().split("\n\n")
    assert kinds.splitlines()[-1].split() == ["all", "1", "0", "1", "0", "1", "0"]
    assert confusion.startswith("gold \\ predicted")
    assert [line.split()[0] for line in seen.splitlines()] == ["seen", "seen", "unseen"]
    assert [line.split()[0] for line in section.splitlines()] == ["section", "(start)", "medications"]
    assert worst.splitlines()[1].split() == ["b", "2", "0.000"]
    assert "metformin" not in out


def test_errors_of_a_teacher_are_json_where_asked(cli, files):
    (files / "drugs.csv").write_text("code,name\n1,metformin\n2,aspirin\n")
    teacher = f"terminology path={files / 'drugs.csv'} label=drug"
    code, out, _ = cli("errors", files / "gold.jsonl", "-t", teacher, "--by", "length", "--json")
    data = json.loads(out)
    assert code == 0
    assert data["kinds"] == {"correct": 2, "missed": 1}
    assert data["by"]["length"]["1"]["recall"] == pytest.approx(2 / 3)
    assert data["worst"] == [{"document": "b", "errors": 1, "f1": pytest.approx(2 / 3)}]


def test_files_are_written_and_said_to_hold_note_text(cli, files):
    code, _, err = cli(
        *("errors", files / "gold.jsonl", "--predicted", files / "found.jsonl"),
        *("--csv", files / "e.csv", "--html", files / "e.html"),
    )
    assert code == 0
    assert err.count("which holds note text") == 2
    assert "; took " in (files / "e.html").read_text()
    assert (files / "e.csv").read_text().count("\n") == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "exactly one of"),
        (("--predicted", "x", "--student", "y"), "exactly one of"),
        (("--predicted", "found.jsonl", "--by", "seen"), "--by seen needs --train"),
    ],
)
def test_options_that_cannot_work_are_refused(arguments, message, cli, files):
    code, _, err = cli("errors", files / "gold.jsonl", *arguments)
    assert code == 1
    assert message in err


def test_an_unknown_division_is_a_usage_error(cli, files):
    code, _, err = cli("errors", files / "gold.jsonl", "--predicted", files / "found.jsonl", "--by", "size")
    assert code == 2
    assert "size" in err

"""The command `predict`, with a student that marks one word and says how it was asked; pyarrow reads what it wrote."""

import datetime
import json
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

import clinidistill as cd
from clinidistill.cli.notes import read_notes
from clinidistill.errors import ConfigError
from clinidistill.students.base import as_documents

ASKED = []


@cd.register_student("one-word")
class OneWord(cd.Student):
    """Marks `aspirin`, reading at most three notes ahead."""

    labels = ("drug",)

    def __init__(self):
        pass

    def predict(self, documents, **options):
        if options.get("precision") == "fp8":
            raise ConfigError("precision is 'fp32' or 'bf16'")
        ASKED.append(options)
        ahead = []
        for document in as_documents(documents):
            ahead.append(document)
            if len(ahead) > 3:
                yield self.mark(ahead.pop(0))
        yield from map(self.mark, ahead)

    def mark(self, document):
        at = document.text.find("aspirin")
        return document.with_spans([cd.Span(at, at + 7, "drug", 0.75, "one-word")] if at >= 0 else [], self.labels)

    def save(self, path, *, card=None):
        Path(path).mkdir()
        (Path(path) / "clinidistill.json").write_text('{"student": "one-word"}')

    @classmethod
    def load(cls, path):
        return cls()


TEXTS = ["On aspirin.", "Fever, no drugs.", "", "Naïve 😀 aspirin twice", "Stopped aspirin\r\nin May."] * 3
SPAN = {"label": "drug", "score": 0.75, "source": "one-word"}
NONE = dict.fromkeys(["code", "fragments", "status"])


def spans(text):
    at = text.find("aspirin")
    return [{"start": at, "end": at + 7, **SPAN}] if at >= 0 else []


def structs(text):
    return [{**span, **NONE} for span in spans(text)]


@pytest.fixture
def model(tmp_path):
    OneWord().save(tmp_path / "model")
    ASKED.clear()
    return tmp_path / "model"


@pytest.fixture
def rows(tmp_path):
    """A Parquet file of notes, with columns that have nothing to do with them, in row groups of 4."""
    day = datetime.date(2024, 5, 1)
    table = pyarrow.table(
        {
            "note_id": list(range(100, 100 + len(TEXTS))),
            "day": [day + datetime.timedelta(n) for n in range(len(TEXTS))],
            "body": [text or None for text in TEXTS],
        }
    )
    parquet.write_table(table, tmp_path / "notes.parquet", row_group_size=4)
    return tmp_path / "notes.parquet"


def lines(out):
    return [json.loads(line) for line in out.splitlines()]


def test_the_rows_of_a_parquet_file_come_back_with_their_spans(cli, model, rows, tmp_path, monkeypatch):
    monkeypatch.setattr("clinidistill.datasets.parquet.ROWS", 4)  # batches that end before and after what is read ahead
    output = tmp_path / "marked.parquet"
    assert cli("predict", model, rows, "-o", output, "--text-column", "body")[0] == 0
    before, after = parquet.read_table(rows), parquet.read_table(output)
    assert after.drop_columns("spans").equals(before)
    assert after.column("spans").to_pylist() == [structs(text) for text in TEXTS]


def test_parquet_comes_out_as_json_lines_with_ids_of_a_column(cli, model, rows):
    code, out, _ = cli("predict", model, rows, "--text-column", "body", "--id-column", "note_id")
    assert code == 0
    assert [(line["id"], line["text"], line["spans"]) for line in lines(out)] == [
        (str(100 + n), text, spans(text)) for n, text in enumerate(TEXTS)
    ]


def test_rows_without_ids_are_numbered_and_a_column_called_id_is_taken(cli, model, rows, tmp_path):
    _, out, _ = cli("predict", model, rows, "--text-column", "body")
    assert [line["id"] for line in lines(out)] == [f"notes-{n}" for n in range(1, len(TEXTS) + 1)]
    parquet.write_table(pyarrow.table({"id": ["x", "y"], "text": ["aspirin", "none"]}), tmp_path / "own.parquet")
    _, out, _ = cli("predict", model, tmp_path / "own.parquet")
    assert [line["id"] for line in lines(out)] == ["x", "y"]


def test_several_parquet_files_of_one_schema_become_one(cli, model, rows, tmp_path):
    output = tmp_path / "both.parquet"
    assert cli("predict", model, rows, rows, "-o", output, "--text-column", "body")[0] == 0
    assert parquet.read_table(output).column("spans").to_pylist() == [structs(text) for text in TEXTS] * 2


def test_json_lines_become_parquet(cli, model, tmp_path):
    notes = [cd.Document("a", TEXTS[0], meta={"page": 3}), cd.Document("b", TEXTS[3])]
    cd.MemoryDataset(notes).save(tmp_path / "notes.jsonl")
    assert cli("predict", model, tmp_path / "notes.jsonl", "-o", tmp_path / "out.parquet")[0] == 0
    assert parquet.read_table(tmp_path / "out.parquet").to_pylist() == [
        {"id": "a", "text": TEXTS[0], "spans": structs(TEXTS[0]), "covers": ["drug"], "meta": '{"page": 3}'},
        {"id": "b", "text": TEXTS[3], "spans": structs(TEXTS[3]), "covers": ["drug"], "meta": None},
    ]


def test_nothing_in_is_an_empty_file_out(cli, model, rows, tmp_path):
    parquet.write_table(parquet.read_table(rows).slice(0, 0), tmp_path / "empty.parquet")
    assert (
        cli("predict", model, tmp_path / "empty.parquet", "-o", tmp_path / "o.parquet", "--text-column", "body")[0] == 0
    )
    assert parquet.read_table(tmp_path / "o.parquet").num_rows == 0
    (tmp_path / "empty.jsonl").write_text("")
    assert cli("predict", model, tmp_path / "empty.jsonl", "-o", tmp_path / "o.jsonl")[0] == 0
    assert (tmp_path / "o.jsonl").read_text() == ""


def test_a_folder_s_text_files_are_named_by_their_place(cli, model, tmp_path):
    for name, text in {"b.txt": "x", "ward/a.txt": TEXTS[4], ".hidden/c.txt": "x", "notes.csv": "x"}.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(text.encode())
    code, out, _ = cli("predict", model, tmp_path / "in")
    assert code == 0
    assert [(line["id"], line["text"]) for line in lines(out)] == [("b", "x"), ("ward/a", TEXTS[4])]


def test_json_lines_text_files_and_folders_may_come_together(cli, model, tmp_path):
    cd.MemoryDataset([cd.Document("j", "aspirin")]).save(tmp_path / "a.jsonl.gz")
    (tmp_path / "t.note").write_text("aspirin")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "f.txt").write_text("aspirin")
    _, out, _ = cli("predict", model, tmp_path / "in", tmp_path / "t.note", tmp_path / "a.jsonl.gz")
    assert [line["id"] for line in lines(out)] == ["f", "t", "j"]
    assert all(len(line["spans"]) == 1 for line in lines(out))


def test_lone_surrogates_survive(cli, model):
    _, out, _ = cli("predict", model, stdin='{"id": "s", "text": "on \\ud800 aspirin"}\n')
    assert lines(out) == [
        {"id": "s", "text": "on \ud800 aspirin", "spans": spans("on \ud800 aspirin"), "covers": ["drug"]}
    ]


def test_only_options_that_were_given_reach_the_student(cli, model):
    cli("predict", model, stdin="aspirin")
    options = ["--workers", 3, "--batch-tokens", 99, "--precision", "bf16", "--device", "cpu"]
    cli("predict", model, *options, stdin="aspirin")
    assert ASKED == [{}, {"workers": 3, "batch_tokens": 99, "precision": "bf16", "device": "cpu"}]
    code, _, err = cli("predict", model, "--precision", "fp8", stdin="aspirin")
    assert (code, err) == (1, "error: precision is 'fp32' or 'bf16'\n")


def test_no_more_is_read_than_is_asked_for(tmp_path):
    (tmp_path / "notes.jsonl").write_text('{"id": "1", "text": "aspirin"}\nbroken\n')
    stream = read_notes([tmp_path / "notes.jsonl"], None)
    assert next(stream).id == "1"  # and line 2 is no error yet


def squeezed(text):
    """Without white space: a terminal breaks lines where it likes."""
    return "".join(text.split())


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("n.jsonl", b'{"id": "1", "text": "x"}\n{"id": "2"', r"n.jsonl:2: no JSON at column"),
        ("n.txt", b"first\nsecond \xff", r"n.txt:2: this line is not UTF-8"),
        ("n.parquet", b"PAR1 and no more", r"n.parquet: no whole Parquet file"),
        ("n.parquet", {"body": ["x"]}, r"n.parquet: has no column 'text'; choose among 'body'"),
        ("n.parquet", {"text": ["x", 3][1:]}, r"n.parquet:1: 'text' holds no text but int"),
        ("n.parquet", {"text": ["x", "y"], "id": ["a", None]}, r"n.parquet:2: 'id' holds no id"),
        ("absent.txt", None, r"absent.txt: there is no such file"),
        ("absent.parquet", None, r"absent.parquet: there is no such file"),
    ],
)
@pytest.mark.parametrize("output", ["out.jsonl", "out.parquet"])
def test_a_fault_is_told_with_its_place_and_leaves_no_output(cli, model, tmp_path, name, content, says, output):
    if isinstance(content, dict):
        parquet.write_table(pyarrow.table(content), tmp_path / name)
    elif content is not None:
        (tmp_path / name).write_bytes(content)
    code, out, err = cli("predict", model, tmp_path / name, "-o", tmp_path / output)
    assert (code, out) == (1, "")
    assert squeezed(says) in squeezed(err)
    assert not list(tmp_path.glob("*out.*"))


def test_an_empty_folder_a_missing_model_and_what_parquet_cannot_hold_are_refused(cli, model, rows, tmp_path):
    def said(*arguments):
        code, _, err = cli("predict", *arguments)
        assert code == 1
        return " ".join(err.split())

    (tmp_path / "bare").mkdir()
    (tmp_path / "n.txt").write_text("aspirin")
    output = tmp_path / "out.parquet"
    assert "holds no file ending in .txt" in said(model, tmp_path / "bare")
    assert "there is no such folder; name the one" in said(tmp_path / "nowhere", rows)
    assert "mark the other files apart" in said(model, rows, tmp_path / "n.txt", "-o", output)
    parquet.write_table(pyarrow.table({"text": ["aspirin"]}), tmp_path / "other.parquet")
    parquet.write_table(pyarrow.table({"text": ["aspirin"], "n": [1]}), tmp_path / "more.parquet")
    assert "differ in their columns" in said(model, tmp_path / "other.parquet", tmp_path / "more.parquet", "-o", output)
    assert cli("predict", model, tmp_path / "other.parquet", "-o", tmp_path / "once.parquet")[0] == 0
    assert "has a column 'spans' already" in said(model, tmp_path / "once.parquet", "-o", output)
    assert not output.exists()

import json
import subprocess
import sys

import pytest

import clinidistill as cd

NOTES = [
    cd.Document("a", "She took metformin daily.", [cd.Span(9, 18, "drug")]),
    cd.Document("b", "He denied fever; took aspirin.", [cd.Span(22, 29, "drug"), cd.Span(10, 15, "finding")]),
]


@pytest.fixture
def gold(tmp_path):
    cd.MemoryDataset(NOTES).save(tmp_path / "gold.jsonl")
    return tmp_path / "gold.jsonl"


@pytest.fixture
def drugs(tmp_path):
    (tmp_path / "my drugs.csv").write_text("code,name\n1,metformin\n2,aspirin\n")
    return f"terminology path='{tmp_path / 'my drugs.csv'}' label=drug"


@pytest.fixture(scope="module")
def student(tiny_base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("student") / "tiny-ner"
    trained = cd.load_student("token-classifier", base=tiny_base, name="tiny-ner")
    cd.Distiller(epochs=30, lr=3e-3, precision="fp32", show=False).fit(trained, NOTES)
    trained.save(folder)
    return folder


def test_every_command_explains_itself(cli):
    for command in ("run", "demo", "label", "train", "evaluate", "predict", "plugins", "link", "explain"):
        code, out, _ = cli(command, "--help")
        assert code == 0
        assert "Usage: clinidistill" in out


def test_the_version_is_the_package_s(cli):
    assert cli("--version") == (0, f"clinidistill {cd.__version__}\n", "")


def test_label_writes_silver_notes_and_keeps_the_answers(cli, gold, drugs, tmp_path):
    output, store = tmp_path / "silver.jsonl", tmp_path / "labels.sqlite"
    code, _, err = cli("label", gold, "-t", drugs, "-o", output, "--store", store)
    assert code == 0
    assert "2 notes labelled by my drugs" in err
    silver = list(cd.load_dataset("jsonl", path=output))
    assert [[(s.start, s.end, s.label, s.code) for s in d.spans] for d in silver] == [
        [(9, 18, "drug", "1")],
        [(22, 29, "drug", "2")],
    ]
    assert store.exists()


def test_evaluate_scores_a_teacher_a_file_and_a_student(cli, gold, drugs, student):
    code, out, _ = cli("evaluate", gold, "-t", drugs, "--json")
    assert code == 0
    assert json.loads(out)["strict"]["per_label"]["drug"]["f1"] == 1.0
    code, out, _ = cli("evaluate", gold, "--predicted", gold)
    assert code == 0
    assert "1.000" in out
    code, out, _ = cli("evaluate", gold, "--student", student, "--label", "drug=drug", "--json")
    assert code == 0
    assert set(json.loads(out)["strict"]["per_label"]) == {"drug"}


def test_evaluate_wants_exactly_one_system(cli, gold):
    code, _, err = cli("evaluate", gold)
    assert code == 1
    assert "exactly one of --predicted, --student and --teacher" in err.replace("\n", " ")


def test_train_saves_a_student_that_predicts(cli, gold, tiny_base, tmp_path):
    code, _, err = cli(
        "train", gold, "-o", tmp_path / "ner", "--base", tiny_base, "--dev", gold, "--epochs", 2, "--lr", 1e-3, "-q",
        "--checkpoint", tmp_path / "ckpt",
    )  # fmt: skip
    assert code == 0
    assert "trained 2 epochs, dev F1" in err
    assert cd.load_student(tmp_path / "ner").labels == ("drug", "finding")
    assert len(json.loads((tmp_path / "ner" / "history.json").read_text())["epochs"]) == 2


def test_train_takes_any_setting_student_and_pool(cli, gold, tiny_base, tmp_path):
    code, _, err = cli(
        "train", gold, "-o", tmp_path / "ner", "-s", f"token-classifier base={tiny_base} layers=1", "--pool", gold,
        "--set", "rounds=2", "--set", "ema=0.9", "--epochs", 1, "-q",
    )  # fmt: skip
    assert code == 0
    assert "trained 1 epochs" in err
    assert cd.load_student(tmp_path / "ner").model.config.num_hidden_layers == 1
    code, _, err = cli("train", gold, "-o", tmp_path / "ner", "--base", tiny_base, "--set", "emma=0.9")
    assert code == 1
    assert "did you mean 'ema'?" in err


def test_export_writes_a_student_that_predict_takes(cli, student, gold, tmp_path):
    pytest.importorskip("onnxruntime")
    code, _, err = cli("export", student, "-o", tmp_path / "fast")
    assert code == 0
    assert "saved in" in err
    code, out, _ = cli("predict", tmp_path / "fast", gold)
    assert code == 0
    assert len(out.splitlines()) == len(gold.read_text().splitlines())


def test_predict_reads_files_and_stdin_and_writes_json_lines(cli, student, tmp_path, gold):
    expected = [document.to_dict() for document in cd.load_student(student).predict(NOTES)]
    (tmp_path / "note.txt").write_bytes(b"She took metformin daily.\r\nNo fever.")
    code, out, _ = cli("predict", student, gold, tmp_path / "note.txt")
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[:2] == expected
    assert (lines[2]["id"], lines[2]["text"]) == ("note", "She took metformin daily.\r\nNo fever.")
    code, out, _ = cli("predict", student, stdin=gold.read_text())
    assert [json.loads(line) for line in out.splitlines()] == expected
    code, out, _ = cli("predict", student, stdin=NOTES[0].text + "\nSecond line.")
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["stdin"]
    code, out, _ = cli("predict", student, gold, "-o", tmp_path / "out.jsonl")
    assert (code, out) == (0, "")
    assert [document.to_dict() for document in cd.load_dataset("jsonl", path=tmp_path / "out.jsonl")] == expected


def test_a_broken_line_on_stdin_is_an_error_with_its_number(cli, student):
    code, _, err = cli("predict", student, stdin='{"id": "a", "text": "x"}\n{"id": 3}\n')
    assert code == 1
    assert "stdin:2:" in err


def test_plugins_lists_components_as_a_table_and_as_json(cli):
    code, out, _ = cli("plugins", "aggregators", "--json")
    assert code == 0
    rows = {row["name"]: row for row in json.loads(out)}
    assert rows["majority"]["state"] == "ready"
    assert rows["majority"]["package"] == "clinidistill"
    code, out, _ = cli("plugins")
    assert "terminology" in out


def test_our_errors_are_one_line_and_exit_code_1(cli, gold, tmp_path):
    code, out, err = cli("label", gold, "-t", "terminolgy path=x", "-o", tmp_path / "o.jsonl")
    assert (code, out) == (1, "")
    assert err.startswith("error: no teacher is called 'terminolgy'")
    assert "Traceback" not in err
    code, _, err = cli("run", tmp_path / "absent.toml")
    assert code == 1
    assert "absent.toml" in err.replace("\n", "")


def test_the_installed_command_works_and_a_closed_pipe_is_no_error(student, gold):
    command = f"{sys.executable} -m clinidistill predict {student} {gold} | head -c 10"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == '{"id": "a"'
    assert "Traceback" not in done.stderr

import json
import re
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_experiment import notes, recorded

import clinidistill as cd
from clinidistill.errors import ConfigError, DataError
from clinidistill.reproduction import dry_run

OPENAI = """[[tasks.teachers]]
use = "openai"
model = "gpt-4o-mini"
task = "medication"
"""


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Whatever is sent fails the test; keys are those that a test sets."""
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("something was sent"))
    for name in ("OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def found(file):
    """Problems, as places and what is wrong there."""
    return {(problem.where, problem.what) for problem in dry_run(file, file.parent / "run").problems}


def test_a_sound_experiment_has_no_problems_and_costs_nothing(experiment_file, cli):
    checked = dry_run(experiment_file, experiment_file.parent / "run")
    assert checked.problems == []
    assert checked.usd == checked.most_usd == 0.0
    assert [(part.part, part.documents, dict(part.mentions)) for part in checked.parts] == [
        ("train", 24, {"medication": 24}),
        ("dev", 8, {"medication": 8}),
        ("test", 12, {"medication": 12}),
        ("other", 8, {"medication": 8}),
    ]
    assert [(task, each.teacher, each.documents) for task, each in checked.bill] == [
        ("drugs", f"drugs-{n}", 24 + 8 + 12 + 8) for n in range(3)
    ]
    code, out, _ = cli("reproduce", experiment_file, "--dry-run", "-o", experiment_file.parent / "run")
    assert code == 0
    assert "no problems" in out
    assert not (experiment_file.parent / "run").exists()


def test_what_has_been_answered_is_not_on_the_bill(started):
    file, folder = started
    assert dry_run(file, folder).bill == []


@pytest.mark.parametrize(
    ("old", "new", "where", "says"),
    [
        (
            'test = { use = "jsonl", path = "test.jsonl" }',
            'test = { use = "jsonl", path = "no.jsonl" }',
            "test",
            "no such file",
        ),
        ('use = "jsonl", path = "other', 'use = "jsnl", path = "other', "other", "did you mean 'jsonl'"),
        ('use = "jsonl", path = "dev', 'use = "bc5cdr", path = "dev', "dev", "not all of bc5cdr is here"),
        ("lr = 3e-3", "lrr = 3e-3", "distiller", "did you mean 'lr'"),
        ("[distiller]", "[gold_last]\nema = 3\n[distiller]", "gold_last", "ema is out of range"),
        ("resamples = 50", 'aggregators = ["unon"]', "unon", "did you mean 'union'"),
        ("resamples = 50", 'aggregators = [{ use = "hmm", silver = { threshold = 7 } }]', "hmm", "threshold"),
        ('label = "medication"', 'label = "symptom"', "drugs-0", "none of the task's labels"),
        ('use = "terminology"\nname = "drugs-0"', 'use = "snomed"\npath = "no"\nname = "drugs-0"', "drugs-0", "no"),
        ('name = "drugs-0"', 'name = "aggregate"', "teachers", "cannot be called 'aggregate'"),
        ('labels = ["medication"]', 'labels = ["disease"]', "train", "marked nothing as disease"),
        ('labels = ["medication"]', 'labels = ["medication"]\nusd_per_note = { x = 1.0 }', "usd_per_note", "'x'"),
        ('dev = { use = "jsonl", path = "dev.jsonl" }', "dev = 0.01", "dev", "is none"),
    ],
)
def test_a_mistake_is_told_with_its_place(experiment_file, cli, old, new, where, says):
    text = experiment_file.read_text()
    assert old in text
    experiment_file.write_text(text.replace(old, new, 1))
    told = [what for place, what in found(experiment_file) if place == f"drugs: {where}"]
    assert any(says in what for what in told), found(experiment_file)
    code, out, _ = cli("reproduce", experiment_file, "--dry-run")
    assert code == 1
    assert f"drugs: {where}" in out


def test_all_problems_are_told_at_once(experiment_file):
    text = experiment_file.read_text().replace("train.jsonl", "${NOT_SET_ANYWHERE}/x").replace("other.jsonl", "gone")
    experiment_file.write_text(text.replace("epochs = 2", "epochs = 0") + OPENAI)
    places = {where for where, _ in found(experiment_file)}
    assert places == {
        "environment",
        "drugs: other",
        "drugs: distiller",
        "drugs: baseline_distiller",
        "drugs: gpt-4o-mini",
    }
    assert ("environment", "the experiment uses ${NOT_SET_ANYWHERE}, which is not set") in found(experiment_file)


def test_an_empty_split_is_a_problem(experiment_file):
    (experiment_file.parent / "dev.jsonl").write_text("")
    assert ("drugs: dev", "there are no documents") in found(experiment_file)


def test_one_id_for_two_notes_is_a_problem_and_is_not_run(experiment_file):
    """Else the second note would be searched on with what teachers said of the first."""
    dev = experiment_file.parent / "dev.jsonl"
    cd.MemoryDataset(replace(note, id=f"n{number:02}") for number, note in enumerate(notes(24, 32))).save(dev)
    ((where, what),) = found(experiment_file)
    assert where == "drugs: train"
    assert "ids in common (8, 'n00' for one)" in what
    with pytest.raises(DataError, match="give each document an id of its own"):
        cd.reproduce(experiment_file, experiment_file.parent / "run", progress=False)


def test_a_base_that_is_not_here_is_a_problem(experiment_file, tiny_base):
    experiment_file.write_text(experiment_file.read_text().replace(tiny_base.as_posix(), "nobody/such-a-model"))
    (problem,) = found(experiment_file)
    assert problem[0] == "drugs: student"
    assert "`hf download nobody/such-a-model` fetches one" in problem[1]


def test_a_language_model_needs_key_leave_price_and_budget(experiment_file, monkeypatch):
    plain = experiment_file.read_text()
    experiment_file.write_text(plain + OPENAI)
    told = {re.split("[:;]", what)[0] for where, what in found(experiment_file) if where == "drugs: gpt-4o-mini"}
    assert told == {"no API key for OpenAI", "teacher 'gpt-4o-mini' sends notes to another machine"}
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    allowed = plain.replace("seed = 3", "seed = 3\nallow_remote = true")
    experiment_file.write_text(allowed + OPENAI)
    checked = dry_run(experiment_file, experiment_file.parent / "run")
    assert checked.problems == []
    estimates = [each for _, each in checked.bill if each.teacher == "gpt-4o-mini"]
    assert [each.documents for each in estimates] == [52]
    teacher = cd.load_teacher("openai", model="gpt-4o-mini", task="medication")
    assert checked.usd == pytest.approx(teacher.estimate(notes(0, 52)).cost_usd)
    assert "sk-very-secret" not in str(checked)
    experiment_file.write_text(allowed + OPENAI + "budget_usd = 0.0001\n")
    ((where, what),) = found(experiment_file)
    assert (where, what[:20]) == ("drugs: gpt-4o-mini", "budget_usd is 0.0001")
    experiment_file.write_text(allowed + OPENAI.replace("gpt-4o-mini", "mystery-9"))
    ((where, what),) = found(experiment_file)
    assert where == "drugs: mystery-9"
    assert what.startswith("the price of 'mystery-9' is unknown; give price")
    assert "unknown" in str(dry_run(experiment_file)).split("about $")[1]
    experiment_file.write_text(
        allowed + OPENAI.replace("gpt-4o-mini", "mystery-9") + "price = { input = 1.0, output = 2.0 }\n"
    )
    assert found(experiment_file) == set()


def test_what_a_corpus_declares_de_identified_needs_no_leave(experiment_file, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    experiment_file.write_text(experiment_file.read_text() + OPENAI)
    monkeypatch.setattr("clinidistill.datasets.jsonl.JsonLines.is_deidentified", True)
    assert found(experiment_file) == set()


@pytest.mark.filterwarnings("ignore")
def test_recorded_teachers_need_answers_and_aggregators_must_do_without_people_who_choose(tmp_path, tiny_base):
    file = recorded(tmp_path, tiny_base)
    assert found(file) == set()
    file.write_text(file.read_text().replace('"dawid-skene"', '"stacked"'))
    ((where, what),) = found(file)
    assert where == "drugs: stacked"
    assert "learns from human-labelled documents" in what
    lines = [
        json.loads(line) | {"id": f"x{n}"}
        for n, line in enumerate((tmp_path / "answers.jsonl").read_text().splitlines())
    ]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = found(file)
    assert ("drugs: good", "has no recorded answer about any document to learn from or to search on") in told


def test_a_file_that_is_no_experiment_is_an_error(tmp_path, cli):
    file = tmp_path / "x.toml"
    file.write_text('name = "x"\n')
    with pytest.raises(ConfigError, match="tasks: Field required"):
        dry_run(file)
    code, _, err = cli("reproduce", file, "--dry-run")
    assert code == 1
    assert "tasks: Field required" in err


@pytest.mark.parametrize("name", ["open", "paper", "recorded"])
def test_the_experiments_that_come_with_the_checkout_can_be_read(name, monkeypatch, tmp_path):
    monkeypatch.setenv("CLINIDISTILL_DATA", str(tmp_path))
    plan = cd.Experiment.load(Path(__file__).parents[2] / "examples" / "paper" / f"{name}.toml")
    assert plan.name == name
    assert all(len(task.teachers) == 5 for task in plan.tasks)


def test_documents_in_two_parts_are_told_and_stop_nothing(experiment_file, caplog):
    long = "Seen on Monday for a cough of three weeks, without fever or weight loss, better on metformin since then."
    spans = [cd.Span(long.index("metformin"), long.index("metformin") + 9, "medication")]
    folder = experiment_file.parent
    for part, text in (("train", long), ("test", long.replace("Monday", "Sunday"))):
        more = cd.Document(f"{part}-long", text, spans)
        cd.MemoryDataset([*cd.load_dataset("jsonl", path=folder / f"{part}.jsonl"), more]).save(
            folder / f"{part}.jsonl"
        )
    checked = dry_run(experiment_file, folder / "run")
    assert checked.warnings == ["drugs: 1 documents of test stand in train as well"]
    assert checked.problems == []
    assert "stand in train as well" in str(checked)
    found = cd.reproduce(experiment_file, folder / "run", progress=False)
    assert found.scores["tasks"][0]["leaks"] == [{"part": "train", "other": "test", "documents": 1, "word_for_word": 0}]
    assert "drugs: 1 documents of test stand in train as well, 0 of them word for word." in str(found)

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "llm"))
from fault_server import FaultServer, chat_completion

import clinidistill as cd
from clinidistill.errors import ConfigError, DataError, OptionError
from clinidistill.recipe import Recipe, runner
from clinidistill.recipe.results import markdown

DRUGS = ["aspirin", "codeine", "insulin", "lisinopril", "metformin", "naproxen", "prednisone", "warfarin"]
SYMPTOMS = ["cough", "dizziness", "fatigue", "fever", "headache", "nausea"]


def notes(first, last):
    for n in range(first, last):
        drug, symptom = DRUGS[n % len(DRUGS)], SYMPTOMS[n % len(SYMPTOMS)]
        text = f"The patient took {drug} daily, denied {symptom}."
        drug_at, symptom_at = text.index(drug), text.index(symptom)
        yield cd.Document(
            f"n{n:02}",
            text,
            [
                cd.Span(drug_at, drug_at + len(drug), "medication"),
                cd.Span(symptom_at, symptom_at + len(symptom), "symptom"),
            ],
        )


@pytest.fixture
def recipe_file(tmp_path, tiny_base):
    cd.MemoryDataset(notes(0, 40)).save(tmp_path / "notes.jsonl")
    (tmp_path / "drugs.csv").write_text("code,name\n" + "".join(f"D{n},{d}\n" for n, d in enumerate(DRUGS[:6])))
    (tmp_path / "symptoms.csv").write_text("code,name\n" + "".join(f"S{n},{s}\n" for n, s in enumerate(SYMPTOMS)))
    file = tmp_path / "recipe.toml"
    file.write_text(f"""
name = "tiny"
seed = 3
[data.source]
use = "jsonl"
path = "notes.jsonl"
[data.split]
train = 24
dev = 8
test = 8
[[teachers]]
use = "terminology"
name = "drugs"
label = "medication"
path = "drugs.csv"
[[teachers]]
use = "terminology"
name = "symptoms"
label = "symptom"
terminology = {{ format = "table", path = "symptoms.csv" }}
[student]
use = "token-classifier"
base = "{tiny_base.as_posix()}"
[distiller]
epochs = 3
lr = 2e-3
batch_tokens = 256
precision = "fp32"
""")
    return file


def test_a_recipe_runs_to_its_end_and_leaves_a_whole_run_folder(recipe_file, tmp_path, caplog):
    result = cd.run(recipe_file, tmp_path / "run", progress=False)
    assert [system.name for system in result.systems] == [
        "drugs",
        "symptoms",
        "aggregate",
        "distilled",
        "human-trained",
    ]
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700  # it holds the text of notes
    names = {file.name for file in (tmp_path / "run").iterdir()}
    assert names >= {
        "recipe.json", "environment.json", "labels.sqlite", "silver.jsonl", "student", "human", "stages.json",
        "history-student.json", "history-human.json", "scores.json", "results.md", "leakage.json",
    }  # fmt: skip
    assert "checkpoints" not in names
    leaks = json.loads((tmp_path / "run" / "leakage.json").read_text())["leaks"]
    assert [(leak["id"], leak["other_id"]) for leak in leaks] == [(f"n{n:02}", f"n{n + 24:02}") for n in range(16)]
    assert "8 of 8 documents of test stand in train (24)" in caplog.text
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    by_name = {system["name"]: system["scores"] for system in scores["systems"]}
    assert by_name["symptoms"]["strict"]["micro"]["f1"] == 1.0
    assert set(by_name["drugs"]["strict"]["per_label"]) == {"medication"}
    assert 0 < by_name["aggregate"]["strict"]["micro"]["f1"] < 1
    assert markdown(result.systems) == (tmp_path / "run" / "results.md").read_text().rstrip()
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert environment["seed"] == 3
    assert {"torch", "transformers"} <= set(environment["packages"])
    card = (result.student / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: transformers\n")
    assert "- `medication`\n- `symptom`" in card
    assert "24 documents" in card


def test_the_silver_labels_are_of_the_training_notes_and_not_their_gold(recipe_file, tmp_path):
    cd.run(recipe_file, tmp_path / "run", progress=False)
    silver = list(cd.load_dataset("jsonl", path=tmp_path / "run" / "silver.jsonl"))
    gold = list(notes(0, 24))
    assert [document.id for document in silver] == [document.id for document in gold]
    unknown = set(DRUGS[6:])
    marked = {document.mention(span) for document in silver for span in document.spans}
    assert marked == (set(DRUGS) | set(SYMPTOMS)) - unknown
    assert silver[0].covers == {"medication", "symptom"}


def test_a_second_run_does_nothing_again(recipe_file, tmp_path, monkeypatch):
    first = cd.run(recipe_file, tmp_path / "run", progress=False)
    stages = (tmp_path / "run" / "stages.json").read_text()
    monkeypatch.setattr(cd.Distiller, "fit", lambda *args, **kwargs: pytest.fail("trained again"))
    monkeypatch.setattr(runner, "evaluate", lambda *args, **kwargs: pytest.fail("scored again"))
    second = cd.run(recipe_file, tmp_path / "run", progress=False)
    assert second.systems == first.systems
    assert (tmp_path / "run" / "stages.json").read_text() == stages


def test_dev_labels_last_make_a_student_of_their_own(recipe_file, tmp_path):
    recipe_file.write_text(recipe_file.read_text() + "\n[gold_last]\nepochs = 8\nlr = 2e-3\nbatch_tokens = 256\n")
    result = cd.run(recipe_file, tmp_path / "run", progress=False)
    by_kind = {system.kind: system for system in result.systems}
    assert list(by_kind)[-3:] == ["distilled", "distilled, gold last", "human-trained"]
    assert (tmp_path / "run" / "gold_last" / "model.safetensors").is_file()
    assert result.student == tmp_path / "run" / "student"
    assert len(json.loads((tmp_path / "run" / "history-gold_last.json").read_text())["epochs"]) == 8
    distilled, last = (by_kind[kind].scores.strict.micro.recall for kind in ("distilled", "distilled, gold last"))
    assert last > distilled  # people mark the drugs that the terminology lacks


def test_dev_labels_last_need_dev_documents(recipe_file, tmp_path):
    recipe_file.write_text(recipe_file.read_text().replace("dev = 8\n", "") + "\n[gold_last]\nepochs = 8\n")
    with pytest.raises(ConfigError, match="gold_last"):
        cd.run(recipe_file, tmp_path / "run", progress=False)


def test_a_pool_teaches_in_the_second_round(recipe_file, tmp_path):
    cd.MemoryDataset(note.without_spans() for note in notes(40, 60)).save(tmp_path / "pool.jsonl")
    text = recipe_file.read_text().replace(
        "[[teachers]]", '[data.pool]\nuse = "jsonl"\npath = "pool.jsonl"\n[[teachers]]', 1
    )
    recipe_file.write_text(
        text.replace("epochs = 3\n", "epochs = 3\nrounds = 2\n") + "\n[baseline_distiller]\nrounds = 1\n"
    )
    cd.run(recipe_file, tmp_path / "run", progress=False)
    student, human = (
        json.loads((tmp_path / "run" / f"history-{name}.json").read_text()) for name in ("student", "human")
    )
    assert student["epochs"][0]["tokens"] > human["epochs"][0]["tokens"]


def test_a_change_repeats_only_what_depends_on_it(recipe_file, tmp_path, monkeypatch):
    cd.run(recipe_file, tmp_path / "run", progress=False)
    before = json.loads((tmp_path / "run" / "stages.json").read_text())
    recipe_file.write_text(recipe_file.read_text() + "\n[baseline_distiller]\nepochs = 1\n")
    cd.run(recipe_file, tmp_path / "run", progress=False)
    after = json.loads((tmp_path / "run" / "stages.json").read_text())
    assert after["aggregate"] == before["aggregate"]
    assert after["train student"] == before["train student"]
    assert after["train human"] != before["train human"]
    assert after["evaluate"] != before["evaluate"]


def test_a_run_killed_in_training_goes_on_and_ends_as_if_it_had_not_been(recipe_file, tmp_path):
    whole = cd.run(recipe_file, tmp_path / "whole", progress=False)
    folder = tmp_path / "killed"
    code = f"import clinidistill as cd; cd.run({str(recipe_file)!r}, {str(folder)!r}, progress=False)"
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(folder.glob("checkpoints/*/step-*[0-9]")) and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = cd.run(recipe_file, folder, progress=False)
    strip = lambda systems: [(s.name, s.scores.to_dict()) for s in systems]  # noqa: E731
    assert strip(again.systems) == strip(whole.systems)
    for name in ("history-student.json", "history-human.json"):
        losses = [
            [step["loss"] for step in json.loads((each / name).read_text())["steps"]]
            for each in (folder, tmp_path / "whole")
        ]
        assert losses[0] == losses[1]


def test_labels_restrict_what_is_learnt_and_scored(recipe_file, tmp_path):
    text = recipe_file.read_text().replace("seed = 3", 'seed = 3\nlabels = ["symptom"]\nhuman_baseline = false')
    recipe_file.write_text(text)
    result = cd.run(recipe_file, tmp_path / "run", progress=False)
    assert cd.load_student(result.student).labels == ("symptom",)
    assert {system.kind for system in result.systems} == {"teacher", "aggregate", "distilled"}
    aggregate = next(system for system in result.systems if system.kind == "aggregate")
    assert set(aggregate.scores.strict.per_label) == {"symptom"}


@pytest.mark.parametrize(
    ("old", "new", "error", "says"),
    [
        ('name = "tiny"', "", ConfigError, "name: Field required"),
        ("[distiller]", "[distillr]", ConfigError, "distillr: Extra inputs"),
        ("epochs = 3", "epoch = 3", OptionError, "did you mean 'epochs'"),
        ('use = "jsonl"', 'use = "jsnl"', LookupError, "did you mean 'jsonl'"),
        ('path = "drugs.csv"', 'pth = "drugs.csv"', OptionError, "did you mean 'path'"),
        ("train = 24", "train = 240", ConfigError, "there are 40"),
        ('name = "tiny"', "name = tiny", DataError, "recipe.toml:2: is no TOML"),
        ('name = "tiny"', 'name = "tiny"\naggregator = {use = "majority", threshold = 3}', ValueError, "threshold"),
        ("[data.split]\ntrain = 24\ndev = 8\ntest = 8\n", "", ConfigError, "`source` goes with `split`"),
        ('path = "notes.jsonl"', 'path = "${NOT_SET_ANYWHERE}/x"', ConfigError, "NOT_SET_ANYWHERE"),
    ],
)
def test_a_mistake_is_found_before_anything_runs(recipe_file, tmp_path, old, new, error, says):
    text = recipe_file.read_text()
    assert old in text
    recipe_file.write_text(text.replace(old, new, 1))
    with pytest.raises(error) as raised:
        cd.run(recipe_file, tmp_path / "run", progress=False)
    assert says in str(raised.value)
    assert not (tmp_path / "run" / "labels.sqlite").exists()


def test_a_name_on_a_hub_stays_one_and_what_is_here_becomes_a_path(recipe_file, tmp_path):
    (tmp_path / "here").mkdir()
    text = recipe_file.read_text()
    for path, loaded in (("some/corpus", "some/corpus"), ("here", str(tmp_path / "here"))):
        recipe_file.write_text(
            text.replace('use = "jsonl"\npath = "notes.jsonl"', f'use = "hugging-face"\npath = "{path}"')
        )
        assert Recipe.load(recipe_file).data.source.options["path"] == loaded
    assert Recipe.load(recipe_file).teachers[0].options["path"] == str(tmp_path / "drugs.csv")


def test_secrets_stay_out_of_the_run_folder(recipe_file, tmp_path, monkeypatch):
    class Asking(cd.Teacher):
        """Wants a key."""

        labels = frozenset({"symptom"})

        def __init__(self, api_key: str):
            self.key = api_key

        def label_document(self, document):
            return ()

    cd.register_teacher("asking")(Asking)
    monkeypatch.setenv("SOME_KEY", "sk-very-secret")
    teacher = '[[teachers]]\nuse = "asking"\napi_key = "${SOME_KEY}"\n[student]'
    text = recipe_file.read_text().replace("seed = 3", "seed = 3\nhuman_baseline = false")
    recipe_file.write_text(text.replace("[student]", teacher))
    cd.run(recipe_file, tmp_path / "run", progress=False)
    assert '"(hidden)"' in (tmp_path / "run" / "recipe.json").read_text()
    for file in (tmp_path / "run").rglob("*"):
        assert file.is_dir() or b"sk-very-secret" not in file.read_bytes()


def test_a_language_model_teaches_in_a_recipe_and_is_asked_once(recipe_file, tmp_path):
    def answer(body):
        note = json.loads(body)["messages"][-1]["content"]
        found = [{"text": drug, "label": "medication"} for drug in DRUGS if drug in note]
        return chat_completion(body, json.dumps({"mentions": found}))

    with FaultServer(answer=answer) as server:
        teacher = f"""[[teachers]]
use = "openai"
model = "gpt-4o-mini"
base_url = "{server.url}"
budget_usd = 0.5
task = {{ name = "drugs", entities = [{{ name = "medication", definition = "A drug." }}] }}
[student]"""
        text = recipe_file.read_text().replace("seed = 3", "seed = 3\nhuman_baseline = false")
        recipe_file.write_text(text.replace("[student]", teacher))
        result = cd.run(recipe_file, tmp_path / "run", progress=False)
        assert len(server.times) == len({note.text for note in notes(0, 40)})  # each text once
    scores = {system.name: system.scores for system in result.systems}
    assert scores["gpt-4o-mini"].strict.per_label["medication"].f1 == 1.0


def test_a_key_in_a_recipe_is_refused_unseen(recipe_file):
    teacher = '[[teachers]]\nuse = "openai"\napi_key = "sk-very-secret"\n[student]'
    recipe_file.write_text(recipe_file.read_text().replace("[student]", teacher))
    with pytest.raises(ConfigError, match="name the variable that holds it") as caught:
        cd.Recipe.load(recipe_file)
    assert "sk-very-secret" not in str(caught.value)


def test_a_missing_recipe_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(DataError, match=r"absent.toml: cannot read the recipe"):
        cd.Recipe.load(tmp_path / "absent.toml")


def test_a_run_folder_that_cannot_be_made_is_told_in_a_line(recipe_file, cli):
    code, _, err = cli("run", recipe_file, "-o", recipe_file, "--quiet")
    assert code == 1
    assert "cannot be a run folder: File exists; name another" in " ".join(err.split())


def test_the_resolved_recipe_is_a_recipe(recipe_file, tmp_path):
    recipe = cd.Recipe.load(recipe_file)
    (tmp_path / "again.json").write_text(json.dumps(recipe.model_dump(mode="json")))
    assert cd.Recipe.load(tmp_path / "again.json") == recipe


def test_the_data_folder_is_filled_in_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("CLINIDISTILL_DATA", str(tmp_path / "corpora"))
    recipe = cd.Recipe.load(Path(__file__).parents[2] / "examples" / "maccrobat" / "recipe.toml")
    assert recipe.data.source.options["path"] == str(tmp_path / "corpora" / "maccrobat2020" / "MACCROBAT2020")
    assert recipe.teachers[0].options["terminology"]["path"].startswith(str(tmp_path / "corpora"))


def paid_recipe(recipe_file, more):
    """The recipe with people's labels played as a paid teacher, which labels what is selected."""
    text = recipe_file.read_text().replace(
        "[student]",
        f"""
[[teachers]]
use = "oracle"
[select]
teachers = ["oracle"]
{more}
[student]""",
    )
    recipe_file.write_text(text)
    return recipe_file


@pytest.fixture
def oracle(tmp_path):
    """A teacher that knows people's labels and bills a cent a note."""
    gold = {note.text: note.spans for note in notes(0, 40)}
    asked = []

    class Oracle(cd.Teacher):
        def __init__(self):
            self.name, self.labels = "oracle", ("medication", "symptom")

        def label_document(self, document):
            return gold[document.text]

        def annotate(self, documents):
            for answer in super().annotate(documents):
                asked.append(answer.document_id)
                yield replace(answer, cost_usd=0.01)

        def estimate(self, documents, database=None):
            count = sum(1 for _ in documents)
            return cd.Estimate(self.name, count, cost_usd=0.01 * count, most_usd=0.01 * count)

    cd.register_teacher("oracle")(Oracle)
    return asked


def test_select_alternates_with_training_until_the_budget_is_used_up(recipe_file, tmp_path, oracle):
    result = cd.run(
        paid_recipe(recipe_file, "budget_usd = 0.08\nrounds = 3\nmin_gain = -1"), tmp_path / "run", progress=False
    )
    rounds = json.loads((tmp_path / "run" / "selection.json").read_text())["rounds"]
    assert [len(record["ids"]) for record in rounds] == [2, 2, 4]
    assert [record["usd"] for record in rounds] == pytest.approx([0.02, 0.04, 0.08])
    assert all(record["dev_f1"] is not None for record in rounds)
    picked = [key for record in rounds for key in record["ids"]]
    assert sorted(oracle) == sorted(picked)  # neither dev nor test notes, and no note twice
    assert [system.name for system in result.systems] == ["drugs", "symptoms", "distilled", "human-trained"]
    ledger = {
        entry["teacher"]: entry for entry in json.loads((tmp_path / "run" / "evidence.json").read_text())["ledger"]
    }
    assert ledger["oracle"]["documents"] == 8
    assert ledger["drugs"]["documents"] == 24


def test_a_selection_goes_on_where_it_stopped(recipe_file, tmp_path, oracle, monkeypatch):
    recipe = paid_recipe(recipe_file, "notes = 8\nrounds = 3\nmin_gain = -1")
    train, calls = runner._Run._train, []

    def dies(self, name, *args, **options):
        calls.append(name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train(self, name, *args, **options)

    monkeypatch.setattr(runner._Run, "_train", dies)
    with pytest.raises(KeyboardInterrupt):
        cd.run(recipe, tmp_path / "run", progress=False)
    before = json.loads((tmp_path / "run" / "selection.json").read_text())["rounds"]
    cd.run(recipe, tmp_path / "run", progress=False)
    after = json.loads((tmp_path / "run" / "selection.json").read_text())["rounds"]
    assert [record["ids"] for record in after[:2]] == [record["ids"] for record in before]
    assert len(oracle) == len(set(oracle)) == 8
    count = len(calls)
    cd.run(recipe, tmp_path / "run", progress=False)  # done: nothing is picked or trained again
    assert len(oracle) == 8
    assert json.loads((tmp_path / "run" / "selection.json").read_text())["rounds"] == after
    assert len(calls) <= count + 2


def test_a_selection_stops_where_nothing_is_gained(recipe_file, tmp_path, oracle):
    cd.run(paid_recipe(recipe_file, "notes = 16\nrounds = 4\nmin_gain = 1.1"), tmp_path / "run", progress=False)
    assert len(json.loads((tmp_path / "run" / "selection.json").read_text())["rounds"]) == 2


@pytest.mark.parametrize(
    ("more", "says"),
    [("rounds = 2", "budget_usd"), ("notes = 0", "notes"), ("budget_usd = 0.001\nrounds = 1", "single note")],
)
def test_a_selection_that_cannot_work_is_refused(recipe_file, tmp_path, oracle, more, says):
    with pytest.raises(ConfigError, match=says):
        cd.run(paid_recipe(recipe_file, more), tmp_path / "run", progress=False)


def test_paid_teachers_are_named_or_send_notes(recipe_file, tmp_path, oracle):
    recipe = paid_recipe(recipe_file, "notes = 4")
    recipe.write_text(recipe.read_text().replace('teachers = ["oracle"]', ""))
    with pytest.raises(ConfigError, match=r"select\.teachers"):
        cd.run(recipe, tmp_path / "run", progress=False)
    recipe.write_text(recipe.read_text().replace("[select]", '[select]\nteachers = ["who"]'))
    with pytest.raises(ConfigError, match="'who'"):
        cd.run(recipe, tmp_path / "run", progress=False)

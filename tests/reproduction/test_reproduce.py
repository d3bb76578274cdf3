import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from tiny_experiment import DRUGS, SYMPTOMS, notes, recorded

import clinidistill as cd
from clinidistill.errors import ConfigError, OptionError
from clinidistill.evaluation.multiplicity import holm
from clinidistill.recipe.steps import only
from clinidistill.reproduction.tables import tables

SYSTEMS = ["aggregate", "distilled", "human-trained"]


def read(file):
    """The rows of a CSV file, by head."""
    return list(csv.DictReader(file.read_text().splitlines()))


def test_every_task_has_all_its_systems_on_test_and_on_the_external_set(finished_run):
    drugs, symptoms = finished_run.scores["tasks"]
    for place in ("test", "other"):
        assert [each["name"] for each in drugs["systems"] if each["on"] == place] == [
            "drugs-0",
            "drugs-1",
            "drugs-2",
            *SYSTEMS,
        ]
        assert [each["name"] for each in symptoms["systems"] if each["on"] == place] == [
            "symptoms-0",
            "symptoms-1",
            *SYSTEMS,
        ]
    assert len(drugs["search"]["combinations"]) == 2 * 7
    best = drugs["search"]["combinations"][0]
    assert (best["teachers"], best["aggregator"]) == (drugs["winner"]["teachers"], drugs["winner"]["aggregator"])
    assert best["scores"]["strict"]["micro"]["f1"] == 1.0  # any two of them know all drugs
    assert all(each["scores"]["strict"]["micro"]["f1_interval"] for each in drugs["systems"])


def test_the_best_single_teacher_is_chosen_on_dev(finished_run):
    dev, known = list(notes(24, 32)), {}
    for number in range(3):
        names = [each for n, each in enumerate(DRUGS) if n % 3 != number]
        teacher = cd.load_teacher("terminology", terminology=names, label="medication")
        gold = [only(note, frozenset({"medication"})) for note in dev]
        known[f"drugs-{number}"] = cd.evaluate(teacher, gold).strict.micro.f1
    assert finished_run.scores["tasks"][0]["search"]["best_teacher"] == max(known, key=known.get)


def test_the_student_learns_from_silver_labels_of_the_training_notes_alone(finished_run):
    silver = list(cd.load_dataset("jsonl", path=finished_run.folder / "symptoms" / "silver.jsonl"))
    assert [note.id for note in silver] == [note.id for note in notes(0, 24)]
    assert {note.mention(span) for note in silver for span in note.spans} == set(SYMPTOMS)
    assert {note.covers for note in silver} == {frozenset({"symptom"})}
    assert cd.load_student(finished_run.folder / "symptoms" / "distilled-3").labels == ("symptom",)


def test_scores_are_those_of_the_saved_students(finished_run):
    student = cd.load_student(finished_run.folder / "drugs" / "human-3")
    gold = [
        note.with_spans([s for s in note.spans if s.label == "medication"], {"medication"}) for note in notes(32, 44)
    ]
    found = next(
        s for s in finished_run.scores["tasks"][0]["systems"] if s["name"] == "human-trained" and s["on"] == "test"
    )
    assert found["scores"]["strict"]["micro"]["f1"] == cd.evaluate(student, gold).strict.micro.f1


def test_the_student_is_compared_with_teacher_aggregate_and_human_and_p_adjusted_over_the_table(finished_run):
    compared = [each for task in finished_run.scores["tasks"] for each in task["comparisons"]]
    assert len(compared) == 2 * 2 * 3
    drugs = finished_run.scores["tasks"][0]
    rivals = [each["against"] for each in drugs["comparisons"] if each["on"] == "test"]
    assert rivals == [drugs["search"]["best_teacher"], "aggregate", "human-trained"]
    assert [each["p_holm"] for each in compared] == holm([each["p"] for each in compared])
    assert all(each["paired"] for each in compared)
    f1 = {(s["name"], s["on"]): s["scores"]["strict"]["micro"]["f1"] for s in drugs["systems"]}
    for each in drugs["comparisons"]:
        assert each["a"] == pytest.approx(f1["distilled", each["on"]])
        assert each["b"] == pytest.approx(f1[each["against"], each["against_on"]])


def test_tables_agree_with_scores(finished_run):
    folder = finished_run.folder / "tables"
    names = {"f1", "combinations", "costs", "external", "significance"}
    assert {file.name for file in folder.iterdir()} == {f"{n}.{end}" for n in names for end in ("md", "csv", "tex")}
    saved = json.loads((finished_run.folder / "scores.json").read_text())
    assert saved == finished_run.scores
    for each in tables(saved):
        assert (folder / f"{each.name}.md").read_text() == each.markdown()
    rows = read(folder / "f1.csv")
    for task in saved["tasks"]:
        for system in (each for each in task["systems"] if each["on"] == "test"):
            micro = system["scores"]["strict"]["micro"]
            (row,) = [r for r in rows if r["task"] == task["name"] and r["system"].split(" (")[0] == system["name"]]
            assert float(row["strict F1"]) == micro["f1"]
            assert [float(row["strict 95 % low"]), float(row["strict 95 % high"])] == micro["f1_interval"]
    costs = read(folder / "costs.csv")
    for task in saved["tasks"]:
        for system in task["costs"]["systems"]:
            (row,) = [r for r in costs if (r["task"], r["system"]) == (task["name"], system["name"])]
            assert float(row["dollars for 1,000 notes"]) == system["usd_per_1k_notes"]


def test_costs_are_ratios_to_the_student_and_an_aggregate_costs_what_its_teachers_do(finished_run):
    costs = {each["name"]: each for each in finished_run.scores["tasks"][0]["costs"]["systems"]}
    own, winners = costs["distilled"], finished_run.scores["tasks"][0]["winner"]["teachers"]
    assert costs["aggregate"]["usd_per_1k_notes"] == pytest.approx(sum(costs[n]["usd_per_1k_notes"] for n in winners))
    for name in (*winners, "aggregate"):
        ratio = costs[name]["seconds_per_1k_notes"] / own["seconds_per_1k_notes"]
        assert costs[name]["times_faster"]["ratio"] == pytest.approx(ratio, rel=0.5)  # ours is a median


def test_the_student_is_timed_on_notes_that_its_teachers_were_timed_on(started, monkeypatch):
    """Else notes of two lengths would be compared."""
    file, folder = started
    done = stages(folder)
    del done["costs drugs"]
    (folder / "stages.json").write_text(json.dumps(done))
    timed = []

    def stopwatch(_, documents, **__):
        timed.extend(documents)
        raise KeyboardInterrupt

    monkeypatch.setattr("clinidistill.reproduction.costs.benchmark_inference", stopwatch)
    with pytest.raises(KeyboardInterrupt):
        cd.reproduce(file, folder, progress=False)
    assert [note.id for note in timed] == [note.id for note in notes(0, 24)]


def test_no_note_text_but_in_silver_labels_and_none_in_tables(finished_run):
    for file in finished_run.folder.rglob("*"):
        if file.is_file() and file.name != "silver.jsonl":
            assert b"The patient took" not in file.read_bytes(), file


def stages(folder):
    return json.loads((folder / "stages.json").read_text())


def test_a_second_run_does_nothing_again(started, monkeypatch):
    file, folder = started
    before = stages(folder)
    monkeypatch.setattr(cd.Distiller, "fit", lambda *_, **__: pytest.fail("trained again"))
    monkeypatch.setattr("clinidistill.reproduction.scoring.evaluate", lambda *_, **__: pytest.fail("scored again"))
    monkeypatch.setattr("clinidistill.reproduction.task_run.search_teachers", lambda *_, **__: pytest.fail("searched"))
    cd.reproduce(file, folder, progress=False)
    assert stages(folder) == before


def changed(before, after):
    return {name for name in after if before.get(name) != after[name]}


def test_a_change_repeats_only_what_depends_on_it(started):
    file, folder = started
    text = file.read_text()
    at = [stages(folder)]

    def again(text):
        file.write_text(text)
        cd.reproduce(file, folder, progress=False)
        at.append(stages(folder))
        return changed(*at[-2:])

    scored = {"score drugs/test", "score drugs/other"}
    text = text.replace("[[tasks]]", "[baseline_distiller]\nepochs = 1\n[[tasks]]", 1)
    assert again(text) == {"train drugs/human-3", *scored}
    more = 'external.more = { use = "jsonl", path = "dev.jsonl" }\n[[tasks.teachers]]'
    text = text.replace("[[tasks.teachers]]", more, 1)
    assert again(text) == {"score drugs/more"}
    cd.MemoryDataset(notes(32, 40)).save(file.parent / "test.jsonl")
    assert again(text) == {"score drugs/test"}
    text = text.replace("resamples = 50", 'resamples = 50\naggregators = ["union", "intersection"]')
    found = again(text)  # the best is still the union of two
    assert found == {"search drugs", *scored, "score drugs/more"}
    fewer = json.dumps([each for n, each in enumerate(DRUGS) if n % 3 != 0])
    text = text.replace(fewer, json.dumps(["aspirin"]))
    assert again(text) >= {"search drugs", "silver drugs", "train drugs/distilled-3", "costs drugs", *scored}
    assert "train drugs/human-3" not in changed(*at[-2:])


def test_a_run_killed_in_training_goes_on_and_ends_as_if_it_had_not_been(finished_run, experiment_file):
    folder = experiment_file.parent / "killed"
    code = f"import clinidistill as cd; cd.reproduce({str(experiment_file)!r}, {str(folder)!r}, progress=False)"
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if list(folder.glob("checkpoints/drugs/*/step-*[0-9]")):
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "scores.json").exists()
    again = cd.reproduce(experiment_file, folder, progress=False)
    whole = finished_run.scores["tasks"][0]
    for name in ("systems", "winner", "search", "parts"):
        assert again.scores["tasks"][0][name] == whole[name]


def test_a_training_that_was_killed_keeps_its_checkpoint_while_those_before_it_are_found_done(started, monkeypatch):
    file, folder = started
    file.write_text(file.read_text().replace("[[tasks]]", "[baseline_distiller]\nepochs = 1\n[[tasks]]", 1))
    left = []

    def killed(*_, checkpoint, **__):
        left.append(checkpoint)
        (checkpoint / "step-1").mkdir(parents=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(cd.Distiller, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        cd.reproduce(file, folder, progress=False)
    monkeypatch.setattr(cd.Distiller, "fit", lambda *_, checkpoint, **__: left.append((checkpoint / "step-1").is_dir()))
    with pytest.raises(AttributeError):
        cd.reproduce(file, folder, progress=False)
    assert left[0].name.startswith("human-3-")
    assert left[1:] == [True]


def test_seeds_starts_and_gold_last_make_students_of_their_own(experiment_file):
    cd.MemoryDataset(notes(60, 72)).save(experiment_file.parent / "neighbours.jsonl")
    text = experiment_file.read_text().replace("seed = 3", "seeds = [1, 2]").replace("epochs = 2", "epochs = 1")
    more = """[gold_last]
epochs = 1
lr = 3e-3
[start]
datasets = [{ use = "jsonl", path = "neighbours.jsonl" }]
distiller = { epochs = 1, lr = 3e-3 }
[[tasks]]"""
    experiment_file.write_text(text.replace("[[tasks]]", more, 1))
    result = cd.reproduce(experiment_file, experiment_file.parent / "run", progress=False)
    task = result.scores["tasks"][0]
    kinds = ["distilled", "distilled, gold last", "human-trained"]
    found = [(each["name"], each["seed"]) for each in task["systems"] if each["on"] == "test" and each["seed"]]
    assert found == [(kind, seed) for seed in (1, 2) for kind in kinds]
    assert cd.load_student(result.folder / "start").labels == ("medication", "symptom")
    begun = json.loads((result.folder / "drugs" / "human-2" / "clinidistill.json").read_text())
    assert begun["base"] == str(result.folder / "start")
    rows = read(result.folder / "tables" / "f1.csv")
    f1 = [
        s["scores"]["strict"]["micro"]["f1"] for s in task["systems"] if s["name"] == "distilled" and s["on"] == "test"
    ]
    (row,) = [row for row in rows if row["system"] == "distilled"]
    assert float(row["strict F1"]) == pytest.approx(sum(f1) / 2)
    assert float(row["sd"]) == pytest.approx(abs(f1[0] - f1[1]) / 2)
    assert {each["against"] for each in task["comparisons"] if each["system"] == "distilled, gold last"} == {
        task["search"]["best_teacher"],
        "aggregate",
        "human-trained",
    }


@pytest.mark.filterwarnings("ignore")
def test_teachers_without_answers_on_test_are_scored_where_they_have_some_and_compared_unpaired(tmp_path, tiny_base):
    file, answers = recorded(tmp_path, tiny_base), tmp_path / "answers.jsonl"
    answers.write_text("".join(answers.read_text().splitlines(keepends=True)[:-4]))  # poor's last
    result = cd.reproduce(file, tmp_path / "run", progress=False)
    task = result.scores["tasks"][0]
    on = {}
    for each in task["systems"]:
        on.setdefault(each["name"], []).append(each["on"])
    assert on == {
        "good": ["search"],
        "poor": ["search"],
        "aggregate": ["search"],
        "distilled": ["test", "search"],
        "human-trained": ["test", "search"],
    }
    assert (task["search"]["supervised"], task["search"]["trained_on"]) == (False, True)
    paired = {(each["on"], each["against"], each["against_on"]): each["paired"] for each in task["comparisons"]}
    assert paired == {
        ("test", "good", "search"): False,
        ("search", "good", "search"): True,
        ("test", "aggregate", "search"): False,
        ("search", "aggregate", "search"): True,
        ("test", "human-trained", "test"): True,
    }
    costs = {each["name"]: each for each in task["costs"]["systems"]}
    assert costs["good"]["usd_per_1k_notes"] == pytest.approx(30)
    assert costs["poor"]["usd_per_1k_notes"] is None
    assert costs["good"]["seconds_per_1k_notes"] is None
    assert task["costs"]["labeling_usd"] is None
    markdown = (result.folder / "tables" / "f1.md").read_text()
    assert "| drugs | good (best teacher on search) | search† | 24 |" in markdown
    assert "the student has learnt from silver labels of these notes" in markdown
    assert "drugs: poor has answers on 20 of the 24 notes of search; on the rest" in markdown
    assert "good has answers on" not in markdown


def test_a_task_may_differ_from_what_all_share(tmp_path, tiny_base):
    part = {"use": "jsonl", "path": "x.jsonl"}
    plan = cd.Experiment.model_validate(
        {
            "name": "x",
            "student": {"use": "token-classifier", "base": str(tiny_base)},
            "distiller": {"epochs": 5, "lr": 1e-4},
            "tasks": [
                {
                    "name": "a",
                    "labels": ["any"],
                    **dict.fromkeys(("train", "dev", "test"), part),
                    "teachers": [{"use": "terminology"}],
                    "distiller": {"epochs": 8},
                    "aggregators": ["hmm"],
                }
            ],
        }
    )
    shared = plan.of(plan.tasks[0])
    assert shared.distiller == {"epochs": 8, "lr": 1e-4}
    assert [each.title for each in shared.aggregators] == ["hmm"]
    bare = plan.tasks[0].model_copy(update={"aggregators": None})
    assert [each.title for each in plan.of(bare).aggregators] == ["majority", "union"]


def test_files_beside_a_corpus_lie_where_the_experiment_does_and_home_is_home(experiment_file, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    part = '{ use = "medalign", path = "~/medalign", annotations = "marks.jsonl" }'
    text = experiment_file.read_text().replace('{ use = "jsonl", path = "other.jsonl" }', part)
    experiment_file.write_text(text)
    (task,) = cd.Experiment.load(experiment_file).tasks
    options = task.external["other"].options
    assert options == {"path": f"{tmp_path}/home/medalign", "annotations": f"{tmp_path}/marks.jsonl"}


def test_dev_may_be_a_share_of_train(experiment_file, monkeypatch):
    text = experiment_file.read_text().replace('dev = { use = "jsonl", path = "dev.jsonl" }', "dev = 0.25")
    experiment_file.write_text(text)
    monkeypatch.setattr("clinidistill.reproduction.task_run.train", lambda *_, **__: pytest.fail("far enough"))
    with pytest.raises(pytest.fail.Exception, match="far enough"):
        cd.reproduce(experiment_file, experiment_file.parent / "run", progress=False)
    silver = {n.id for n in cd.load_dataset("jsonl", path=experiment_file.parent / "run" / "drugs" / "silver.jsonl")}
    assert len(silver) == 18
    assert silver < {note.id for note in notes(0, 24)}


@pytest.mark.parametrize(
    ("old", "new", "error", "says"),
    [
        ('name = "tiny"', "", ConfigError, "name: Field required"),
        ("epochs = 2", "epoch = 2", OptionError, "did you mean 'epochs'"),
        ('[student]\nuse = "token-classifier"', '[studnt]\nuse = "x"', ConfigError, "studnt: Extra inputs"),
        ("external.other", "external.test", ConfigError, "cannot be called 'test'"),
        ('name = "drugs-0"', 'name = "distilled"', ConfigError, "a teacher cannot be called 'distilled'"),
        ('name = "drugs"', 'name = ".."', ConfigError, "name: String should match pattern"),
        ('name = "drugs"', 'name = "start"', ConfigError, "a task cannot be called 'start'"),
        ("resamples = 50", 'aggregators = ["union", "union"]', ConfigError, "two aggregators have one name"),
        ("resamples = 50", 'aggregators = ["unon"]', LookupError, "did you mean 'union'"),
        ('labels = ["medication"]', 'labels = ["medication"]\nusd_per_note = { x = 1 }', ConfigError, "names 'x'"),
    ],
)
def test_a_mistake_is_found_before_anything_runs(experiment_file, old, new, error, says):
    text = experiment_file.read_text()
    assert old in text
    experiment_file.write_text(text.replace(old, new, 1))
    with pytest.raises(error) as raised:
        cd.reproduce(experiment_file, experiment_file.parent / "run", progress=False)
    assert says in str(raised.value)
    assert not (experiment_file.parent / "run").exists()


def test_the_command_runs_an_experiment_and_prints_its_tables(started, cli):
    file, folder = started
    code, out, err = cli("reproduce", file, "-o", folder, "--quiet")
    assert (code, err) == (0, "")
    assert "tiny: F1 by task and system" in out
    assert "tables:" in out


def test_a_run_folder_that_cannot_be_made_is_told_in_a_line(experiment_file, cli):
    code, _, err = cli("reproduce", experiment_file, "-o", experiment_file, "--quiet")
    assert code == 1
    assert "cannot be a run folder: File exists; name another" in " ".join(err.split())

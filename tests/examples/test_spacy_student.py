"""The plugin package in examples/plugins/spacy_student, installed as pip would; skipped where spaCy is not."""

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import clinidistill as cd
from clinidistill.errors import ConfigError, DataError
from clinidistill.testing.kinds import rules_of
from clinidistill.testing.rules import try_one
from clinidistill.testing.student import StudentCase

pytest.importorskip("spacy", reason="spaCy is not installed")

PACKAGE = Path(__file__).parents[2] / "examples" / "plugins" / "spacy_student"
TEXTS = [
    "Started aspirin for chest pain daily.",
    "Chest pain and rash after metformin.",
    "The patient took insulin and aspirin.",
    "No rash reported on metformin.",
    "Insulin was stopped because he had chest pain.",
]
KINDS = {"aspirin": "drug", "insulin": "drug", "metformin": "drug", "chest pain": "problem", "rash": "problem"}


def gold(text):
    found = [(match, KINDS[match[0].lower()]) for match in re.finditer("|".join(KINDS), text, re.IGNORECASE)]
    return cd.Document(text, text, [cd.Span(*match.span(), label) for match, label in found])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder that holds what installing the package would put into site-packages."""
    site = tmp_path_factory.mktemp("site")
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    shutil.copy(PACKAGE / "clinidistill_spacy.py", site)
    about = site / f"clinidistill_spacy-{project['version']}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    lines = [[f"[{group}]", *(f"{name} = {target}" for name, target in names.items())] for group, names in groups]
    (about / "entry_points.txt").write_text("\n".join(line for group in lines for line in group) + "\n")
    return site


@pytest.fixture(scope="module")
def spacy_student(site):
    """The class that the package registers, found as clinidistill finds it."""
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(str(site))
    (point,) = [p for p in importlib.metadata.entry_points(group="clinidistill.students") if p.name == "spacy"]
    cls = cd.register_student("spacy")(point.load())
    yield cls
    patch.undo()


@pytest.fixture(scope="module")
def learnt(spacy_student):
    student = cd.load_student("spacy", batch_words=20, dropout=0.0, name="tiny")
    history = cd.Distiller(epochs=30, seed=2, patience=None, show=False).fit(student, map(gold, TEXTS))
    assert history.best_epoch == len(history.epochs) == 30
    assert history.losses[-1] < history.losses[0] / 10
    return student


def keys(documents):
    return [[span.key for span in document.spans] for document in documents]


def test_it_learns_what_it_is_shown(learnt):
    assert learnt.labels == ("drug", "problem")
    found = list(learnt.predict(TEXTS))
    assert keys(found) == keys(map(gold, TEXTS))
    assert {(d.covers, s.source, s.score) for d in found for s in d.spans} == {(frozenset(learnt.labels), "tiny", 1.0)}


def test_it_keeps_the_contract_of_students(learnt):
    case = StudentCase(learnt, TEXTS)
    for rule in rules_of("student"):
        if rule.id != "student/huge":  # takes half a minute; the package's own test tries it
            try_one(rule, case)


def test_a_long_note_is_read_in_parts_and_its_mentions_stand_at_their_places(learnt):
    text = "\n".join(TEXTS * 300)
    (found,) = learnt.predict([text])
    assert len(text) > 5 * 10_000
    assert [span.key for span in found.spans] == [span.key for span in gold(text).spans]
    (unbroken,) = learnt.predict(["x" * 25_000])
    assert len(unbroken.text) == 25_000


def test_it_comes_back_the_same_and_learns_on(learnt, tmp_path):
    learnt.save(tmp_path / "saved", card="# Mine\n")
    again = cd.load_student(tmp_path / "saved")
    assert type(again) is type(learnt)
    assert list(again.predict(TEXTS)) == list(learnt.predict(TEXTS))
    assert (tmp_path / "saved" / "README.md").read_text() == "# Mine\n"
    history = cd.Distiller(epochs=1, show=False).fit(again, map(gold, TEXTS))
    assert history.losses[0] < 0.01


def test_the_folder_holds_no_pickle_and_its_configuration_is_not_read(learnt, tmp_path):
    learnt.save(tmp_path / "saved")
    files = {file.relative_to(tmp_path / "saved").as_posix(): file for file in tmp_path.rglob("*") if file.is_file()}
    pickled = b"\x80\x04"
    assert not [name for name, file in files.items() if file.read_bytes().startswith((pickled, b"\x80\x05", b"cposix"))]
    files["pipeline/config.cfg"].write_text("[nlp]\nbefore_creation = {'@callbacks': 'evil'}\n")
    assert keys(cd.load_student(tmp_path / "saved").predict(TEXTS)) == keys(map(gold, TEXTS))


def test_the_best_epoch_on_dev_is_kept_and_training_stops_after_patience(spacy_student):
    student = cd.load_student("spacy", batch_words=20, dropout=0.0)
    dev = [gold(text) for text in TEXTS]
    history = cd.Distiller(epochs=60, seed=2, patience=3, show=False).fit(student, dev, dev)
    assert history.stopped_early
    assert len(history.epochs) == history.best_epoch + 3 < 60
    scores = cd.evaluate(dev, student.predict(dev), labels=student.labels)
    assert scores.strict.micro.f1 == max(history.dev_f1) == history.dev_f1[history.best_epoch - 1]


def test_the_same_seed_gives_the_same_student(spacy_student):
    losses = [
        cd.Distiller(epochs=2, seed=5, show=False).fit(cd.load_student("spacy"), map(gold, TEXTS)).losses
        for _ in range(2)
    ]
    assert losses[0] == losses[1]


def test_what_nobody_looked_for_is_not_learnt_to_be_absent(spacy_student):
    def trained(covers):
        """Spans found after training on the notes, and on thrice as many with nothing marked, which cover `covers`."""
        silent = [gold(text).with_spans([], covers) for text in TEXTS]
        student = cd.load_student("spacy", labels=["drug", "problem"], batch_words=20, dropout=0.0)
        cd.Distiller(epochs=30, seed=2, show=False).fit(student, [*map(gold, TEXTS), *silent * 3])
        return sum(len(document.spans) for document in student.predict(TEXTS))

    assert trained(covers={"other"}) == sum(len(gold(text).spans) for text in TEXTS)
    assert trained(covers={"drug", "problem"}) == 0


def test_mentions_that_spacy_cannot_take_as_they_are_are_fitted(spacy_student):
    text = "Had chest\n pain  and arm pain."
    spans = [
        cd.Span(3, 16, "problem"),  # white space at its edges
        cd.Span(4, 9, "drug"),  # nested
        cd.Span(22, 29, "problem", fragments=((22, 24), (27, 29))),  # with a gap, and edges inside words
    ]
    student = cd.load_student("spacy", batch_words=20, dropout=0.0)
    cd.Distiller(epochs=40, seed=1, show=False).fit(student, [cd.Document("n", text, spans)])
    assert keys(student.predict([text])) == [[(4, 15, "problem"), (21, 29, "problem")]]


HOSTILE = ["", " \r\n\t", "\x00\x01asp\x02irin", "took \ud800 aspirin \udfff", "你好 😀😀", "x" * 1_100_000]


def test_hostile_texts_come_back_as_they_were(learnt):
    found = list(learnt.predict(HOSTILE))
    assert [document.text for document in found] == HOSTILE
    assert [document.id for document in found] == [str(n) for n in range(len(HOSTILE))]


def test_it_streams(learnt):
    read = 0

    def endless():
        nonlocal read
        while True:
            read += 1
            yield cd.Document(str(read), TEXTS[0])

    found = learnt.predict(endless(), batch_size=8)
    assert read == 0
    assert [next(found).id for _ in range(20)] == [str(n) for n in range(1, 21)]
    assert read <= 40


def test_a_student_without_a_model_and_strange_options_are_refused(spacy_student, learnt):
    with pytest.raises(ConfigError, match="train it"):
        cd.load_student("spacy").predict(TEXTS)
    with pytest.raises(ConfigError, match="got batch_tokens"):
        learnt.predict(TEXTS, batch_tokens=3)
    with pytest.raises(ConfigError, match="several notes"):
        learnt.predict("aspirin")
    with pytest.raises(ConfigError, match="no language 'xx-klingon'"):
        cd.load_student("spacy", language="xx-klingon")
    with pytest.raises(ConfigError, match="no label"):
        cd.Distiller(show=False).fit(cd.load_student("spacy"), [cd.Document("n", "aspirin")])


@pytest.mark.parametrize("damage", ["ner/model", "ner/moves", "vocab/strings.json", "metadata"])
def test_a_damaged_folder_is_refused(learnt, tmp_path, damage):
    learnt.save(tmp_path)
    if damage == "metadata":
        (tmp_path / "clinidistill.json").write_text(json.dumps({"student": "spacy"}))
    else:
        file = tmp_path / "pipeline" / damage
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(DataError, match="holds no student that can be loaded"):
        cd.load_student(tmp_path)


def test_it_teaches_another_student(learnt, tmp_path):
    learnt.save(tmp_path / "elder")
    teacher = cd.load_teacher("transformer", model=tmp_path / "elder", labels={"drug": "medication"})
    (labels,) = cd.label([cd.Document("n", TEXTS[0])], teacher)
    assert [span.key for span in labels.annotations["elder"].spans] == [(8, 15, "medication")]


def test_the_readme_s_example_runs_once_the_package_is_installed(site, tmp_path):
    (block,) = re.findall(r"```python\n(.*?)```", (PACKAGE / "README.md").read_text(), re.DOTALL)
    (tmp_path / "example.py").write_text(f"import sys\nsys.path.insert(0, {str(site)!r})\n{block}")
    run = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr

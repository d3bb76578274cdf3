"""Trained models as teachers; `folder` holds a tiny student trained to nearly no loss."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

import clinidistill as cd
from clinidistill.errors import ClinidistillError, ConfigError, DataError, OptionError
from clinidistill.students.base import as_documents

KINDS = {"aspirin": "Chemical", "insulin": "Chemical", "metformin": "Chemical", "pain": "Disease", "rash": "Disease"}
TEXTS = [
    "started aspirin for pain daily",
    "pain and rash after metformin",
    "the patient took insulin and aspirin",
    "no rash reported on metformin",
    "insulin was stopped because he had pain",
]
OURS = {"Chemical": "medication", "Disease": "disease"}


def gold(text, id=None):
    words = [(text.index(word), word) for word in dict.fromkeys(text.split())]
    spans = [cd.Span(at, at + len(word), KINDS[word]) for at, word in words if word in KINDS]
    return cd.Document(id or text, text, spans)


NOTES = [gold(text) for text in TEXTS]


@pytest.fixture(scope="module")
def folder(tiny_base, tmp_path_factory):
    student = cd.load_student("token-classifier", base=tiny_base, stride=8)
    cd.Distiller(100, 5e-3, 256, precision="fp32", device="cpu", show=False).fit(student, NOTES)
    saved = tmp_path_factory.mktemp("model") / "chem-ner"
    student.save(saved)
    return saved


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def keys(annotation):
    return [span.key for span in annotation.spans]


def renamed(document):
    return [(span.start, span.end, OURS[span.label]) for span in document.spans]


def test_a_saved_student_teaches_under_our_labels(folder):
    teacher = cd.load_teacher("transformer", model=folder, labels=OURS)
    answers = list(teacher.annotate(NOTES))
    assert [keys(answer) for answer in answers] == [renamed(note) for note in NOTES]
    assert [answer.document_id for answer in answers] == TEXTS
    assert {answer.covers for answer in answers} == {frozenset({"medication", "disease"})} == {teacher.labels}
    assert {(span.source, 0.5 < span.score < 1) for a in answers for span in a.spans} == {("chem-ner", True)}
    assert not teacher.remote


def test_without_a_map_labels_stay_as_they_are(folder):
    teacher = cd.load_teacher("transformer", model=str(folder))
    assert teacher.labels == {"Chemical", "Disease"}
    assert [keys(answer) for answer in teacher.annotate(NOTES)] == [[s.key for s in note.spans] for note in NOTES]


def test_the_map_selects(folder):
    teacher = cd.load_teacher("transformer", model=folder, labels={"Disease": "problem"})
    assert teacher.labels == {"problem"}
    assert [keys(answer) for answer in teacher.annotate(NOTES[:1])] == [[(20, 24, "problem")]]


def test_several_labels_may_become_one(folder):
    teacher = cd.load_teacher("transformer", model=folder, labels="Chemical=finding, Disease=finding")
    assert teacher.labels == {"finding"}
    assert [keys(answer) for answer in teacher.annotate(NOTES[:1])] == [[(8, 15, "finding"), (20, 24, "finding")]]


def test_a_plain_hugging_face_folder_teaches_in_whatever_scheme_it_tags(folder, tmp_path):
    plain = shutil.copytree(folder, tmp_path / "plain", ignore=shutil.ignore_patterns("clinidistill.json"))
    order = [3, 0, 4, 1, 2]
    weights = load_file(plain / "model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        weights[name] = weights[name][order]
    save_file(weights, plain / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((plain / "config.json").read_text())
    config["id2label"] = {n: config["id2label"][str(old)] for n, old in enumerate(order)}
    (plain / "config.json").write_text(json.dumps(config))
    expected = list(cd.load_teacher("transformer", model=folder, labels=OURS).annotate(NOTES))
    found = list(cd.load_teacher("transformer", model=plain, labels=OURS).annotate(NOTES))
    assert [keys(answer) for answer in found] == [keys(answer) for answer in expected]


def test_a_long_note_is_read_to_its_end(folder):
    text = "no rash reported on metformin " * 60
    (answer,) = cd.load_teacher("transformer", model=folder, labels=OURS).annotate([cd.Document("long", text)])
    assert len(answer.spans) == 120
    assert max(span.end for span in answer.spans) == len(text) - 1


def test_gold_spans_are_not_seen(folder):
    teacher = cd.load_teacher("transformer", model=folder)
    note = cd.Document("n", "the patient", [cd.Span(0, 3, "Chemical")])
    assert [document.spans for document in teacher.predict([note])] == [()]


def test_it_streams(folder):
    read = 0

    def endless():
        nonlocal read
        while True:
            read += 1
            yield cd.Document(str(read), TEXTS[read % 5])

    answers = cd.load_teacher("transformer", model=folder, batch_tokens=512).annotate(endless())
    assert [next(answers).document_id for _ in range(700)] == [str(n) for n in range(1, 701)]
    assert read <= 1024


def test_its_fingerprint_is_of_the_files_and_the_labels_and_not_of_the_place(folder, copy):
    def fingerprint(model, **options):
        return cd.load_teacher("transformer", model=model, **options).fingerprint

    first = fingerprint(folder, labels=OURS)
    assert fingerprint(copy, labels=OURS, name="other", batch_tokens=64, device="cpu") == first
    assert fingerprint(folder) != first
    (copy / "README.md").write_text("another card")
    assert fingerprint(copy, labels=OURS) == first
    (copy / "model.safetensors").write_bytes((copy / "model.safetensors").read_bytes() + b"\0")
    assert fingerprint(copy, labels=OURS) != first


def test_a_store_asks_again_when_the_model_has_changed(copy, tmp_path):
    cd.label(NOTES, cd.load_teacher("transformer", model=copy, labels=OURS), tmp_path / "labels.sqlite")
    weights = load_file(copy / "model.safetensors")
    weights["classifier.bias"][0] += 100  # nothing but O
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    teacher = cd.load_teacher("transformer", model=copy, labels=OURS)
    labels = cd.label(NOTES, teacher, tmp_path / "labels.sqlite")
    assert [opinions.annotations["copy"].spans for opinions in labels] == [()] * len(NOTES)
    assert len(cd.LabelStore(tmp_path / "labels.sqlite").teachers()) == 2


@cd.register_student("fragile-list")
class Fragile(cd.Student):
    """Knows one word, and dies on notes that hold another."""

    def __init__(self, marked: str = "aspirin"):
        self.marked = marked

    labels = ("drug",)

    def predict(self, documents, **options):
        if options:
            raise ConfigError("takes no options")
        for document in as_documents(documents):
            if "poison" in document.text:
                raise RuntimeError(document.text)
            at = document.text.find(self.marked)
            yield document.with_spans([cd.Span(at, at + len(self.marked), "drug", 0.5)] if at >= 0 else [])

    def save(self, path, *, card=None):
        Path(path).mkdir()
        (Path(path) / "clinidistill.json").write_text(json.dumps({"student": "fragile-list", "marked": self.marked}))

    @classmethod
    def load(cls, path):
        return cls(json.loads((Path(path) / "clinidistill.json").read_text())["marked"])


def test_a_plugin_s_student_teaches_and_what_it_dies_on_is_one_failure(tmp_path):
    Fragile().save(tmp_path / "words")
    teacher = cd.load_teacher("transformer", model=tmp_path / "words", labels={"drug": "medication"})
    notes = [cd.Document(str(n), "poison" if n == 2 else "on aspirin") for n in range(5)]
    answers = list(teacher.annotate(notes))
    assert [answer.document_id for answer in answers] == list("01234")
    assert [answer.failed for answer in answers] == [False, False, True, False, False]
    assert "poison" not in answers[2].error
    assert [keys(answer) for answer in answers[3:]] == [[(3, 10, "medication")]] * 2
    with pytest.raises(ClinidistillError, match="failed on document '2'"):
        list(teacher.predict(notes))


def test_what_a_model_cannot_do_is_an_error_at_once_and_no_failure_of_each_note(tmp_path):
    Fragile().save(tmp_path / "words")
    teacher = cd.load_teacher("transformer", model=tmp_path / "words", batch_tokens=3)
    with pytest.raises(ConfigError, match="takes no options"):
        cd.label([cd.Document("n", "aspirin")], teacher)


def test_it_teaches_in_a_recipe_that_names_its_folder_beside_it(folder, copy, tiny_base):
    cd.MemoryDataset([gold(text, f"{n}-{text}") for n in range(4) for text in TEXTS]).save(copy.parent / "notes.jsonl")
    (copy.parent / "recipe.toml").write_text(f"""
name = "pupil"
human_baseline = false
[data]
source = {{ use = "jsonl", path = "notes.jsonl", labels = {{ Chemical = "medication", Disease = "disease" }} }}
split = {{ train = 12, test = 8 }}
[[teachers]]
use = "transformer"
model = "copy"
labels = {{ Chemical = "medication", Disease = "disease" }}
[student]
use = "token-classifier"
base = "{tiny_base.as_posix()}"
[distiller]
epochs = 1
""")
    result = cd.run(copy.parent / "recipe.toml", copy.parent / "run", progress=False)
    scores = {system.name: system.scores for system in result.systems}
    assert scores["copy"].strict.micro.f1 == 1.0
    assert cd.load_student(result.student).labels == ("disease", "medication")


def test_it_teaches_on_the_command_line(cli, folder, tmp_path):
    cd.MemoryDataset(NOTES).without_spans().save(tmp_path / "notes.jsonl")
    teacher = f"transformer model='{folder}' labels=Chemical=medication,Disease=disease batch_tokens=256"
    output = tmp_path / "silver.jsonl"
    code, _, err = cli("label", tmp_path / "notes.jsonl", "-t", teacher, "-o", output, "--store", tmp_path / "s.sqlite")
    assert (code, "labelled by chem-ner" in err) == (0, True)
    assert [[s.key for s in d.spans] for d in cd.load_dataset("jsonl", path=output)] == [renamed(n) for n in NOTES]


@pytest.mark.parametrize(
    ("labels", "error", "says"),
    [
        ({"Chemicals": "medication"}, ConfigError, r"no label \['Chemicals'\]; it knows \['Chemical', 'Disease'\]"),
        ({}, ConfigError, "labels is empty"),
        ("", ConfigError, "labels is empty"),
        ("Chemical", ConfigError, "MODEL_LABEL=LABEL"),
        (["Chemical"], OptionError, "labels"),
    ],
)
def test_labels_that_cannot_be_meant_are_refused(folder, labels, error, says):
    with pytest.raises(error, match=says):
        list(cd.load_teacher("transformer", model=folder, labels=labels).annotate(NOTES))


def test_a_folder_that_is_absent_or_holds_no_model_is_named(tmp_path):
    with pytest.raises(DataError, match=r"absent: there is no such folder"):
        cd.load_teacher("transformer", model=tmp_path / "absent")
    with pytest.raises(DataError, match=r"holds no student: neither clinidistill.json nor config.json"):
        list(cd.load_teacher("transformer", model=tmp_path).annotate(NOTES))

"""Students on disk; `learnt` is a tiny one trained to nearly no loss on words of one piece each."""

import json
import shutil
import socket

import pytest
import torch
import transformers
from learnt_notes import gold

import clinidistill as cd
from clinidistill import Distiller
from clinidistill.errors import ConfigError, DataError, OptionError, RegistryError
from clinidistill.students.base import METADATA_FILE
from clinidistill.students.token_classifier import TokenClassifier

NOTES = [
    "started aspirin for pain daily",
    "pain and rash after metformin",
    "the patient took insulin and aspirin",
    "no rash reported on metformin",
    "insulin was stopped because he had pain",
]


@pytest.fixture(scope="module")
def learnt(tiny_base):
    student = TokenClassifier(tiny_base, name="tiny-ner", stride=8)
    history = Distiller(100, 5e-3, 256, precision="fp32", device="cpu", show=False).fit(student, map(gold, NOTES))
    assert history.losses[-1] < 0.02
    return student


@pytest.fixture(scope="module")
def saved(learnt, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "student"
    learnt.save(folder)
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


def damage(folder, **changes):
    """Metadata with some fields changed."""
    file = folder / METADATA_FILE
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_a_loaded_student_predicts_the_same(learnt, saved):
    loaded = cd.load_student(saved)
    long = " ".join(NOTES) * 9
    assert list(loaded.predict([*NOTES, long])) == list(learnt.predict([*NOTES, long]))
    assert (loaded.name, loaded.labels, loaded.stride) == ("tiny-ner", ("medication", "symptom"), 8)


def test_a_folder_may_be_saved_over_by_the_student_loaded_from_it(learnt, copy):
    loaded = cd.load_student(copy)
    loaded.save(copy)
    again = cd.load_student(copy)
    assert list(again.predict(NOTES)) == list(learnt.predict(NOTES))
    assert json.loads((copy / METADATA_FILE).read_text())["base"] == learnt.base


def test_a_loaded_student_learns_on(copy):
    loaded = cd.load_student(copy)
    history = Distiller(1, show=False, device="cpu").fit(loaded, map(gold, NOTES))
    assert history.losses[0] < 0.1


def test_transformers_own_pipeline_finds_the_same_spans(learnt, saved):
    pipeline = transformers.pipeline("token-classification", model=str(saved), aggregation_strategy="simple")
    for text in NOTES:
        theirs = [(found["start"], found["end"], found["entity_group"]) for found in pipeline(text)]
        [ours] = learnt.predict([text])
        assert [span.key for span in ours.spans] == theirs == [span.key for span in gold(text).spans]


def test_the_folder_holds_no_pickle_and_no_truncation(saved):
    files = {file.name for file in saved.iterdir()}
    assert {"README.md", "config.json", "model.safetensors", "tokenizer.json", METADATA_FILE} <= files
    assert {file.suffix for file in saved.iterdir()} == {".md", ".json", ".safetensors"}
    assert json.loads((saved / "tokenizer.json").read_text())["truncation"] is None


def test_a_card_of_ones_own_is_kept(learnt, tmp_path):
    learnt.save(tmp_path, card="# Mine\n")
    assert (tmp_path / "README.md").read_text() == "# Mine\n"


def test_a_plain_hugging_face_folder_is_a_student(learnt, copy):
    (copy / METADATA_FILE).unlink()
    loaded = cd.load_student(copy)
    assert loaded.name == "copy"
    assert [d.spans for d in loaded.predict(NOTES)] != []
    assert [[s.key for s in d.spans] for d in loaded.predict(NOTES)] == [
        [s.key for s in d.spans] for d in learnt.predict(NOTES)
    ]


def test_its_folder_may_be_the_base_of_a_student_with_other_labels(saved):
    student = TokenClassifier(saved, ["a", "b", "c"])
    student.prepare(["a"])
    assert student.model.config.num_labels == 7
    trained = cd.load_student(saved).model.state_dict()
    encoder = {k: v for k, v in student.model.state_dict().items() if k.startswith("bert.")}
    assert encoder
    assert all(torch.equal(value, trained[name]) for name, value in encoder.items())


def test_no_connection_is_tried_for_a_folder(saved, tiny_base, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    list(cd.load_student(saved).predict(NOTES))
    TokenClassifier(tiny_base, ["a"]).prepare(["a"])


def test_a_saved_student_takes_no_options(saved):
    with pytest.raises(OptionError, match="stride"):
        cd.load_student(saved, stride=3)


@pytest.mark.parametrize(
    "changes", [{"stride": "wide"}, {"stride": -1}, {"max_length": 10**6}, {"max_length": [1]}, {"name": {"a": 1}}]
)
def test_metadata_of_a_wrong_kind_is_refused(copy, changes):
    damage(copy, **changes)
    with pytest.raises(DataError, match="stride|max_length|name") as caught:
        cd.load_student(copy)
    assert caught.value.path == copy


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '"student"', b"\xff\xfe\x00"])
def test_damaged_metadata_is_refused(copy, content):
    (copy / METADATA_FILE).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=f"{METADATA_FILE}.*save the student again"):
        cd.load_student(copy)


def test_a_student_of_an_absent_plugin_is_named(copy):
    damage(copy, student="crf")
    with pytest.raises(RegistryError, match="crf"):
        cd.load_student(copy)


def test_a_folder_without_a_student_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no student"):
        cd.load_student(tmp_path)


def test_an_encoder_without_a_trained_head_is_no_student(tiny_base):
    with pytest.raises(DataError, match=r"lack 2 tensors, such as classifier\.bias"):
        cd.load_student(tiny_base)


def test_pickled_weights_are_refused(learnt, copy):
    (copy / "model.safetensors").unlink()
    torch.save(learnt.model.state_dict(), copy / "pytorch_model.bin")
    with pytest.raises(DataError, match="safetensors"):
        cd.load_student(copy)
    with pytest.raises(ConfigError, match="safetensors"):
        TokenClassifier(copy, ["a"]).prepare(["a"])


def test_code_in_the_folder_is_not_run(copy):
    (copy / "evil.py").write_text("raise SystemExit('this code was run')")
    config = json.loads((copy / "config.json").read_text())
    config |= {
        "model_type": "evil",
        "auto_map": {"AutoConfig": "evil.Config", "AutoModelForTokenClassification": "evil.Model"},
    }
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match="custom code"):
        cd.load_student(copy)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_truncated_file_is_refused(copy, name):
    file = copy / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(DataError, match="holds no student that can be loaded"):
        cd.load_student(copy)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_an_absent_file_is_refused(copy, name):
    (copy / name).unlink()
    with pytest.raises(DataError, match="holds no student that can be loaded"):
        cd.load_student(copy)


def test_tags_that_say_nothing_are_refused(copy):
    config = json.loads((copy / "config.json").read_text())
    config["id2label"] = dict(enumerate(["I-a", "B-a", "B-b", "I-b", "B-c"]))
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match=r"config.json: no tag is outside of mentions; write into id2label"):
        cd.load_student(copy)


def test_a_base_whose_encoder_lacks_weights_is_refused(tiny_base, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_base, tmp_path / "base")
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.0.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigError, match="lack 1 tensors"):
        TokenClassifier(folder, ["a"]).prepare(["a"])

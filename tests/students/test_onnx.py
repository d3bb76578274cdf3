"""Students as ONNX graphs; torch is the oracle, and real case reports are read where they are present."""

import json
import logging
import os
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
import transformers
from learnt_notes import NOTES, gold
from onnx import helper

import clinidistill as cd
from clinidistill import Distiller
from clinidistill.errors import ConfigError, DataError
from clinidistill.settings import Settings
from clinidistill.students.base import METADATA_FILE
from clinidistill.students.onnx import OnnxTokenClassifier
from clinidistill.students.onnx_graph import read_graph, write_graph
from clinidistill.students.onnx_int8 import activation_ranges, to_int8
from clinidistill.students.token_classifier import TokenClassifier

LONG = " ".join(NOTES) * 9  # several windows


def keys(documents):
    return [[span.key for span in document.spans] for document in documents]


def train(base, **options):
    student = TokenClassifier(base, name="tiny-ner", stride=8, **options)
    Distiller(60, 5e-3, 256, precision="fp32", device="cpu", show=False).fit(student, map(gold, NOTES))
    return student


@pytest.fixture(scope="module")
def learnt(tiny_base):
    return train(tiny_base)


@pytest.fixture(scope="module")
def exported(learnt, tmp_path_factory):
    return learnt.export("onnx", tmp_path_factory.mktemp("onnx") / "student")


@pytest.fixture(scope="module")
def in_int8(learnt, tmp_path_factory):
    return learnt.export("onnx", tmp_path_factory.mktemp("int8") / "student", quantize="int8", calibration=NOTES)


@pytest.fixture
def traced(exported, monkeypatch):
    """Exports of `learnt` take its graph from `exported`: tracing takes seconds, and the test is of what follows."""
    graph = exported.folder / "model.onnx"
    monkeypatch.setattr("clinidistill.students.onnx_export._trace", lambda model, ids: read_graph(graph))


@pytest.fixture
def copy(exported, tmp_path):
    return shutil.copytree(exported.folder, tmp_path / "copy")


@pytest.fixture(scope="module")
def reports():
    folder = Settings().data / "maccrobat2020" / "MACCROBAT2020"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent; see docs/data.md")
    return [document.without_spans() for document in cd.load_dataset("brat", path=folder)][:8]


def same_documents(ours, theirs):
    """Equal but for rounding of scores."""
    assert keys(ours) == keys(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert [span.score for span in mine.spans] == pytest.approx([s.score for s in other.spans], abs=1e-4)
        assert (mine.id, mine.text, mine.covers) == (other.id, other.text, other.covers)


def test_onnx_and_torch_predict_the_same(learnt, exported):
    notes = [*NOTES, LONG, "", "aspirin"]
    ours = list(exported.predict(notes))
    assert any(document.spans for document in ours)
    same_documents(ours, list(learnt.predict(notes, precision="fp32")))
    assert (exported.labels, exported.name) == (learnt.labels, "tiny-ner")


def test_onnx_and_torch_predict_the_same_on_case_reports(learnt, exported, reports):
    same_documents(list(exported.predict(reports)), list(learnt.predict(reports, precision="fp32")))


@pytest.mark.parametrize("batch_tokens", [1, 100, 10_000])
def test_batches_do_not_matter_in_fp32(exported, batch_tokens):
    notes = [*NOTES, LONG, "pain", ""]
    same_documents(list(exported.predict(notes, batch_tokens=batch_tokens)), list(exported.predict(notes)))


def test_a_calibrated_note_gets_the_same_whatever_is_beside_it(in_int8):
    [alone] = in_int8.predict([LONG])
    assert list(in_int8.predict([*NOTES, LONG, "pain"]))[-2].spans == alone.spans


def test_int8_finds_the_spans_of_fp32(learnt, traced, in_int8, tmp_path):
    theirs = keys(learnt.predict(NOTES, precision="fp32"))
    assert keys(in_int8.predict(NOTES)) == theirs
    assert keys(learnt.export("onnx", tmp_path, quantize="int8").predict(NOTES)) == theirs


def test_int8_hardly_changes_spans_of_case_reports(learnt, traced, reports, tmp_path):
    calibrated = learnt.export("onnx", tmp_path, quantize="int8", calibration=reports[:4])
    theirs = list(learnt.predict(reports[4:], precision="fp32"))
    assert cd.evaluate(theirs, calibrated.predict(reports[4:])).strict.micro.f1 > 0.9


def test_load_student_brings_both_forms_back(learnt, exported, in_int8, tmp_path):
    learnt.save(tmp_path / "torch")
    assert type(cd.load_student(tmp_path / "torch")) is TokenClassifier
    for student in (exported, in_int8):
        loaded = cd.load_student(student.folder)
        assert type(loaded) is OnnxTokenClassifier
        assert list(loaded.predict([*NOTES, LONG])) == list(student.predict([*NOTES, LONG]))
        assert loaded.fingerprint == student.fingerprint
    assert exported.fingerprint != in_int8.fingerprint


def test_a_saved_copy_predicts_the_same(exported, tmp_path):
    exported.save(tmp_path / "copy", card="# Mine\n")
    copy = cd.load_student(tmp_path / "copy")
    assert list(copy.predict(NOTES)) == list(exported.predict(NOTES))
    assert (tmp_path / "copy" / "README.md").read_text() == "# Mine\n"
    copy.save(tmp_path / "copy")  # over itself
    assert list(cd.load_student(tmp_path / "copy").predict(NOTES)) == list(exported.predict(NOTES))


def test_workers_predict_the_same(exported):
    notes = [*NOTES, LONG]
    assert list(exported.predict(notes, workers=2)) == list(exported.predict(notes))


def test_the_folder_says_what_it_holds(in_int8):
    metadata = json.loads((in_int8.folder / METADATA_FILE).read_text())
    assert metadata["student"] == "token-classifier-onnx"
    assert (metadata["quantize"], metadata["calibrated"]) == ("int8", True)
    assert (metadata["labels"], metadata["max_length"], metadata["stride"]) == (["medication", "symptom"], 64, 8)
    graph = onnx.load(in_int8.folder / "model.onnx")
    assert {opset.domain: opset.version for opset in graph.opset_import}[""] == metadata["opset"]
    kinds = [node.op_type for node in graph.graph.node]
    assert kinds.count("MatMulIntegerToFloat") == 12  # two layers of query, key, value, output, and two of the MLP
    assert kinds.count("MultiHeadAttention") == 2
    assert kinds.count("MatMul") == 1  # the head
    assert "medication" in (in_int8.folder / "README.md").read_text()


def test_the_folder_does_not_tell_of_the_machine_that_it_was_made_on(exported):
    for file in exported.folder.iterdir():
        assert b"site-packages" not in file.read_bytes()
        assert str(exported.folder.parent).encode() not in file.read_bytes()


def test_exporting_leaves_the_student_as_it_was(learnt, tmp_path):
    before = {name: value.clone() for name, value in learnt.model.state_dict().items()}
    attention = learnt.model.config._attn_implementation
    learnt.model.train()
    learnt.export("onnx", tmp_path)
    assert learnt.model.training
    assert learnt.model.config._attn_implementation == attention
    assert all(torch.equal(value, before[name]) for name, value in learnt.model.state_dict().items())


def test_a_crf_head_comes_along(tiny_base, tmp_path):
    student = train(tiny_base, head="crf", decoder="viterbi")
    exported = student.export("onnx", tmp_path)
    same_documents(list(exported.predict([*NOTES, LONG])), list(student.predict([*NOTES, LONG], precision="fp32")))
    assert exported.decoder == "viterbi"


SMALL = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 32, "intermediate_size": 64}
ARCHITECTURES = {
    "roberta": transformers.RobertaConfig(**SMALL, max_position_embeddings=80, pad_token_id=0),
    "distilbert": transformers.DistilBertConfig(dim=32, n_heads=2, n_layers=2, hidden_dim=64),
    "modernbert": transformers.ModernBertConfig(
        **SMALL, max_position_embeddings=64, local_attention=8, global_attn_every_n_layers=2
    ),
    "deberta-v2": transformers.DebertaV2Config(
        **SMALL, max_position_embeddings=80, relative_attention=True, pos_att_type=["p2c", "c2p"], position_buckets=8
    ),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_other_architectures_predict_the_same(name, tiny_base, tmp_path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_base)
    config = ARCHITECTURES[name]
    config.vocab_size = len(tokenizer)
    for part in ("pad", "cls", "sep", "bos", "eos"):
        setattr(config, f"{part}_token_id", 0 if part == "pad" else 2)
    torch.manual_seed(0)
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    student = TokenClassifier(tmp_path / "base", ["a", "b"], stride=8)
    student.prepare(["a", "b"])
    with torch.no_grad():
        student.model.classifier.weight.mul_(40)  # so that it is sure of something
    ours = list(student.export("onnx", tmp_path / "onnx").predict([*NOTES, LONG]))
    theirs = list(student.predict([*NOTES, LONG], precision="fp32"))
    assert any(document.spans for document in theirs)
    same_documents(ours, theirs)


def test_tags_of_another_scheme_come_out_as_ours(learnt, tmp_path):
    learnt.save(tmp_path / "torch")
    config = json.loads((tmp_path / "torch" / "config.json").read_text())
    tags = ["O", "I-b", "B-b", "I-a", "B-a"]
    config |= {"id2label": dict(enumerate(tags)), "label2id": {tag: n for n, tag in enumerate(tags)}}
    (tmp_path / "torch" / "config.json").write_text(json.dumps(config))
    (tmp_path / "torch" / METADATA_FILE).unlink()
    student = cd.load_student(tmp_path / "torch")
    exported = student.export("onnx", tmp_path / "onnx")
    assert exported.labels == student.labels == ("b", "a")
    assert keys(exported.predict(NOTES)) == keys(student.predict(NOTES, precision="fp32"))
    written = json.loads((tmp_path / "onnx" / "config.json").read_text())["id2label"]
    assert written == {"0": "O", "1": "B-b", "2": "I-b", "3": "B-a", "4": "I-a"}


def test_weights_too_big_for_one_file_lie_beside_it(learnt, traced, exported, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clinidistill.students.onnx_graph._ONE_FILE", 1000)
        big = learnt.export("onnx", tmp_path, quantize="int8", calibration=NOTES)
    assert (tmp_path / "model.onnx.data").stat().st_size > 40_000
    assert keys(big.predict(NOTES)) == keys(exported.predict(NOTES))
    learnt.export("onnx", tmp_path)
    assert not (tmp_path / "model.onnx.data").exists()


def uneven_product():
    """A graph of one product whose input has a wide channel, and its windows."""
    draw = np.random.default_rng(0)
    table = draw.normal(size=(50, 32)).astype(np.float32)
    table[:, 3] *= 200
    weight = draw.normal(size=(32, 24)).astype(np.float32)
    weight[3] /= 200
    arrays = {"table": table, "weight": weight, "bias": draw.normal(size=24).astype(np.float32)}
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["hidden"]),
            helper.make_node("MatMul", ["hidden", "weight"], ["product"]),
            helper.make_node("Add", ["bias", "product"], ["logits"]),
        ],
        "uneven",
        [helper.make_tensor_value_info("input_ids", onnx.TensorProto.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", "length", 24])],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    ids = np.arange(50).reshape(2, 25)
    return model, ids, table[ids] @ weight + arrays["bias"]


def test_calibration_spares_narrow_channels_beside_a_wide_one(tmp_path):
    from onnxruntime import InferenceSession

    gaps = {}
    for calibrated in (False, True):
        model, ids, expected = uneven_product()
        ranges = activation_ranges(model, [ids[:1], ids[1:]]) if calibrated else None
        if ranges:
            low, high = ranges["hidden"]
            assert (low.shape, high.shape) == ((32,), (32,))
            assert high[3] > 50 * np.delete(high, 3).max()
        to_int8(model, ranges)
        write_graph(model, tmp_path / "model.onnx")
        session = InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
        gaps[calibrated] = np.abs(session.run(None, {"input_ids": ids})[0] - expected).mean()
    assert gaps[True] < 0.1 < 1 < gaps[False]


def test_drift_of_calibrated_spans_is_told_without_their_text(learnt, traced, tmp_path, caplog, monkeypatch):
    with caplog.at_level(logging.INFO, "clinidistill"):
        learnt.export("onnx", tmp_path, quantize="int8", calibration=NOTES)
    [record] = (record for record in caplog.records if record.name.startswith("clinidistill"))
    assert (record.levelname, "5 calibration documents" in record.message) == ("INFO", True)
    caplog.clear()
    monkeypatch.setattr(OnnxTokenClassifier, "predict", lambda self, notes: [note.with_spans([]) for note in notes])
    learnt.export("onnx", tmp_path, quantize="int8", calibration=NOTES)
    [record] = (record for record in caplog.records if record.name.startswith("clinidistill"))
    assert record.levelname == "WARNING"
    assert "0.000" in record.message
    assert "aspirin" not in caplog.text


def test_calibration_on_notes_without_findings_is_told(learnt, traced, tmp_path, caplog):
    learnt.export("onnx", tmp_path, quantize="int8", calibration=["the of", ""])
    assert "finds nothing" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"format": "coreml"}, "TokenClassifier cannot be exported to 'coreml'"),
        ({"quantize": "int4"}, "None or 'int8'"),
        ({"calibration": NOTES}, "for quantize='int8'"),
        ({"quantize": "int8", "calibration": []}, "no calibration documents"),
        ({"quantize": "int8", "calibration": "aspirin"}, "in a list"),
    ],
)
def test_what_cannot_be_exported_is_refused(learnt, tmp_path, arguments, says):
    with pytest.raises(ConfigError, match=says):
        learnt.export(**({"format": "onnx", "folder": tmp_path / "out"} | arguments))
    assert not (tmp_path / "out").exists()


def test_a_student_without_a_model_is_not_exported(tiny_base, tmp_path):
    with pytest.raises(ConfigError, match="no model yet"):
        TokenClassifier(tiny_base, ["a"]).export("onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_students_own_folder_is_not_exported_over(learnt, tmp_path):
    learnt.save(tmp_path)
    with pytest.raises(ConfigError, match="folder of its own"):
        learnt.export("onnx", tmp_path)
    assert type(cd.load_student(tmp_path)) is TokenClassifier


def test_a_model_whose_graph_says_something_else_is_refused(learnt, tmp_path, monkeypatch):
    monkeypatch.setattr("clinidistill.students.onnx_export._mask", lambda **settings: None)
    monkeypatch.setattr(
        "clinidistill.students.onnx_export._attend",
        lambda module, query, key, value, mask, **others: (value.transpose(1, 2).contiguous(), None),
    )
    with pytest.raises(ConfigError, match="probabilities are off"):
        learnt.export("onnx", tmp_path)


def test_it_computes_as_it_was_exported(exported):
    for options in ({"precision": "bf16"}, {"device": "cuda"}):
        with pytest.raises(ConfigError, match="as it was exported"):
            exported.predict(NOTES, **options)


ABSENT = """
import importlib.abc, importlib.util, os, sys, torch, transformers
import clinidistill as cd

student = cd.load_student(sys.argv[1])


class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == module:
            raise ModuleNotFoundError(name)


for module in ("onnx", "onnxruntime", "onnxscript"):
    if os.fork():  # a process for each, as what is imported once stays so
        assert os.wait()[1] == 0, module
        continue
    real = importlib.util.find_spec
    importlib.util.find_spec = lambda name, package=None: None if name == module else real(name, package)
    sys.meta_path.insert(0, Absent())
    attempts = [lambda: student.export("onnx", sys.argv[3])]
    if module != "onnxscript":
        attempts.append(lambda: cd.load_student(sys.argv[2]))
    for attempt in attempts:
        try:
            attempt()
        except cd.errors.ConfigError as error:
            assert "pip install 'clinidistill[onnx]'" in str(error), error
        else:
            raise SystemExit("no error")
    break
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_an_absent_package_is_named_with_the_command_that_installs_it(learnt, exported, tmp_path):
    learnt.save(tmp_path / "torch")
    done = subprocess.run(
        [sys.executable, "-c", ABSENT, tmp_path / "torch", exported.folder, tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_truncated_or_absent_file_is_refused(copy, name):
    file = copy / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(DataError, match="export the student again|cannot load"):
        cd.load_student(copy)
    file.unlink()
    with pytest.raises(DataError, match="is absent|cannot load|no tokenizer"):
        cd.load_student(copy)


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": []},
        {"labels": "medication"},
        {"labels": ["a", "a"]},
        {"labels": ["a"]},
        {"stride": "8"},
        {"stride": 64},
        {"max_length": None},
        {"max_length": 10**6},
        {"name": 3},
        {"decoder": "best"},
        {"head": "svm"},
        {"head": "crf"},
    ],
)
def test_damaged_metadata_is_refused(copy, changes):
    file = copy / METADATA_FILE
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    with pytest.raises(DataError):
        cd.load_student(copy)


def alter(folder, change):
    model = onnx.load(folder / "model.onnx")
    change(model)
    onnx.save(model, folder / "model.onnx")


def foreign_operator(model):
    model.opset_import.append(helper.make_opsetid("evil", 1))
    model.graph.node.append(helper.make_node("Run", ["input_ids"], ["ran"], domain="evil"))


def weights_elsewhere(model):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")


def another_input(model):
    model.graph.input.append(helper.make_tensor_value_info("attention_mask", onnx.TensorProto.INT64, ["a", "b"]))


def one_tag_less(model):
    [head] = [tensor for tensor in model.graph.initializer if tuple(tensor.dims) == (32, 5)]
    [bias] = [tensor for tensor in model.graph.initializer if tuple(tensor.dims) == (5,)]
    for tensor in (head, bias):
        array = onnx.numpy_helper.to_array(tensor)[..., :4]
        tensor.CopyFrom(onnx.numpy_helper.from_array(array.copy(), tensor.name))
    del model.graph.value_info[:], model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", "length", 4]))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (foreign_operator, "operators of .*evil"),
        (weights_elsewhere, "outside of its folder"),
        (another_input, "input_ids alone"),
        (one_tag_less, "the tags of the 2 labels"),
    ],
)
def test_a_hostile_or_strange_graph_is_refused(copy, change, says):
    (copy.parent / "secret").write_bytes(bytes(10**6))
    alter(copy, change)
    with pytest.raises(DataError, match=says) as caught:
        cd.load_student(copy)
    assert caught.value.path.name == "model.onnx"


def test_linked_weights_are_refused(learnt, traced, tmp_path, monkeypatch):
    monkeypatch.setattr("clinidistill.students.onnx_graph._ONE_FILE", 1000)
    learnt.export("onnx", tmp_path / "student")
    data = tmp_path / "student" / "model.onnx.data"
    data.rename(tmp_path / "secret")
    data.symlink_to(tmp_path / "secret")
    with pytest.raises(DataError, match="outside of its folder"):
        cd.load_student(tmp_path / "student")


def test_a_graph_for_shorter_windows_than_the_metadata_says_is_named(copy):
    def cut(model):
        for tensor in model.graph.initializer:
            if "position_embeddings" in tensor.name:
                array = onnx.numpy_helper.to_array(tensor)[:20]
                tensor.CopyFrom(onnx.numpy_helper.from_array(array.copy(), tensor.name))

    alter(copy, cut)
    with pytest.raises(DataError, match=r"fails on windows of \d+ tokens .*export the student again") as caught:
        list(cd.load_student(copy).predict([LONG]))
    assert "aspirin" not in str(caught.value)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_do_not_matter(exported, threads):
    student = cd.load_student("token-classifier-onnx", folder=exported.folder, threads=threads)
    same_documents(list(student.predict([*NOTES, LONG] * 20)), list(exported.predict([*NOTES, LONG] * 20)))
    assert student.fingerprint == exported.fingerprint


def test_no_threads_are_refused(exported):
    with pytest.raises(ConfigError, match="1 or more"):
        OnnxTokenClassifier(exported.folder, threads=0)

import sys

import pytest
import torch
import transformers

import clinidistill as cd
from clinidistill import Distiller, Document, Span
from clinidistill.errors import ConfigError
from clinidistill.students.layers import keep_layers, spaced
from clinidistill.students.lora import merged
from clinidistill.students.token_classifier import TokenClassifier

NOTES = [
    Document(f"n{n}", f"he was given {drug} for {sign}", [Span(13, 13 + len(drug), "drug")])
    for n, (drug, sign) in enumerate([("aspirin", "fever"), ("codeine", "rash"), ("insulin", "nausea")] * 4)
]
SIZES = {"vocab_size": 60, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}


def distiller(epochs, **settings):
    return Distiller(epochs, 1e-2, 128, precision="fp32", device="cpu", show=False, **settings)


def model(kind, layers=4):
    sizes = {"dim": 16, "n_heads": 2, "hidden_dim": 32, "vocab_size": 60} if kind == "distilbert" else SIZES
    if kind == "modernbert":
        sizes = SIZES | {"pad_token_id": 0, "global_attn_every_n_layers": 2}
    config = transformers.AutoConfig.for_model(kind, num_labels=3, **sizes)
    config.num_hidden_layers = layers
    if kind == "modernbert":
        config = transformers.AutoConfig.for_model(kind, num_labels=3, **sizes, num_hidden_layers=layers)
    return transformers.AutoModelForTokenClassification.from_config(config).eval()


@pytest.fixture(scope="module")
def deep_base(tiny_base, tmp_path_factory):
    """The tiny base with four layers."""
    folder = tmp_path_factory.mktemp("deep") / "base"
    config = transformers.AutoConfig.from_pretrained(tiny_base, num_hidden_layers=4)
    torch.manual_seed(0)
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(tiny_base).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("number", "of", "kept"), [(3, 6, [1, 3, 5]), (2, 6, [2, 5]), (6, 6, [0, 1, 2, 3, 4, 5]), (1, 4, [3])]
)
def test_layers_are_evenly_spaced_and_the_last_is_kept(number, of, kept):
    assert spaced(number, of) == kept


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta", "electra", "modernbert"])
def test_what_is_left_loads_as_a_smaller_model(kind, tmp_path):
    whole = model(kind)
    keep_layers(whole, 2)
    whole.save_pretrained(tmp_path)
    again = transformers.AutoModelForTokenClassification.from_pretrained(tmp_path).eval()
    assert again.config.num_hidden_layers == 2
    ids = torch.arange(5, 15)[None]
    assert torch.allclose(again(ids).logits, whole(ids).logits, atol=1e-6)


def test_a_student_of_fewer_layers_begins_with_those_of_its_base(deep_base):
    small, large = (TokenClassifier(deep_base, ["drug"], layers=layers) for layers in (2, None))
    for student in (small, large):
        student.prepare(["drug"])
    for mine, theirs in ((0, 1), (1, 3)):
        ours = small.model.bert.encoder.layer[mine].state_dict()
        assert all(
            torch.equal(value, large.model.bert.encoder.layer[theirs].state_dict()[name])
            for name, value in ours.items()
        )


def test_a_larger_student_guides_a_smaller_one(deep_base, tmp_path):
    large = TokenClassifier(deep_base, ["drug"])
    distiller(15).fit(large, NOTES)
    small = TokenClassifier(deep_base, ["drug"], layers=2)
    distiller(25).fit(small, [], pool=NOTES, guides=[large])
    small.save(tmp_path / "small")
    again = cd.load_student(tmp_path / "small")
    assert len(again.model.bert.encoder.layer) == 2
    assert [d.spans for d in again.predict(NOTES)] == [d.spans for d in small.predict(NOTES)]
    assert cd.evaluate(NOTES, list(again.predict(NOTES))).strict.micro.f1 > 0.9


@pytest.mark.parametrize("layers", [0, 5, [0, 4], [1, 0], []])
def test_layers_that_the_base_does_not_have_are_refused(deep_base, layers):
    with pytest.raises(ConfigError, match="the base has 4"):
        TokenClassifier(deep_base, ["drug"], layers=layers).prepare(["drug"])


def test_adapters_alone_are_trained_and_merged_when_saved(deep_base, tmp_path):
    student = TokenClassifier(deep_base, ["drug"], lora=4)
    student.prepare(["drug"])
    before = {name: value.clone() for name, value in student.model.state_dict().items() if "base_layer" in name}
    distiller(30).fit(student, NOTES)
    after = student.model.state_dict()
    assert before
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    trained = {name for name, value in student.model.named_parameters() if value.requires_grad}
    assert all("lora_" in name or name.startswith("classifier.") for name in trained)
    student.save(tmp_path / "student")
    again = cd.load_student(tmp_path / "student")
    assert not any("lora" in name for name in again.model.state_dict())
    found = [d.spans for d in again.predict(NOTES, precision="fp32")]
    assert [[span.key for span in spans] for spans in found] == [
        [span.key for span in d.spans] for d in student.predict(NOTES, precision="fp32")
    ]
    assert sum(map(len, found)) > 0
    transformers.AutoModelForTokenClassification.from_pretrained(tmp_path / "student")


def test_a_merged_model_says_what_the_adapters_said(deep_base):
    student = TokenClassifier(deep_base, ["drug"], lora={"r": 2, "target_modules": ["query", "value"]})
    distiller(5).fit(student, NOTES)
    ids = torch.arange(5, 15)[None]
    assert torch.allclose(merged(student.model.eval())(ids).logits, student.model(ids).logits, atol=1e-5)


def test_options_that_peft_does_not_know_are_refused(deep_base):
    with pytest.raises(ConfigError, match="lora"):
        TokenClassifier(deep_base, ["drug"], lora={"rank": 2}).prepare(["drug"])


@pytest.mark.parametrize("options", [{"layers": 2}, {"lora": 2}, {"layers": [0, 3], "lora": 2, "head": "crf"}])
def test_they_are_exported_to_onnx_as_they_predict(deep_base, tmp_path, options):
    pytest.importorskip("onnxscript")
    student = TokenClassifier(deep_base, ["drug"], **options)
    distiller(20).fit(student, NOTES)
    exported = student.export("onnx", tmp_path / "onnx")
    ours, theirs = ([[s.key for s in d.spans] for d in each.predict(NOTES)] for each in (exported, student))
    assert ours == theirs
    assert any(ours)


def test_adapters_are_averaged_checkpointed_and_the_best_are_kept(deep_base, tmp_path):
    losses = []
    for folder in (None, tmp_path / "checkpoint"):
        student = TokenClassifier(deep_base, ["drug"], lora=2)
        losses.append(distiller(4, ema=0.9).fit(student, NOTES, NOTES, checkpoint=folder).losses)
    again = TokenClassifier(deep_base, ["drug"], lora=2)
    resumed = distiller(4, ema=0.9).fit(again, NOTES, NOTES, checkpoint=tmp_path / "checkpoint")
    assert losses[0] == losses[1] == resumed.losses
    assert all(torch.equal(value, again.model.state_dict()[name]) for name, value in student.model.state_dict().items())


def test_few_parameters_are_trained_with_adapters(deep_base):
    student = TokenClassifier(deep_base, ["drug"], lora={"r": 1, "target_modules": ["query", "value"]}, head="crf")
    student.prepare(["drug"])
    sizes = {name: p.numel() for name, p in student.model.named_parameters() if p.requires_grad}
    layers, hidden, tags = 4, 32, 3
    assert sum(sizes.values()) == layers * 2 * 2 * hidden + (hidden + 1) * tags + tags * tags


def test_adapters_without_peft_are_refused_with_the_cure(deep_base, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match=r"pip install 'clinidistill\[peft\]'"):
        TokenClassifier(deep_base, ["drug"], lora=2).prepare(["drug"])

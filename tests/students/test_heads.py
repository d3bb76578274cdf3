"""Other heads and decoders of the token classifier, switched on, trained and kept."""

import json
import shutil

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import clinidistill as cd
from clinidistill import Distiller, Document, Span
from clinidistill.errors import ConfigError, DataError
from clinidistill.students.base import METADATA_FILE
from clinidistill.students.objective import Objective
from clinidistill.students.token_classifier import TokenClassifier
from clinidistill.students.trainable import Example

CPU = torch.device("cpu")
MENTIONS = {"aspirin": "medication", "chest pain": "symptom", "fever": "symptom", "insulin": "medication"}
SETTINGS = {"epochs": 40, "lr": 5e-3, "batch_tokens": 128, "precision": "fp32", "device": "cpu", "show": False}


def note(text):
    spans = [Span(text.index(m), text.index(m) + len(m), label) for m, label in MENTIONS.items() if m in text]
    return Document(text, text, spans)


NOTES = [
    note("started aspirin for chest pain"),
    note("insulin was given and he reported fever"),
    note("no chest pain and no fever with aspirin"),
    note("fever stopped after insulin"),
]


def keys(documents):
    return [[span.key for span in document.spans] for document in documents]


@pytest.fixture(scope="module")
def learnt(tiny_base):
    student = TokenClassifier(tiny_base, head="crf", decoder="viterbi", stride=8, name="tiny")
    history = Distiller(**SETTINGS).fit(student, NOTES)
    assert history.losses[-1] < 0.1 * history.losses[0]
    return student


@pytest.fixture(scope="module")
def saved(learnt, tmp_path_factory):
    folder = tmp_path_factory.mktemp("crf")
    learnt.save(folder)
    return folder


def test_a_crf_learns_what_follows_what(learnt):
    transitions = learnt.model.crf.transitions
    assert learnt.labels == ("medication", "symptom")
    assert transitions[3, 4] > transitions[1, 4]  # I-symptom after B-symptom, not after B-medication
    assert keys(learnt.predict(NOTES)) == keys(NOTES)


def test_a_crf_comes_back_as_it_was(learnt, saved):
    loaded = cd.load_student(saved)
    assert (loaded.head, loaded.decoder) == ("crf", "viterbi")
    assert torch.equal(loaded.model.crf.transitions, learnt.model.crf.transitions)
    long = " ".join(document.text for document in NOTES) * 9
    assert list(loaded.predict([*NOTES, long])) == list(learnt.predict([*NOTES, long]))


def test_the_folder_of_a_crf_is_a_plain_model_for_transformers(saved):
    _, report = transformers.AutoModelForTokenClassification.from_pretrained(saved, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    found = transformers.pipeline("token-classification", model=str(saved), aggregation_strategy="simple")(
        NOTES[0].text
    )
    assert [(f["start"], f["end"], f["entity_group"]) for f in found] == keys(NOTES)[0]


def test_a_crf_learns_on_after_it_was_loaded(saved):
    loaded = cd.load_student(saved)
    before = loaded.model.crf.transitions.clone()
    Distiller(**{**SETTINGS, "epochs": 1}).fit(loaded, NOTES)
    assert not torch.equal(loaded.model.crf.transitions, before)


@pytest.mark.parametrize("damage", ["absent", "cut", "smaller", "other"])
def test_damaged_transitions_are_named(saved, tmp_path, damage):
    folder = shutil.copytree(saved, tmp_path / "copy")
    file = folder / "crf.safetensors"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-5])
    elif damage == "smaller":
        save_file({"transitions": load_file(file)["transitions"][:3, :3].contiguous()}, file)
    elif damage == "other":
        save_file({"weight": torch.zeros(5, 5)}, file)
    else:
        file.unlink()
    with pytest.raises(DataError, match=r"crf\.safetensors: holds no transitions between 5 tags"):
        cd.load_student(folder)


@pytest.mark.parametrize(("option", "value"), [("head", "CRF"), ("decoder", "beam")])
def test_unknown_heads_and_decoders_are_refused(tiny_base, saved, tmp_path, option, value):
    with pytest.raises(ConfigError, match=f"{option} must be one of"):
        TokenClassifier(tiny_base, **{option: value})
    folder = shutil.copytree(saved, tmp_path / "copy")
    metadata = json.loads((folder / METADATA_FILE).read_text())
    (folder / METADATA_FILE).write_text(json.dumps({**metadata, option: value}))
    with pytest.raises(DataError, match=option):
        cd.load_student(folder)


def test_a_student_saved_before_there_were_heads_has_a_linear_one(tiny_base, tmp_path):
    student = TokenClassifier(tiny_base, ["medication"])
    student.prepare(["medication"])
    student.save(tmp_path)
    metadata = json.loads((tmp_path / METADATA_FILE).read_text())
    (tmp_path / METADATA_FILE).write_text(
        json.dumps({k: metadata[k] for k in metadata if k not in ("head", "decoder")})
    )
    loaded = cd.load_student(tmp_path)
    assert (loaded.head, loaded.decoder) == ("linear", "viterbi")


@pytest.fixture
def untrained(tiny_base):
    """A CRF with random transitions, without dropout."""
    student = TokenClassifier(tiny_base, ["a", "b"], head="crf")
    torch.manual_seed(0)
    student.prepare(["a", "b"])
    student.model.crf.set_transitions(torch.randn(5, 5))
    student.model.eval()
    return student


def examples(student, **fields):
    [document] = [Document("n", "aspirin for chest pain", [Span(0, 7, "a"), Span(12, 22, "b")])]
    [example] = student.encode([document])
    return [Example(example.input_ids, example.targets, **fields)]


def test_a_label_that_was_not_looked_for_leaves_the_sum_over_sequences(untrained):
    open_tags = np.array([True, False, False, True, True])
    [example] = examples(untrained, allowed=open_tags)
    example.targets[1] = 0
    logits = untrained.model(torch.from_numpy(example.input_ids)[None]).logits
    expected = untrained.model.crf.loss(
        logits, torch.from_numpy(example.targets)[None], torch.from_numpy(open_tags)[None]
    )
    assert float(untrained.loss(untrained.model, [example], CPU).detach()) == pytest.approx(expected.item(), rel=1e-5)
    assert float(untrained.loss(untrained.model, examples(untrained), CPU).detach()) != pytest.approx(expected.item())


def test_soft_labels_are_set_against_the_marginals_of_a_crf(untrained):
    [hard] = examples(untrained)
    likely = np.full((len(hard), 5), 0.05, dtype=np.float16)
    likely[np.arange(len(hard)), np.maximum(hard.targets, 0)] = 0.8
    soft = Example(hard.input_ids, hard.targets, soft=likely)
    loss = untrained.loss(untrained.model, [soft], CPU)
    gradients = torch.autograd.grad(loss, [untrained.model.crf.weight, untrained.model.classifier.weight])
    marginals = untrained.probabilities(untrained.model, [soft], CPU)  # of valid sequences only
    assert marginals.sum(-1).detach().numpy() == pytest.approx(1, abs=1e-5)
    logits = untrained.model(torch.from_numpy(soft.input_ids)[None]).logits
    takes_part = torch.from_numpy(soft.targets >= 0)[None]
    log_marginals = untrained.model.crf.log_marginals(logits, takes_part)
    expected = -(log_marginals * torch.from_numpy(likely).float())[takes_part].sum()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


@pytest.mark.parametrize("objective", [Objective(gce=0.5), Objective(outside=0.5), Objective(confidence_weights=True)])
def test_losses_that_bear_noise_go_with_a_crf(untrained, objective):
    loss = untrained.loss(untrained.model, examples(untrained), CPU, objective)
    [gradient] = torch.autograd.grad(loss, [untrained.model.crf.weight])
    assert torch.isfinite(loss)
    assert gradient.abs().sum() > 0


def test_a_crf_trains_in_bf16(tiny_base):
    student = TokenClassifier(tiny_base, head="crf")
    history = Distiller(**{**SETTINGS, "precision": "bf16"}).fit(student, NOTES)
    assert history.losses[-1] < 0.2 * history.losses[0]
    assert student.model.crf.weight.dtype == torch.float32


def test_the_decoder_decides_how_the_same_student_marks(tiny_base):
    greedy, best = (TokenClassifier(tiny_base, ["a", "b"], stride=8, decoder=name) for name in ("greedy", "viterbi"))
    for student in (greedy, best):
        torch.manual_seed(1)
        student.prepare(["a", "b"])
        student.model.classifier.weight.data.mul_(20)
    text = " ".join(document.text for document in NOTES) * 5
    assert keys(greedy.predict([text])) != keys(best.predict([text]))

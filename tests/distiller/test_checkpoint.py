import json

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from clinidistill import Distiller, Document, Span
from clinidistill.errors import CheckpointError
from clinidistill.students.token_classifier import TokenClassifier


def fit(base, notes, folder=None, *, student=None, dev=None, every=None, **settings):
    """A student, the history of its training, and how many optimizer steps that took now."""
    student = student or TokenClassifier(base)
    settings = {"precision": "fp32", "device": "cpu", "show": False, **settings}
    taken = []
    hook = register_optimizer_step_pre_hook(lambda *_: taken.append(1))
    try:
        history = Distiller(3, 5e-3, 128, **settings).fit(
            student, notes, dev, checkpoint=folder, checkpoint_every=every
        )
    finally:
        hook.remove()
    return student, history, len(taken)


def weights_equal(left, right):
    return all(torch.equal(value, right.model.state_dict()[name]) for name, value in left.model.state_dict().items())


def what_matters(history):
    """A history without its clock."""
    epochs = [{k: v for k, v in e.items() if "second" not in k} for e in history.epochs]
    return history.steps, epochs, history.best_epoch, history.stopped_early


class Interrupted(Exception):
    """Stands for a kill."""


class Interrupting(TokenClassifier):
    """A student that dies at a given batch."""

    left = 10**9

    def loss(self, model, examples, device, objective):
        self.left -= 1
        if self.left < 0:
            raise Interrupted
        return super().loss(model, examples, device, objective)


@pytest.fixture(scope="module")
def whole(tiny_base, notes):
    """A training (with dropout) that nothing interrupted."""
    student, history, taken = fit(tiny_base, notes, student=Interrupting(tiny_base), dev=notes[:5])
    assert taken == len(history.steps) == 12
    return student, history


@pytest.mark.parametrize("dies_at", [0, 1, 4, 5, 7, 11])
@pytest.mark.parametrize("every", [1, 3, None])
def test_an_interrupted_training_goes_on_to_the_last_bit(tiny_base, notes, whole, tmp_path, dies_at, every):
    dying = Interrupting(tiny_base)
    dying.left = dies_at
    with pytest.raises(Interrupted):
        fit(tiny_base, notes, tmp_path, student=dying, dev=notes[:5], every=every)
    torch.rand(5)
    student, history, taken = fit(
        tiny_base, notes, tmp_path, student=Interrupting(tiny_base), dev=notes[:5], every=every
    )
    assert what_matters(history) == what_matters(whole[1])
    assert weights_equal(student, whole[0])
    assert taken == 12 - max(dies_at // n * n for n in (4, every or 4))  # epochs of 4 steps, each with a checkpoint


def test_a_finished_training_returns_at_once_with_the_best_weights(tiny_base, notes, tmp_path):
    first, history, _ = fit(tiny_base, notes, tmp_path, dev=notes[:5])
    again, same, taken = fit(tiny_base, notes, tmp_path, dev=notes[:5])
    assert taken == 0
    assert same == history
    assert weights_equal(first, again)


def test_checkpoints_hold_safetensors_and_json_only_and_the_newest_alone(tiny_base, notes, tmp_path):
    _, history, _ = fit(tiny_base, notes, tmp_path, dev=notes[:5], every=2)
    assert [folder.name for folder in tmp_path.iterdir()] == [f"step-{len(history.steps):08d}"]
    assert {file.name for file in tmp_path.rglob("*.*")} == {
        "state.json",
        "model.safetensors",
        "best.safetensors",
        "optimizer.safetensors",
        "random-0.safetensors",
    }


def test_another_training_is_refused(tiny_base, still_base, notes, tmp_path):
    fit(tiny_base, notes, tmp_path, dev=notes[:5])
    relabelled = notes[0].with_spans([Span(s.start, s.end, "symptom") for s in notes[0].spans])
    changed = [
        {"notes": notes[1:]},
        {"notes": [relabelled, *notes[1:]]},
        {"dev": notes[:4]},
        {"dev": None},
        {"seed": 1},
        {"accumulate": 2},
        {"student": TokenClassifier(tiny_base, ["symptom", "medication"])},
        {"student": TokenClassifier(still_base)},
        {"student": TokenClassifier(tiny_base, max_length=32)},
    ]
    for change in changed:
        with pytest.raises(CheckpointError, match="belongs to another training"):
            fit(tiny_base, **{"notes": notes, "folder": tmp_path, "dev": notes[:5], **change})


def test_what_is_only_shown_or_noted_makes_no_other_training(tiny_base, notes, tmp_path):
    fit(tiny_base, notes, tmp_path, dev=notes[:5])
    noted = [Document(n.id, n.text, n.spans, n.covers, {"read": {"by": 3}}) for n in notes]
    renamed = TokenClassifier(tiny_base, name="other")
    assert fit(tiny_base, noted, tmp_path, dev=noted[:5], student=renamed, every=1)[2] == 0


FILES = ["state.json", "model.safetensors", "best.safetensors", "optimizer.safetensors", "random-0.safetensors"]


@pytest.fixture(scope="module")
def finished(tiny_base, notes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    fit(tiny_base, notes, folder, dev=notes[:5])
    return next(folder.iterdir())


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("harm", ["absent", "empty", "truncated", "another's"])
def test_a_damaged_file_is_named(tiny_base, notes, finished, name, harm):
    file = finished / name
    whole = file.read_bytes()
    try:
        if harm == "absent":
            file.unlink()
        else:
            other = b"[]" if name == "state.json" else (finished / FILES[3 if name != FILES[3] else 4]).read_bytes()
            file.write_bytes({"empty": b"", "truncated": whole[: len(whole) // 2], "another's": other}[harm])
        with pytest.raises(CheckpointError, match=f"{finished.name}.*delete"):
            fit(tiny_base, notes, finished.parent, dev=notes[:5])
    finally:
        file.write_bytes(whole)
    assert fit(tiny_base, notes, finished.parent, dev=notes[:5])[2] == 0


@pytest.mark.parametrize("change", [{"step": None}, {"history": {}}, {"history": 3}, {"epoch": "two"}])
def test_a_state_of_a_wrong_kind_is_refused(tiny_base, notes, finished, change):
    file = finished / "state.json"
    whole = file.read_text()
    try:
        file.write_text(json.dumps({**json.loads(whole), "finished": False, **change}))
        with pytest.raises(CheckpointError, match="delete"):
            fit(tiny_base, notes, finished.parent, dev=notes[:5])
    finally:
        file.write_text(whole)


def test_what_a_kill_in_the_midst_of_writing_left_is_removed(tiny_base, notes, tmp_path):
    plain, history, _ = fit(tiny_base, notes)
    for step in range(1, len(history.steps) + 1):  # of a training with dev notes, which wrote best weights
        part = tmp_path / f"step-{step:08d}.part"
        part.mkdir(parents=True)
        (part / "best.safetensors").write_bytes(b"junk")
    student, same, _ = fit(tiny_base, notes, tmp_path, every=2)
    assert what_matters(same) == what_matters(history)
    [folder] = tmp_path.iterdir()
    assert "best.safetensors" not in {file.name for file in folder.iterdir()}
    assert weights_equal(student, plain)

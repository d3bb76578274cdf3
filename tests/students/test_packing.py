"""Packed batches; the same batches, padded, are the oracle."""

import copy

import numpy as np
import pytest
import torch
import transformers

from clinidistill import Distiller, Document, Span
from clinidistill.distiller.drop_key import drop_keys
from clinidistill.distiller.loop import _checkpointing
from clinidistill.errors import ConfigError, OptionError
from clinidistill.students import packing
from clinidistill.students.packing import Packing
from clinidistill.students.span_classifier import SpanClassifier
from clinidistill.students.token_classifier import TokenClassifier

DRAW = np.random.default_rng(0)
ROWS = [DRAW.integers(5, 60, length) for length in (5, 60, 1, 33)]
NOTES = [
    Document("a", "he was given aspirin for pain", [Span(13, 20, "drug")]),
    Document("b", "codeine", [Span(0, 7, "drug", 0.7)]),
    Document("c", "she denied pain and fever " * 20, [], covers=frozenset({"drug"})),
    Document("d", "rash after insulin was stopped on the day", [Span(11, 18, "drug"), Span(0, 4, "sign")]),
]


def model(kind):
    sizes = {"vocab_size": 60, "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 3, "pad_token_id": 1}
    if kind == "distilbert":
        sizes = {"vocab_size": 60, "dim": 16, "n_heads": 2, "hidden_dim": 32, "n_layers": 3, "pad_token_id": 1}
    extra = {"intermediate_size": 32} if kind != "distilbert" else {}
    if kind == "modernbert":
        extra |= {"local_attention": 16, "global_attn_every_n_layers": 3}
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, num_labels=3, **sizes, **extra)
    return transformers.AutoModelForTokenClassification.from_config(config).eval()


def padded(model, rows):
    ids, mask = packing.pad(rows, 1)
    mask = torch.from_numpy(mask)
    return model(input_ids=torch.from_numpy(ids), attention_mask=mask).logits * mask[..., None]


def same_gradients(model, expected):
    largest = max(gradient.abs().max() for gradient in expected.values() if gradient is not None)
    assert largest > 0
    for name, parameter in model.named_parameters():
        if expected[name] is None:
            assert parameter.grad is None, name
        else:
            assert torch.allclose(parameter.grad, expected[name], rtol=1e-4, atol=1e-5 * largest), name


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta", "xlm-roberta", "electra", "modernbert"])
def test_a_packed_example_is_read_as_if_alone(kind):
    whole = model(kind)
    expected = padded(whole, ROWS)
    packed = Packing(whole, ROWS)
    assert torch.allclose(packed.logits(whole, ROWS, torch.device("cpu")), expected, atol=1e-5)
    assert torch.allclose(padded(whole, ROWS), expected, atol=1e-6)  # other batches are as before
    packed.undo()
    assert whole.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("kind", ["bert", "distilbert", "modernbert"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_are_those_of_padded_batches(kind, checkpointing):
    one = model(kind)
    other = copy.deepcopy(one)
    weights = torch.randn(3)
    (padded(one, ROWS) @ weights).square().sum().backward()
    packed = Packing(other, ROWS)
    if checkpointing:
        other.train()
        for module in other.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
            for name in ("dropout_prob", "attention_dropout"):
                if hasattr(module, name):
                    setattr(module, name, 0.0)
        _checkpointing(other, "enable")({"use_reentrant": False})
    (packed.logits(other, ROWS, torch.device("cpu")) @ weights).square().sum().backward()
    same_gradients(other, {name: p.grad for name, p in one.named_parameters()})


@pytest.mark.parametrize("head", ["linear", "crf"])
def test_the_loss_of_a_student_is_that_of_padded_batches(tiny_base, head):
    student = TokenClassifier(tiny_base, head=head)
    student.prepare(["drug", "sign"])
    student.model.eval()
    examples, here = list(student.encode(NOTES)), torch.device("cpu")
    assert len(examples) > len(NOTES)  # the third is of several windows
    apart = student.loss(student.model, examples, here)
    apart.backward()
    gradients = {name: p.grad for name, p in student.model.named_parameters()}
    student.model.zero_grad()
    unpack = student.pack()
    together = student.loss(student.model, examples, here)
    together.backward()
    unpack()
    assert together.item() == pytest.approx(apart.item(), rel=1e-5)
    same_gradients(student.model, gradients)


def test_dropped_keys_stay_within_an_example(tiny_base):
    student = TokenClassifier(tiny_base, ["drug"], attention_dropout=0.5)
    student.prepare(["drug"])
    for module in student.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    keep = drop_keys(student.model)
    unpack = student.pack()
    embeddings = student.model.bert.embeddings.word_embeddings
    logits = student._packing.logits(student.model.train(), ROWS, torch.device("cpu"))
    logits[1].square().sum().backward()
    unpack(), keep()
    seen = set(np.flatnonzero(embeddings.weight.grad.abs().sum(-1)).tolist())
    assert seen
    assert seen <= set(ROWS[1].tolist())
    assert student.model.config._attn_implementation == "sdpa"


def test_a_packed_training_learns_and_leaves_a_plain_model(tiny_base):
    student = TokenClassifier(tiny_base, attention_dropout=0.1)
    settings = {"packed": True, "ema": 0.9, "self_distillation": 0.1, "show": False, "device": "cpu"}
    history = Distiller(30, 5e-3, 256, **settings).fit(student, NOTES)
    assert history.losses[-1] < 0.3 * history.losses[0]
    assert student.model.config._attn_implementation == "sdpa"
    assert student._packing is None


def test_a_model_that_does_not_keep_examples_apart_is_refused():
    class Mixing(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner, self.config = inner, inner.config
            self.set_attn_implementation = inner.set_attn_implementation

        def forward(self, input_ids, attention_mask=None, position_ids=None, **options):
            output = self.inner(input_ids, attention_mask, position_ids=position_ids, **options)
            output.logits = output.logits + output.logits.mean(1, keepdim=True)
            return output

    whole = Mixing(model("bert")).eval()
    with pytest.raises(ConfigError, match="leave packed out"):
        Packing(whole, ROWS)
    assert whole.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("kind", ["deberta-v2", "mobilebert"])
def test_a_model_that_has_attention_of_its_own_is_refused(kind):
    with pytest.raises(ConfigError, match="leave packed out"):
        Packing(model(kind), ROWS)


def test_students_without_packing_are_refused(tiny_base):
    with pytest.raises(ConfigError, match="leave packed out"):
        Distiller(1, packed=True, soft_labels=False, device="cpu", show=False).fit(SpanClassifier(tiny_base), NOTES)
    with pytest.raises(OptionError, match="packed"):
        Distiller(packed=True, compile=True)


@pytest.mark.parametrize("window", [None, 9])
def test_one_kernel_is_called_as_torch_documents_it(monkeypatch, window):
    """The kernel is CUDA's; here another computes what its documentation says."""
    varlen = pytest.importorskip("torch.nn.attention.varlen")

    def by_the_book(query, key, value, starts, starts_too, longest, longest_too, *, scale, window_size):
        assert starts.dtype == torch.int32
        assert starts.tolist() == starts_too.tolist()
        assert longest == longest_too == max(starts.diff())
        out = torch.empty_like(query)
        for begin, end in zip(starts[:-1], starts[1:], strict=True):
            q, k, v = (each[begin:end].transpose(0, 1) for each in (query, key, value))
            scores = q @ k.transpose(1, 2) * scale
            if window_size != (-1, -1):
                gap = torch.arange(end - begin)[:, None] - torch.arange(end - begin)
                scores = scores.masked_fill((gap > window_size[0]) | (-gap > window_size[1]), -torch.inf)
            out[begin:end] = (scores.softmax(-1) @ v).transpose(0, 1)
        return out

    monkeypatch.setattr(varlen, "varlen_attn", by_the_book)
    lengths = list(map(len, ROWS))
    row = packing._Row(lengths, torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int32))
    query, key, value = torch.randn(3, 1, 2, sum(lengths), 8)
    ours = packing._in_one_kernel(query, key, value, row=row, window=window, scale=0.3)
    module = torch.nn.Module()
    module.is_causal = False
    options = {"packed": row, "sliding_window": window, "scaling": 0.3}
    theirs, _ = packing._attention(packing.ALL_ATTENTION_FUNCTIONS["sdpa"], module, query, key, value, None, **options)
    assert torch.allclose(ours, theirs, atol=1e-5)

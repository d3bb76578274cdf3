"""Counting a training's products by formula, against torch's own count of what runs."""

import numpy as np
import pytest
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

from clinidistill import Distiller
from clinidistill.distiller.flops import peak_flops, training_flops
from clinidistill.students.token_classifier import TokenClassifier


def counted(model, length):
    """Operations of one forward and backward pass over a sequence."""
    ids = torch.ones((1, length), dtype=torch.long)
    model.train()
    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids).logits.sum().backward()
    return counter.get_total_flops()


def bert(**options):
    config = transformers.BertConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        num_labels=5,
        attn_implementation="eager",
        **options,
    )
    return transformers.BertForTokenClassification(config)


@pytest.mark.parametrize("length", [8, 200])
def test_it_is_what_torch_counts(length):
    model = bert()
    assert training_flops(model, [length]) == pytest.approx(counted(model, length), rel=0.02)


def test_frozen_weights_need_no_gradient_of_their_own():
    model = bert()
    for parameter in model.bert.encoder.parameters():
        parameter.requires_grad = False
    model.bert.embeddings.word_embeddings.weight.requires_grad = True
    assert training_flops(model, [50]) == pytest.approx(counted(model, 50), rel=0.02)


def test_sequences_add_up():
    model = bert()
    assert training_flops(model, [8, 200]) == training_flops(model, [8]) + training_flops(model, [200])
    assert training_flops(model, np.array([], dtype=np.int32)) == 0


def test_a_sliding_window_bounds_what_attention_looks_at():
    model = bert()
    whole = training_flops(model, [500])
    model.config.layer_types, model.config.sliding_window = ["full_attention", "sliding_attention"], 100
    assert whole - training_flops(model, [500]) == 12 * 32 * 500 * (500 - 100)


def test_a_model_that_does_not_say_how_it_is_made_is_not_guessed_at():
    assert training_flops(torch.nn.Linear(2, 2), [3]) is None


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA A10G", 70e12),
        ("NVIDIA H100 80GB HBM3", 989.5e12),
        ("NVIDIA H100 NVL", 835e12),
        ("NVIDIA L40S", 362e12),
        ("Tesla T4", 65e12),
        ("NVIDIA GeForce RTX 4090", 165.2e12),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("NVIDIA GeForce RTX 3060", None),
    ],
)
def test_peaks_go_by_the_whole_name(name, peak):
    assert peak_flops(name) == peak


def test_a_training_tells_its_utilisation_where_the_peak_is_known(tiny_base, notes):
    quiet = Distiller(1, device="cpu", show=False).fit(TokenClassifier(tiny_base), notes)
    assert "mfu" not in quiet.epochs[0]
    if torch.cuda.is_available() and peak_flops(torch.cuda.get_device_name()):
        told = Distiller(1, show=False).fit(TokenClassifier(tiny_base), notes)
        assert 0 < told.epochs[0]["mfu"] < 1

import numpy as np
import pytest
import torch

from clinidistill import Distiller
from clinidistill.distiller import drop_key
from clinidistill.distiller.drop_key import drop_keys
from clinidistill.students.token_classifier import TokenClassifier


@pytest.fixture
def model(tiny_base):
    student = TokenClassifier(tiny_base, labels=["drug"], attention_dropout=0.3)
    student.prepare(["drug"])
    return student.model


@pytest.fixture
def batch():
    ids = torch.randint(5, 30, (2, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 7:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def test_a_model_says_the_same_as_before_outside_training(model, batch):
    before = model.eval()(**batch).logits
    undo = drop_keys(model)
    assert torch.allclose(model(**batch).logits, before, atol=1e-6)
    undo()
    assert model.config._attn_implementation == "sdpa"


def test_the_share_of_keys_that_is_dropped_is_that_of_the_weights():
    query = torch.zeros(4, 2, 64, 8)
    mask = drop_key._mask(query, 64, None, 0.3)
    assert mask.shape == (4, 1, 64, 64)
    assert (mask < 0).float().mean().item() == pytest.approx(0.3, abs=0.02)


def test_padding_stays_hidden():
    seen = torch.ones(2, 1, 1, 6, dtype=torch.bool)
    seen[1, ..., 4:] = False
    mask = drop_key._mask(torch.zeros(2, 2, 6, 8), 6, seen, 0.5)
    assert torch.isneginf(mask[1, ..., 4:]).all()
    assert torch.isfinite(mask[0]).all()


def test_a_token_that_sees_nothing_makes_no_nan(model, batch, monkeypatch):
    monkeypatch.setattr(drop_key.torch, "randint", lambda *args, **options: torch.zeros(args[2], dtype=torch.uint8))
    undo = drop_keys(model)
    logits = model.train()(**batch).logits
    logits.sum().backward()
    undo()
    assert torch.isfinite(logits).all()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_it_is_what_trains_on_a_cpu(tiny_base, notes, monkeypatch):
    asked = []
    mask = drop_key._mask
    monkeypatch.setattr(drop_key, "_mask", lambda *args: asked.append(args[-1]) or mask(*args))
    losses = []
    for rate in (0.2, 0.0):
        student = TokenClassifier(tiny_base, attention_dropout=rate)
        losses += [Distiller(2, 5e-3, 128, precision="fp32", device="cpu", show=False).fit(student, notes).losses]
        assert student.model.config._attn_implementation == "sdpa"
    assert set(asked) == {0.2}
    assert not np.allclose(losses[0], losses[1])


def test_a_model_without_dropout_of_attention_is_left_alone(still_base):
    student = TokenClassifier(still_base, labels=["drug"])
    student.prepare(["drug"])
    drop_keys(student.model)
    assert student.model.config._attn_implementation == "sdpa"

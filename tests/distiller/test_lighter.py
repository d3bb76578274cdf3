import shutil

import numpy as np
import pytest

from clinidistill import Distiller
from clinidistill.errors import ConfigError
from clinidistill.students.span_classifier import SpanClassifier
from clinidistill.students.token_classifier import TokenClassifier


def fit(base, notes, **settings):
    student = TokenClassifier(base)
    distiller = Distiller(2, 5e-3, 256, precision="fp32", device="cpu", show=False, **settings)
    return student, distiller.fit(student, notes)


def test_gradient_checkpointing_changes_no_loss(still_base, notes):
    (_, plain), (student, light) = fit(still_base, notes), fit(still_base, notes, gradient_checkpointing=True)
    assert np.allclose(plain.losses, light.losses, atol=1e-6)
    assert not any(getattr(module, "gradient_checkpointing", False) for module in student.model.modules())


def test_a_model_that_cannot_checkpoint_gradients_is_refused(tiny_base, notes):
    student = SpanClassifier(tiny_base)
    with pytest.raises(ConfigError, match="gradient checkpointing"):
        Distiller(1, gradient_checkpointing=True, soft_labels=False, device="cpu", show=False).fit(student, notes)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torch's own
@pytest.mark.skipif(not shutil.which("g++"), reason="torch compiles with g++ on CPUs")
def test_a_compiled_training_has_the_same_losses_and_leaves_a_plain_model(still_base, notes):
    (_, plain), (student, compiled) = fit(still_base, notes), fit(still_base, notes, compile=True)
    assert np.allclose(plain.losses, compiled.losses, atol=1e-3)
    assert not any("_orig_mod" in name for name in student.model.state_dict())
    assert student.model._compiled_call_impl is None


def test_compiling_without_a_compiler_is_refused(tiny_base, notes, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match=r"g\+\+"):
        fit(tiny_base, notes, compile=True)

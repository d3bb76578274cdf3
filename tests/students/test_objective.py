import pytest
import torch
from torch.nn.functional import cross_entropy

from clinidistill.students.objective import Objective

LOGITS = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
TARGETS = torch.tensor([0, 2, -100, 4, 0, 1])
SOFT = torch.rand(6, 5, generator=torch.Generator().manual_seed(1)).softmax(-1)
HERE = TARGETS >= 0


def test_the_plain_one_is_torchs_cross_entropy():
    expected = cross_entropy(LOGITS, TARGETS, ignore_index=-100, reduction="sum")
    torch.testing.assert_close(Objective()(LOGITS, TARGETS), expected)


def test_soft_targets_are_torchs_cross_entropy_with_probabilities():
    expected = cross_entropy(LOGITS[HERE], SOFT[HERE], reduction="sum")
    torch.testing.assert_close(Objective()(LOGITS, TARGETS, SOFT), expected)


def test_without_soft_labels_probabilities_say_nothing():
    torch.testing.assert_close(
        Objective(soft_labels=False)(LOGITS, TARGETS, SOFT), Objective()(LOGITS, TARGETS), rtol=0, atol=0
    )


def test_a_tag_that_was_not_looked_for_leaves_the_softmax():
    allowed = torch.tensor([True, True, True, False, False]).expand(6, 5)
    targets = torch.tensor([0, 2, -100, 1, 0, 1])
    expected = cross_entropy(LOGITS[:, :3], targets, ignore_index=-100, reduction="sum")
    torch.testing.assert_close(Objective()(LOGITS, targets, allowed=allowed), expected)
    soft = torch.zeros(6, 5).scatter(1, targets.clamp_min(0)[:, None], 1.0)
    torch.testing.assert_close(Objective()(LOGITS, targets, soft, allowed), expected)


def test_the_generalised_one_lies_between_cross_entropy_and_absolute_error():
    likely = LOGITS.softmax(-1).gather(1, TARGETS.clamp_min(0)[:, None])[HERE]
    torch.testing.assert_close(Objective(gce=1.0)(LOGITS, TARGETS), (1 - likely).sum())
    torch.testing.assert_close(Objective(gce=1e-3)(LOGITS, TARGETS), Objective()(LOGITS, TARGETS), rtol=1e-2, atol=0)
    torch.testing.assert_close(Objective(gce=0.7)(LOGITS, TARGETS), ((1 - likely**0.7) / 0.7).sum())


def test_confidence_weighs_tokens():
    hard = Objective(soft_labels=False, confidence_weights=True)
    one = torch.zeros(6, 5).scatter(1, TARGETS.clamp_min(0)[:, None], 1.0)
    torch.testing.assert_close(hard(LOGITS, TARGETS, one), Objective()(LOGITS, TARGETS))
    torch.testing.assert_close(hard(LOGITS, TARGETS, one * 0.5), Objective()(LOGITS, TARGETS) / 2)


def test_tokens_outside_can_count_less():
    inside = torch.where(TARGETS == 0, -100, TARGETS)
    outside = torch.where(TARGETS == 0, TARGETS, -100)
    plain = Objective()
    expected = plain(LOGITS, inside) + 0.3 * plain(LOGITS, outside)
    torch.testing.assert_close(Objective(outside=0.3)(LOGITS, TARGETS), expected)


@pytest.mark.parametrize("objective", [Objective(), Objective(gce=0.7), Objective(outside=0.5)])
def test_gradients_are_finite_where_a_tag_is_certain_and_another_shut(objective):
    logits = (LOGITS * 100).requires_grad_()
    allowed = torch.tensor([True, True, True, False, False]).expand(6, 5)
    targets = TARGETS.clamp_max(2)
    soft = torch.zeros(6, 5).scatter(1, targets.clamp_min(0)[:, None], 1.0)
    objective(logits, targets, soft, allowed).backward()
    assert torch.isfinite(logits.grad).all()

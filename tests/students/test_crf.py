from itertools import product

import pytest
import torch

from clinidistill.students.crf import CRF
from clinidistill.students.encoding import IGNORE


def chain(tags, seed=0, spread=1.0):
    """A CRF with random transitions."""
    torch.manual_seed(seed)
    crf = CRF(tags)
    crf.set_transitions(torch.randn(tags, tags) * spread)
    return crf


def score(logits, path, transitions):
    """Of one tag sequence; differentiable."""
    return sum(logits[n, tag] for n, tag in enumerate(path)) + sum(
        transitions[a, b] for a, b in zip(path, path[1:], strict=False)
    )


def all_scores(logits, transitions):
    """Every tag sequence and its score."""
    paths = list(product(range(logits.shape[1]), repeat=len(logits)))
    return paths, torch.stack([score(logits, path, transitions) for path in paths])


@pytest.mark.parametrize("spread", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("tags", [3, 5])
def test_the_loss_and_its_gradient_are_those_of_a_sum_over_all_sequences(tags, spread):
    crf = chain(tags, spread=spread)
    logits = (torch.randn(3, 4, tags) * spread).requires_grad_()
    targets = torch.tensor([[0, 1, 2, 2], [1, 0, IGNORE, IGNORE], [2, IGNORE, IGNORE, IGNORE]])
    loss = crf.loss(logits, targets)
    expected = sum(
        all_scores(row[:size], crf.transitions)[1].logsumexp(0) - score(row, target[:size].tolist(), crf.transitions)
        for row, target, size in zip(logits, targets, [4, 2, 1], strict=True)
    )
    ours = torch.autograd.grad(loss, [logits, crf.weight])
    theirs = torch.autograd.grad(expected, [logits, crf.weight])
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for left, right in zip(ours, theirs, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-4)


def test_marginals_are_those_of_a_sum_over_all_sequences():
    crf = chain(5)
    logits = torch.randn(1, 4, 5)
    paths, scores = all_scores(logits[0], crf.transitions)
    likely = scores.softmax(0)
    expected = torch.stack(
        [torch.stack([likely[[p[n] == tag for p in paths]].sum() for tag in range(5)]) for n in range(4)]
    )
    marginals = crf.log_marginals(logits, torch.ones(1, 4, dtype=torch.bool)).exp()
    torch.testing.assert_close(marginals[0], expected, rtol=1e-4, atol=1e-6)


def test_constrained_marginals_count_valid_sequences_only():
    crf = chain(5)
    logits = torch.randn(1, 4, 5)
    paths, scores = all_scores(logits[0], crf.transitions)
    valid = [all(b in (0, 1, 3) or a in (b - 1, b) for a, b in zip(p, p[1:], strict=False)) for p in paths]
    likely = scores.masked_fill(~torch.tensor(valid), -torch.inf).softmax(0)
    expected = torch.stack(
        [torch.stack([likely[[p[n] == tag for p in paths]].sum() for tag in range(5)]) for n in range(4)]
    )
    marginals = crf.log_marginals(logits, torch.ones(1, 4, dtype=torch.bool), constrained=True).exp()
    torch.testing.assert_close(marginals[0], expected, rtol=1e-4, atol=1e-6)


def test_special_tokens_and_padding_are_no_part_of_a_sequence():
    crf, logits = chain(3), torch.randn(1, 3, 3)
    targets = torch.tensor([[1, 2, 0]])
    around = torch.cat((torch.randn(1, 2, 3), logits, torch.randn(1, 4, 3)), dim=1)
    framed = torch.nn.functional.pad(targets, (2, 4), value=IGNORE)
    other = torch.cat((around, torch.randn(1, 9, 3)))  # beside a longer one
    targets_of_both = torch.cat((framed, torch.ones(1, 9, dtype=torch.long)))
    alone = crf.loss(other[1:], targets_of_both[1:])
    assert crf.loss(around, framed).item() == pytest.approx(crf.loss(logits, targets).item(), rel=1e-5)
    both = crf.loss(other, targets_of_both).item()
    assert both == pytest.approx((crf.loss(logits, targets) + alone).item(), rel=1e-5)
    marginals = crf.log_marginals(around, framed >= 0)
    torch.testing.assert_close(marginals[:, 2:5], crf.log_marginals(logits, targets >= 0))
    torch.testing.assert_close(marginals[:, :2], around[:, :2].log_softmax(-1))


def test_an_unknown_tag_within_a_sequence_is_summed_over():
    crf, logits = chain(3), torch.randn(1, 3, 3)
    unknown = crf.loss(logits, torch.tensor([[1, IGNORE, 0]]))
    each = torch.stack([-crf.loss(logits, torch.tensor([[1, tag, 0]])) for tag in range(3)])
    assert unknown.item() == pytest.approx(-each.logsumexp(0).item(), rel=1e-5)


def test_a_tag_that_is_not_allowed_leaves_the_sum():
    crf, logits = chain(5), torch.randn(2, 6, 5)
    targets = torch.tensor([[0, 1, 2, 0, 0, 1], [3, 4, 0, 1, 2, 2]])
    allowed = torch.tensor([[True, True, True, False, False], [True] * 5])
    small = CRF(3)
    small.set_transitions(crf.transitions[:3, :3])
    expected = small.loss(logits[:1, :, :3], targets[:1]) + crf.loss(logits[1:], targets[1:])
    assert crf.loss(logits, targets, allowed).item() == pytest.approx(expected.item(), rel=1e-5)
    marginals = crf.log_marginals(logits, targets >= 0, allowed).exp()
    assert marginals[0, :, 3:].max() == 0
    torch.testing.assert_close(marginals[:1, :, :3], small.log_marginals(logits[:1, :, :3], targets[:1] >= 0).exp())


def test_without_transitions_it_is_a_softmax_over_each_token():
    crf, logits, targets = CRF(5), torch.randn(2, 7, 5), torch.randint(0, 5, (2, 7))
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
    assert crf.loss(logits, targets).item() == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(crf.log_marginals(logits, targets >= 0), logits.log_softmax(-1), rtol=1e-4, atol=1e-5)


def test_batches_without_a_sequence_cost_nothing():
    crf, logits = chain(3), torch.randn(2, 4, 3, requires_grad=True)
    loss = crf.loss(logits, torch.full((2, 4), IGNORE))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().max() == crf.weight.grad.abs().max() == 0


def test_long_sequences_and_sure_tags_stay_finite():
    crf = chain(7, spread=20.0)
    logits = (torch.randn(2, 500, 7) * 200).requires_grad_()
    loss = crf.loss(logits, torch.randint(0, 7, (2, 500)))
    loss.backward()
    assert loss.item() > 0
    assert all(torch.isfinite(tensor).all() for tensor in (loss, logits.grad, crf.weight.grad))
    assert logits.grad.abs().max() <= 1 + 1e-3  # differences of probabilities


def test_a_short_sequence_beside_a_long_one_learns_as_if_alone():
    crf = chain(5, spread=3.0)
    logits = (torch.randn(2, 300, 5) * 10).requires_grad_()
    targets = torch.randint(0, 5, (2, 300))
    targets[0, 3:] = IGNORE
    together = torch.autograd.grad(crf.loss(logits, targets), [logits, crf.weight])
    each = [torch.autograd.grad(crf.loss(logits[n : n + 1], targets[n : n + 1]), [logits, crf.weight]) for n in (0, 1)]
    for both, one, other in zip(together, *each, strict=True):
        torch.testing.assert_close(both, one + other, rtol=1e-3, atol=1e-2)
    assert logits.grad is None
    assert together[0][0, 3:].abs().max() == 0


def test_transitions_that_are_as_good_as_forbidden_stay_finite():
    crf = CRF(3)
    crf.set_transitions(torch.full((3, 3), -300.0))
    logits = torch.zeros(1, 6, 3, requires_grad=True)
    gradients = torch.autograd.grad(crf.loss(logits, torch.tensor([[0, 1, 2, 0, 1, 2]])), [logits, crf.weight])
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_it_sums_in_fp32_under_bf16_autocast():
    crf, logits = chain(5), torch.randn(1, 300, 5)
    targets = torch.randint(0, 5, (1, 300))
    with torch.autocast("cpu", torch.bfloat16):
        assert crf.loss(logits, targets).item() == crf.loss(logits, targets).item()
        half = crf.loss(logits.bfloat16(), targets)
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(crf.loss(logits.bfloat16().float(), targets).item())


def test_it_learns_which_tag_follows_which():
    torch.manual_seed(0)
    crf = CRF(3)
    optimizer = torch.optim.AdamW(crf.parameters(), lr=3e-4)
    targets = torch.tensor([[0, 1, 2] * 10])  # the logits tell nothing
    for _ in range(200):
        crf.loss(torch.zeros(1, 30, 3), targets).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert crf.transitions.argmax(1).tolist() == [1, 2, 0]
    assert crf.loss(torch.zeros(1, 30, 3), targets).item() < 30 * 0.2

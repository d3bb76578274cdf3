"""A linear-chain conditional random field over tags (Lafferty, McCallum & Pereira, ICML 2001).

Sums over all tag sequences are taken in log space, in fp32 also under autocast, forwards and backwards in one sweep.
The gradient of the likelihood is the difference of two expectations, which the sweep gives, so that no graph is kept.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from clinidistill.errors import DataError

__all__ = ["CRF"]

_IMPOSSIBLE = -1e4  # in place of -inf, whose differences are no numbers
_LARGEST = 80.0  # whose exponential fp32 still holds; more is met only where a transition is as good as forbidden
_PACE = 100.0  # transitions learn this much faster than weights: an optimizer's rate for an encoder would not move them


class CRF(torch.nn.Module):
    """Scores of tags following each other; tags are in the order of :func:`~clinidistill.students.encoding.iob2_tags`.

    Args:
        tags: how many there are.

    It begins as a softmax over each token (all transitions 0). Training lets any tag follow any other, so that no
    sequence of the training data has probability 0; predicting (``constrained``) forbids ``I-x`` after anything but
    ``B-x`` and ``I-x``. A sequence may begin with ``I-x``: it may be a window that begins inside a mention.
    """

    follows: torch.Tensor
    """Which tag (column) may follow which (row) in IOB2."""

    def __init__(self, tags: int):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(tags, tags))
        follows = torch.ones(tags, tags, dtype=torch.bool)
        for inside in range(2, tags, 2):
            follows[:, inside] = False
            follows[inside - 1 : inside + 1, inside] = True
        self.register_buffer("follows", follows, persistent=False)

    @property
    def transitions(self) -> torch.Tensor:
        """Score of each tag (column) after each other (row), shape ``(tags, tags)``."""
        return self.weight * _PACE

    def save(self, file: Path) -> None:
        """Write the transitions as safetensors."""
        save_file({"transitions": self.transitions.detach().cpu().contiguous()}, file)

    @classmethod
    def load(cls, file: Path, tags: int) -> Self:
        """The CRF that :meth:`save` wrote.

        Raises:
            DataError: if the file holds none for so many tags.
        """
        crf = cls(tags)
        try:
            crf.set_transitions(load(file.read_bytes())["transitions"])
        except (OSError, SafetensorError, KeyError, RuntimeError) as error:
            raise DataError(
                f"holds no transitions between {tags} tags ({type(error).__name__}); save the student again", path=file
            ) from None
        return crf

    def set_transitions(self, transitions: torch.Tensor) -> None:
        """Take over `transitions`, shape ``(tags, tags)``."""
        with torch.no_grad():
            self.weight.copy_(transitions / _PACE)

    def loss(self, logits: torch.Tensor, targets: torch.Tensor, allowed: torch.Tensor | None = None) -> torch.Tensor:
        """Negative log-likelihood of tag sequences, summed over them: a scalar in fp32.

        Args:
            logits: score of each tag at each token, shape ``(sequences, tokens, tags)``.
            targets: tag ids, shape ``(sequences, tokens)``. Tokens with a negative one before the first and after the
                last other are no part of the sequence (special tokens, padding); between them the tag is unknown, and
                summed over (Tsuboi et al., COLING 2008).
            allowed: tags that may be at a sequence, shape ``(sequences, tags)``; None means all.
        """
        with _fp32(logits):
            scores, chain = _masked(logits, allowed), _Chain.of(targets >= 0)
            target = chain.align(targets[..., None])[..., 0]
            tag = torch.arange(scores.shape[-1], device=scores.device)
            fits = (target[..., None] == tag) | (target[..., None] < 0)
            apply: Any = _NegativeLogLikelihood.apply
            return cast(torch.Tensor, apply(chain.align(scores), self.transitions, fits, chain))

    def log_marginals(
        self,
        logits: torch.Tensor,
        takes_part: torch.Tensor,
        allowed: torch.Tensor | None = None,
        *,
        constrained: bool = False,
    ) -> torch.Tensor:
        """Log-probability of each tag at each token, over all tag sequences: shape as `logits`, fp32.

        Args:
            logits: score of each tag at each token, shape ``(sequences, tokens, tags)``.
            takes_part: True at tokens of the sequence, shape ``(sequences, tokens)``; those between two such belong to
                it, too. Elsewhere tokens are scored by themselves.
            allowed: tags that may be at a sequence, shape ``(sequences, tags)``; None means all.
            constrained: forbid ``I-x`` after anything but ``B-x`` and ``I-x``.
        """
        with _fp32(logits):
            scores, chain = _masked(logits, allowed), _Chain.of(takes_part)
            transitions = self.transitions
            if constrained:
                transitions = transitions.masked_fill(~self.follows, _IMPOSSIBLE)
            aligned = chain.align(scores)
            forward, backward = _messages(aligned, transitions, chain)
            marginals = (forward + backward - aligned).log_softmax(-1)
            return chain.restore(marginals, scores.log_softmax(-1))


class _Chain(NamedTuple):
    """Where the sequences of a batch lie: each from the first to the last of its tokens."""

    begin: torch.Tensor
    length: torch.Tensor
    longest: int
    inside: torch.Tensor
    """Whether a place of an aligned row is in its sequence, shape ``(sequences, longest)``."""

    @classmethod
    def of(cls, takes_part: torch.Tensor) -> _Chain:
        place = torch.arange(takes_part.shape[1], device=takes_part.device)
        begin = torch.where(takes_part, place, takes_part.shape[1]).amin(1)
        length = (torch.where(takes_part, place, -1).amax(1) + 1 - begin).clamp_min(0)
        longest = max(1, int(length.max()))
        return cls(begin, length, longest, place[:longest] < length[:, None])

    def twice(self) -> _Chain:
        """The chains of this batch and once more."""
        return _Chain(self.begin.repeat(2), self.length.repeat(2), self.longest, self.inside.repeat(2, 1))

    def align(self, values: torch.Tensor) -> torch.Tensor:
        """Rows with their sequences shifted to the left end: shape ``(sequences, longest, …)``."""
        return self._gather(values, self.begin[:, None] + self._places())

    def flip(self, aligned: torch.Tensor) -> torch.Tensor:
        """Aligned rows with their sequences the other way round."""
        return self._gather(aligned, self.length[:, None] - 1 - self._places())

    def restore(self, aligned: torch.Tensor, elsewhere: torch.Tensor) -> torch.Tensor:
        """Inverse of :meth:`align`, with `elsewhere` outside the sequences."""
        place = torch.arange(elsewhere.shape[1], device=elsewhere.device) - self.begin[:, None]
        inside = (place >= 0) & (place < self.length[:, None])
        return torch.where(inside[..., None], self._gather(aligned, place), elsewhere)

    def _places(self) -> torch.Tensor:
        return torch.arange(self.longest, device=self.begin.device)

    @staticmethod
    def _gather(values: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        places = places.clamp(0, values.shape[1] - 1)
        return values.gather(1, places[..., None].expand(-1, -1, values.shape[2]))


class _NegativeLogLikelihood(torch.autograd.Function):
    """log of the sum over all sequences, less that over the sequences that fit; the gradient is computed at once."""

    @staticmethod
    def forward(
        ctx: Any, scores: torch.Tensor, transitions: torch.Tensor, fits: torch.Tensor, chain: _Chain
    ) -> torch.Tensor:
        twice = chain.twice()
        both = torch.cat((scores, scores.masked_fill(~fits, _IMPOSSIBLE)))
        forward, backward = _messages(both, transitions, twice)
        joint = forward + backward - both
        log_sums = joint[:, 0].logsumexp(-1)
        marginals = joint.softmax(-1) * twice.inside[..., None]
        # Expected transitions, from outer products of messages: no array of pairs of tags for each token.
        left, right = forward[:, :-1], backward[:, 1:]
        top_left, top_right = left.amax(-1, keepdim=True), right.amax(-1, keepdim=True)
        share = (top_left + top_right - log_sums[:, None, None]).clamp_max(_LARGEST).exp()
        share = share.masked_fill(~twice.inside[:, 1:, None], 0.0)
        left, right = (left - top_left).exp() * share, (right - top_right).exp()
        pairs = [x.flatten(0, 1).T @ y.flatten(0, 1) for x, y in zip(left.chunk(2), right.chunk(2), strict=True)]
        free, fitting = marginals.chunk(2)
        ctx.save_for_backward(free - fitting, (pairs[0] - pairs[1]) * transitions.exp())
        every, those_that_fit = log_sums.masked_fill(twice.length == 0, 0.0).chunk(2)
        return (every - those_that_fit).sum()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        scores, transitions = ctx.saved_tensors
        return gradients[0] * scores, gradients[0] * transitions, None, None


def _messages(scores: torch.Tensor, transitions: torch.Tensor, chain: _Chain) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-sums over the ways to reach each tag, from the left and from the right; both count the tag's own score.

    Shapes ``(sequences, longest, tags)``. Both directions take their steps together.
    """
    sides = torch.stack((scores, chain.flip(scores))).unbind(2)
    steps = torch.stack((transitions, transitions.T))[:, None]  # a sum over rows is a step
    message = sides[0]
    messages = [message]
    for score in sides[1:]:
        message = (message[..., None] + steps).logsumexp(2) + score
        messages.append(message)
    forward, backward = torch.stack(messages, dim=2)
    return forward, chain.flip(backward)


def _masked(logits: torch.Tensor, allowed: torch.Tensor | None) -> torch.Tensor:
    scores = logits.float()
    return scores if allowed is None else scores.masked_fill(~allowed[:, None], _IMPOSSIBLE)


def _fp32(tensor: torch.Tensor) -> contextlib.AbstractContextManager[None]:
    return torch.autocast(tensor.device.type, enabled=False)

"""What a student that tags tokens minimises."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["Objective"]


@dataclass(frozen=True, slots=True)
class Objective:
    """A loss over tokens, with the switches that make it bear noisy labels.

    Args:
        soft_labels: whether targets are the probabilities of the examples where they have some, else the likeliest tag.
        confidence_weights: whether a token counts as much as its likeliest tag is likely.
        gce: exponent q of the generalised cross-entropy ``(1 - p^q) / q`` (Zhang & Sabuncu, NeurIPS 2018), between 0,
            which is cross-entropy, and 1, the mean absolute error, which heeds improbable labels least.
        outside: weight of tokens outside all mentions; below 1 it allows for mentions that nobody marked.
    """

    soft_labels: bool = True
    confidence_weights: bool = False
    gce: float = 0.0
    outside: float = 1.0

    @property
    def is_likelihood(self) -> bool:
        """Whether, of certain targets, it is the negative log-likelihood."""
        return self.gce == 0 and self.outside == 1

    def __call__(
        self,
        logits: torch.Tensor,
        targets: torch.Tensor,
        soft: torch.Tensor | None = None,
        allowed: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The sum over tokens.

        Args:
            logits: shape ``(tokens, tags)``; computed in fp32 whatever they are.
            targets: tag ids, shape ``(tokens,)``; negative where the token takes no part.
            soft: how likely each tag is, shape ``(tokens, tags)``; None where all targets are certain.
            allowed: which tags take part in the softmax, shape ``(tokens, tags)``; None means all.

        >>> logits, targets = torch.zeros(3, 5), torch.tensor([0, 2, -100])
        >>> round(Objective()(logits, targets).item(), 4) == round(2 * torch.tensor(5).log().item(), 4)
        True
        """
        taking_part = targets >= 0
        logits, targets = logits[taking_part].float(), targets[taking_part]
        if allowed is not None:
            logits = logits.masked_fill(~allowed[taking_part], torch.finfo(logits.dtype).min)
        logs = logits.log_softmax(-1)
        costs = -logs if self.gce == 0 else (1 - (logs * self.gce).exp()) / self.gce
        if soft is None:
            losses = costs.gather(1, targets[:, None])[:, 0]
        else:
            likely = soft[taking_part].float()
            if self.soft_labels:
                # a tag that left the softmax costs an infinity, of which a probability of 0 must not make a nan
                losses = (costs.masked_fill(likely == 0, 0.0) * likely).sum(-1)
            else:
                losses = costs.gather(1, targets[:, None])[:, 0]
            if self.confidence_weights:
                losses = losses * likely.amax(-1)
        if self.outside != 1:
            inside = (
                1 - soft[taking_part].float()[:, 0] if soft is not None and self.soft_labels else (targets > 0).float()
            )
            losses = losses * (self.outside + (1 - self.outside) * inside)
        return losses.sum()

"""A head that scores runs of words as a whole, so that mentions may lie within each other."""

from __future__ import annotations

import math
from typing import Any, cast

import torch

__all__ = ["SpanHead", "SpanModel"]

_PRIOR = 0.01  # share of mentions among candidates that it starts from; at 1/2 the first steps would go into this alone


class SpanHead(torch.nn.Module):
    """Biaffine scores of start and end (Yu, Bohnet & Poesio, ACL 2020), with a bias for each width.

    Args:
        hidden: width of the encoder.
        labels: how many labels there are; each is scored by itself (a sigmoid, no softmax).
        max_width: most units in a span; the time it takes is proportional to it.
        size: width of the representations of starts and ends.
        dropout: on these.
    """

    keeps_fp32 = True
    """Where weights are put into bf16 to run faster, these are not: they are few, and tell probabilities."""

    def __init__(self, hidden: int, labels: int, max_width: int, size: int, dropout: float):
        super().__init__()
        self.labels, self.max_width, self.size = labels, max_width, size
        self.start, self.end = torch.nn.Linear(hidden, size), torch.nn.Linear(hidden, size)
        self.pair = torch.nn.Linear(size, labels * size)  # its bias: what an end says by itself
        self.opening = torch.nn.Linear(size, labels)  # what a start says by itself
        self.width = torch.nn.Parameter(torch.full((max_width, labels), math.log(_PRIOR / (1 - _PRIOR))))
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, states: torch.Tensor, first: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        """The logit that a span is a mention of a label.

        Args:
            states: what the encoder says of each token, shape ``(rows, tokens, hidden)``.
            first, last: first and last token of each unit, shape ``(rows, units)``.

        Returns:
            Shape ``(rows, units, max_width, labels)``, fp32: of the span that begins at a unit and has so many units
            more. Spans that end beyond the last unit have a logit, too, of no meaning.
        """
        states = states.to(self.start.weight.dtype)
        starts = self.dropout(torch.nn.functional.gelu(self.start(_at(states, first))))
        ends = self.dropout(torch.nn.functional.gelu(self.end(_at(states, last))))
        wanted = self.pair(starts).unflatten(-1, (self.labels, self.size))  # the end that a start of a label looks for
        ends = torch.nn.functional.pad(ends, (0, 0, 0, self.max_width - 1)).unfold(1, self.max_width, 1)
        pairs = (wanted @ ends).transpose(2, 3).float() / math.sqrt(self.size)
        return cast(torch.Tensor, pairs + self.opening(starts).float()[:, :, None] + self.width)


class SpanModel(torch.nn.Module):
    """An encoder and a :class:`SpanHead`, as one module.

    Args:
        encoder: a Hugging Face encoder.
        head: made for its width.
    """

    def __init__(self, encoder: Any, head: SpanHead):
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, first: torch.Tensor, last: torch.Tensor
    ) -> torch.Tensor:
        """Logits of spans, as :class:`SpanHead` gives them."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return cast(torch.Tensor, self.head(states, first, last))


def _at(states: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    return states.gather(1, places[..., None].expand(-1, -1, states.shape[-1]))

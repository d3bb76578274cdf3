"""Dropout of attention that costs nothing on a CPU.

Dropout of attention weights takes a random number for each head of each pair of tokens, and keeps a CPU from computing
attention in one kernel: training takes three to four times as long. Leaving keys out before the softmax is the same
regularisation, done earlier (Li et al., *DropKey*, CVPR 2023), and is a mask, which the kernel takes. Here the heads of
a layer share one; which keys a token does not see is drawn anew for each token, layer and step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

__all__ = ["drop_keys"]

_NAME = "clinidistill_drop_key"
_HIDDEN = -1e4  # not infinite: a token that sees nothing would make a nan


def drop_keys(model: torch.nn.Module) -> Callable[[], None]:
    """Have a transformers model on a CPU drop keys where it would drop attention weights, until told otherwise.

    Models that have no such dropout, lie on a GPU (whose kernels have their own), or do not compute attention through
    torch's ``scaled_dot_product_attention`` stay as they are.

    Returns:
        What undoes it.
    """
    config = getattr(model, "config", None)
    rates = [getattr(config, name, 0) or 0 for name in ("attention_probs_dropout_prob", "attention_dropout")]
    on_cpu = next(model.parameters()).device.type == "cpu"
    if not (on_cpu and any(rates) and getattr(config, "_attn_implementation", None) == "sdpa"):
        return lambda: None
    settable: Any = model
    settable.set_attn_implementation(_NAME)

    def undo() -> None:
        settable.set_attn_implementation("sdpa")

    return undo


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' attention through torch's, with keys dropped in place of weights."""
    causal = options.get("is_causal")
    if causal is None:
        causal = getattr(module, "is_causal", True)
    if dropout and not (attention_mask is None and causal):  # then the kernel makes a mask of its own
        attention_mask, dropout = _mask(query, key.shape[-2], attention_mask, dropout), 0.0
    found: tuple[torch.Tensor, None] = sdpa_attention_forward(
        module, query, key, value, attention_mask, dropout=dropout, **options
    )
    return found


def _mask(query: torch.Tensor, keys: int, mask: torch.Tensor | None, rate: float) -> torch.Tensor:
    """What is added to the scores, shape ``(rows, 1, queries, keys)``; bytes are the cheapest random numbers."""
    shape = (query.shape[0], 1, query.shape[-2], keys)
    drawn = torch.randint(0, 256, shape, dtype=torch.uint8, device=query.device)
    dropped = (drawn < round(256 * rate)).to(query.dtype) * _HIDDEN
    if mask is None:
        return dropped
    if mask.dtype == torch.bool:
        return dropped.masked_fill(~mask, float("-inf"))
    return dropped + mask.to(query.dtype)


AttentionInterface.register(_NAME, _attention)
AttentionMaskInterface.register(_NAME, sdpa_mask)

"""The examples of a batch end to end in one row: no padding, and each is read as if it were alone.

Positions begin anew with each example, and attention stays within it, which is a block-diagonal mask that is never made
(Krell et al., *Efficient Sequence Packing without Cross-contamination*, 2021).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from clinidistill.errors import ConfigError
from clinidistill.students.encoding import pad
from clinidistill.students.tensors import to_device

__all__ = ["Packing"]

_TOLERANCE = 1e-3  # of logits, as a share of the largest


class _Row(NamedTuple):
    """Where examples lie in a row of tokens: the length of each, and where it begins, and the row's end."""

    lengths: list[int]
    cuts: torch.Tensor


class Packing:
    """A model that takes packed batches besides others, until told otherwise.

    Args:
        model: a transformers model that scores tokens.
        probe: token ids of some examples, different in length, on which it is tried.

    Raises:
        ConfigError: if the model cannot keep the examples of a row apart.
    """

    def __init__(self, model: torch.nn.Module, probe: Sequence[NDArray[np.int64]]):
        self._model = cast(Any, model)
        self._before = getattr(getattr(model, "config", None), "_attn_implementation", None)
        inner = ALL_ATTENTION_FUNCTIONS.get(self._before, None)
        if "position_ids" not in inspect.signature(model.forward).parameters or inner is None:
            raise ConfigError(f"a {type(model).__name__} cannot take packed batches; leave packed out")
        name = f"clinidistill_packed_{self._before}"
        AttentionInterface.register(name, partial(_attention, inner))
        AttentionMaskInterface.register(name, sdpa_mask)
        # RoBERTa-like models count positions from the one after the padding's.
        fillers = (getattr(getattr(m, "position_embeddings", None), "padding_idx", None) for m in model.modules())
        self._first = next((filler + 1 for filler in fillers if filler is not None), 0)
        self._model.set_attn_implementation(name)
        if not self._agrees(probe):
            self.undo()
            raise ConfigError(
                f"a {type(model).__name__} does not keep packed examples apart, or counts positions in a way of its "
                "own; leave packed out"
            )

    def undo(self) -> None:
        """Leave the model as it was."""
        self._model.set_attn_implementation(self._before)

    def logits(self, model: torch.nn.Module, rows: Sequence[NDArray[np.int64]], device: torch.device) -> torch.Tensor:
        """What the model says of each token, shape ``(rows, longest, tags)``, as of padded rows; 0 at the padding.

        Args:
            model: the model, perhaps wrapped for several processes.
            rows: token ids of each example.
            device: where the model lies.
        """
        lengths = [len(row) for row in rows]
        places = np.concatenate([np.arange(length) for length in lengths])
        cuts = torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int32)
        output = model(
            input_ids=to_device(np.concatenate(rows)[None], device),
            position_ids=to_device((places + self._first)[None], device),
            # A ready-made mask is handed on as it is, so that none is made; `_attention` has no use for it.
            attention_mask=torch.ones((1, 1, 1, 1), dtype=torch.bool, device=device),
            packed=_Row(lengths, cuts.to(device)),
        )
        there = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        padded = output.logits.new_zeros((*there.shape, output.logits.shape[-1]))
        padded[there.to(device)] = output.logits[0]
        return cast(torch.Tensor, padded)

    def _agrees(self, probe: Sequence[NDArray[np.int64]]) -> bool:
        """Whether the probe's logits are those that its examples have apart."""
        model, device = self._model, next(self._model.parameters()).device
        ids, mask = (to_device(array, device) for array in pad(probe, 0))
        training = model.training
        model.eval()
        try:
            with torch.no_grad():
                apart = model(input_ids=ids, attention_mask=mask).logits * mask[..., None]
                packed = self.logits(model, probe, device)
        except (
            TypeError,
            ValueError,
            RuntimeError,
            IndexError,
        ):  # a model that has other ideas of what it is called with
            return False
        finally:
            model.train(training)
        return bool((apart - packed).abs().max() <= _TOLERANCE * apart.abs().max())


def _attention(  # noqa: PLR0917 - transformers' order
    inner: Callable[..., Any],
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    packed: _Row | None = None,
    sliding_window: int | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of each example of a row by itself, through `inner`; of other batches through it alone."""
    if packed is None:
        found: tuple[torch.Tensor, None] = inner(
            module, query, key, value, attention_mask, sliding_window=sliding_window, **options
        )
        return found
    if query.is_cuda and query.dtype != torch.float32 and not options.get("dropout"):
        scale = options.get("scaling")
        return _in_one_kernel(query, key, value, row=packed, window=sliding_window, scale=scale), None
    parts = zip(*(torch.split(each, packed.lengths, dim=2) for each in (query, key, value)), strict=True)
    seen = (_near(length, sliding_window, query.device) for length in packed.lengths)
    return torch.cat(
        [inner(module, *part, mask, **options)[0] for part, mask in zip(parts, seen, strict=True)], 1
    ), None


def _near(length: int, window: int | None, device: torch.device) -> torch.Tensor | None:
    """Where a token is less than `window` away from another, shape ``(1, 1, length, length)``; None: everywhere."""
    if window is None or length <= window:
        return None
    places = torch.arange(length, device=device)
    return ((places[:, None] - places).abs() < window)[None, None]


def _in_one_kernel(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, row: _Row, window: int | None, scale: float | None
) -> torch.Tensor:
    """FlashAttention for rows of several examples: arrays of shape ``(1, heads, tokens, size)``, tokens first after."""
    from torch.nn.attention.varlen import varlen_attn

    queries, keys, values = (each[0].transpose(0, 1) for each in (query, key, value))
    longest, sides = max(row.lengths), (-1, -1) if window is None else (window - 1, window - 1)
    found = varlen_attn(queries, keys, values, row.cuts, row.cuts, longest, longest, scale=scale, window_size=sides)
    return cast(torch.Tensor, found)[None]

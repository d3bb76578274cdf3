"""A smaller student from the layers of a larger base.

Layers of a trained model, taken as they are, are a far better start than random ones (Sanh et al., *DistilBERT*, 2019,
who took every second of BERT's); embeddings and vocabulary stay, so that the larger model can guide the smaller one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch

from clinidistill.errors import ConfigError

__all__ = ["keep_layers", "spaced"]


def spaced(number: int, of: int) -> list[int]:
    """`number` of the layers 0, 1, …, `of` - 1, evenly spaced, the last included.

    >>> spaced(3, of=6)
    [1, 3, 5]
    """
    return [round((n + 1) * of / number) - 1 for n in range(number)]


def keep_layers(model: torch.nn.Module, layers: int | Sequence[int]) -> None:
    """Leave only some of the encoder's layers, in place; the model's configuration says so as well.

    Args:
        model: a transformers model with one stack of layers.
        layers: how many to keep (see :func:`spaced`), or which, counted from 0.

    Raises:
        ConfigError: if it has no such layers, or no stack of layers that can be told.
    """
    config = cast(Any, model).config
    there = int(getattr(config, "num_hidden_layers", 0) or 0)
    stacks = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, torch.nn.ModuleList) and len(child) == there
    ]
    if len(stacks) != 1:
        raise ConfigError(f"layers cannot be left out of a {type(model).__name__}: it has no single stack of them")
    kept = spaced(layers, there) if isinstance(layers, int) and 1 <= layers <= there else layers
    if isinstance(kept, int) or not kept or not set(kept) <= set(range(there)) or list(kept) != sorted(set(kept)):
        raise ConfigError(
            f"layers={layers!r}: the base has {there}; say how many, or which of 0 to {there - 1}, rising"
        )
    parent, name, stack = stacks[0]
    if stack[kept[0]].state_dict().keys() != stack[0].state_dict().keys():  # ModernBERT's first has no norm before it
        if not isinstance(layers, int):
            raise ConfigError(f"layers={layers!r}: the first of a {type(model).__name__} is unlike the others; keep it")
        kept = [0, *kept[1:]]
    setattr(parent, name, torch.nn.ModuleList([stack[n] for n in kept]))
    for key, value in config.to_dict().items():  # what is said of each layer
        if isinstance(value, list) and len(value) == there:
            setattr(config, key, [value[n] for n in kept])
    config.num_hidden_layers = len(kept)

"""Low-rank adapters for large students (Hu et al., *LoRA*, ICLR 2022), through peft.

The base stays as it is, and small matrices beside its own are trained, with the head: a large model then needs neither
gradients nor optimizer state for itself. A saved student has them merged into its weights, and is a plain one.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast

import torch

from clinidistill.errors import ConfigError

__all__ = ["add_adapters", "merged"]


def add_adapters(model: torch.nn.Module, lora: int | Mapping[str, Any]) -> None:
    """Freeze a token classification model but for its head, and put adapters to be trained beside its weights.

    Args:
        model: a transformers model.
        lora: the rank; or options of peft's ``LoraConfig``, such as ``{"r": 16, "lora_alpha": 32,
            "target_modules": ["query", "value"]}``. By default all linear layers have adapters, with `lora_alpha` twice
            the rank.

    Raises:
        ConfigError: if peft is absent or refuses the options.
    """
    try:
        import peft
    except ImportError:
        raise ConfigError("lora needs peft: pip install 'clinidistill[peft]'") from None
    options: dict[str, Any] = {"r": lora} if isinstance(lora, int) else dict(lora)
    options.setdefault("lora_alpha", 2 * int(options.get("r", 8)))
    head = [name for name, child in model.named_children() if name != getattr(model, "base_model_prefix", "")]
    encoder = getattr(model, getattr(model, "base_model_prefix", ""), model)
    linear = {
        f"{model.base_model_prefix}.{name}"
        for name, module in encoder.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    options.setdefault("target_modules", sorted(linear))
    try:
        peft.inject_adapter_in_model(peft.LoraConfig(**options), model)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"lora={lora!r}: {error}") from None
    for name in head:
        cast(torch.nn.Module, getattr(model, name)).requires_grad_(requires_grad=True)


def merged(model: torch.nn.Module) -> torch.nn.Module:
    """The model with its adapters merged into its weights: itself where it has none, else a copy."""
    if not any("lora_" in name for name, _ in model.named_parameters()):
        return model
    from peft.tuners.lora import LoraLayer

    plain = copy.deepcopy(model)
    for name, module in list(plain.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(plain.get_submodule(parent), child, module.get_base_layer())
    return plain

"""What share of a device's arithmetic a training uses: model FLOPs utilisation."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

__all__ = ["peak_flops", "training_flops"]

_PEAKS = {  # 10^12 a second
    "B200": 2250,
    "H200": 989.5,
    "H100": 989.5,
    "H100 NVL": 835,
    "H100 PCIe": 756,
    "A100": 312,
    "L40S": 362,
    "L4": 121,
    "A10": 125,
    "A10G": 70,
    "RTX 4090": 165.2,
    "T4": 65,  # fp16; it has no bf16
    "V100": 125,
}
"""Dense products in bf16 (fp16 where there is none), summed in fp32, as the vendor's data sheets have them."""


def peak_flops(name: str) -> float | None:
    """What a GPU computes at most, in floating-point operations a second; None if it is not in our table.

    Args:
        name: as ``torch.cuda.get_device_name`` tells it.

    >>> peak_flops("NVIDIA H100 80GB HBM3"), peak_flops("NVIDIA H100 PCIe"), peak_flops("Tesla K80")
    (989500000000000.0, 756000000000000.0, None)
    """
    words = _words(name)
    known = [key for key in _PEAKS if _words(key) <= words]
    if not known or "LAPTOP" in words:
        return None
    return _PEAKS[max(known, key=len)] * 1e12


def training_flops(model: torch.nn.Module, lengths: ArrayLike) -> float | None:
    """Floating-point operations that a model needs to learn from sequences once: forward and backward.

    Two for each weight of a linear layer and token forward, two backward for the layer below, two for the weight itself
    unless it is frozen; and the products of attention (Chowdhery et al., *PaLM*, JMLR 24, 2023, appendix B). What is
    computed again to save memory, and padding, are no use and do not count.

    Args:
        model: a Hugging Face model, perhaps with adapters.
        lengths: tokens of each sequence, shape ``(sequences,)``.

    Returns:
        The sum over the sequences; None for a model that does not say how it is made.
    """
    config: Any = getattr(model, "config", None)
    if not hasattr(config, "num_hidden_layers") or not hasattr(config, "hidden_size"):
        return None
    sizes = np.asarray(lengths, dtype=np.float64)
    weights = [module.weight for module in model.modules() if isinstance(module, torch.nn.Linear)]
    products = sum(weight.numel() * (6 if weight.requires_grad else 4) for weight in weights)
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * config.num_hidden_layers
    seen = np.zeros_like(sizes)  # keys that a query of each sequence looks at, over the layers
    for kind in kinds:
        seen += np.minimum(sizes, config.sliding_window) if kind == "sliding_attention" else sizes
    return float(products * sizes.sum() + 12 * config.hidden_size * (sizes * seen).sum())


def _words(name: str) -> set[str]:
    return set(re.findall(r"[A-Z0-9]+", name.upper()))

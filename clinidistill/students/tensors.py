"""Arrays on their way to where a model computes."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray

__all__ = ["to_device"]


def to_device(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """The array as a tensor on `device`.

    To a GPU it goes through pinned memory, which torch keeps for the next batch, so that the CPU need not wait for it.
    """
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)

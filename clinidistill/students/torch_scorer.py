"""Running a torch module fast: a copy of its weights in bf16 and ready-made for matrix units, and a thread a core.

PyTorch's autocast would convert the weights at every call. What is summed over many numbers stays in fp32: softmax,
statistics of norms, logits.
"""

from __future__ import annotations

import copy
import threading
import weakref
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from clinidistill.errors import ClinidistillError, ConfigError
from clinidistill.students.crf import CRF
from clinidistill.students.scorer import Precision, Scorer
from clinidistill.students.tensors import to_device

__all__ = ["computes_bf16", "ready_model", "torch_scorer"]

_LANES = 8  # more threads would wait for Python's lock
_CPU_BATCH, _GPU_BATCH = 1024, 32768  # tokens; what a core's cache holds, and what fills a GPU


def torch_scorer(model: torch.nn.Module, precision: Precision, device: str | None, finish: Any = None) -> Scorer:
    """A scorer that runs `model`, a Hugging Face token classifier.

    Args:
        model: it stays where and as it is; what runs is a copy, unless nothing about it is to change.
        precision: what to compute in.
        device: where to compute; None takes the GPU if there is one.
        finish: from the model that runs, its logits (fp32), ids and mask to logits; None takes them as they are.

    Raises:
        ConfigError: if there is no such device.
    """
    try:
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        ready = ready_model(model, place, precision)
    except (RuntimeError, AssertionError) as error:  # torch says it so where it was built without the device
        raise ConfigError(f"cannot compute on the device {device!r} ({str(error).partition(chr(10))[0]})") from error

    def score(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        if ready.training:
            ready.eval()
        tensor = to_device(ids, place)
        attention = None if mask.all() else to_device(mask, place)  # attention without a mask is faster
        try:
            with torch.inference_mode():
                logits = ready(input_ids=tensor, attention_mask=attention).logits.float()
                if finish is not None:
                    logits = finish(ready, logits, ids, mask)
                return cast(NDArray[np.float32], logits.cpu().numpy())
        except torch.OutOfMemoryError as error:
            raise ClinidistillError(
                f"{place} has no memory for a batch of {ids.size} tokens; lower batch_tokens="
            ) from error

    if place.type != "cpu":
        return Scorer(score, batch_tokens=_GPU_BATCH, lanes=2)  # one computes while the other hands over
    threads = torch.get_num_threads()
    own = "ATen parallel backend: OpenMP" in torch.__config__.parallel_info()  # else all threads share one setting
    return Scorer(
        score,
        batch_tokens=_CPU_BATCH,
        lanes=min(threads, _LANES) if own else 1,
        enter=lambda lanes: _take_share(threads, lanes) if own else None,
    )


def computes_bf16(device: torch.device) -> bool:
    """Whether `device` computes in bf16 faster than in fp32."""
    if device.type == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


_READY: weakref.WeakKeyDictionary[torch.nn.Module, tuple[Any, torch.nn.Module]] = weakref.WeakKeyDictionary()
"""The last copy of each model, and what it is a copy of."""


def ready_model(model: torch.nn.Module, device: torch.device, precision: Precision) -> torch.nn.Module:
    """`model` as it is to run: itself, or a copy on `device` with weights in bf16.

    The copy is kept for the next call, and made anew when the weights changed. Buffers (rotary frequencies, say) and a
    CRF stay in fp32.
    """
    half = precision == "bf16" or (precision == "auto" and computes_bf16(device))
    parameters = list(model.parameters())
    if not half and all(parameter.device.type == device.type for parameter in parameters):
        return model
    origin = (device, half, _state(parameters))
    made_of, ready = _READY.get(model, (None, model))
    if made_of != origin:
        whole = {id(p) for m in model.modules() if isinstance(m, CRF) for p in m.parameters()}
        copies: dict[int, Any] = {}  # what deepcopy is to take in place of a tensor, which so is converted in one go
        for parameter in parameters:
            kind = torch.bfloat16 if half and id(parameter) not in whole else None
            copies[id(parameter)] = torch.nn.Parameter(parameter.detach().to(device, kind), False)
        copies |= {id(buffer): buffer.to(device) for buffer in model.buffers()}
        ready = copy.deepcopy(model, copies).eval()
        if half and device.type == "cpu" and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            _prepack(ready)
        _READY[model] = origin, ready
    return ready


def _state(parameters: list[torch.nn.Parameter]) -> tuple[Any, ...]:
    """What changes when weights do: torch's own count of changes, and, for those behind its back, a few numbers."""
    few = [p.detach().flatten()[:: max(1, p.numel() // 8)].float() for p in parameters]
    return tuple((id(p), p._version) for p in parameters), torch.cat(few).cpu().numpy().tobytes() if few else b""


class _Packed(torch.nn.Linear):
    """A linear layer whose weights lie as the CPU's matrix units take them, which else happens at every call."""

    packed: torch.Tensor

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, torch.ops.mkldnn._linear_pointwise(input, self.packed, self.bias, "none", [], ""))


def _prepack(model: torch.nn.Module) -> None:
    for module in model.modules():
        if type(module) is torch.nn.Linear and module.weight.dtype is torch.bfloat16:
            module.__class__ = _Packed
            module.packed = torch.ops.mkldnn._reorder_linear_weight(module.weight.detach())


def _take_share(threads: int, lanes: int) -> None:
    """Have this thread compute in its share of `threads`, and leave the number as it is for all others."""
    torch.get_num_threads()  # torch sets up a thread at its first call, which would undo the next line
    torch.set_num_threads(max(1, threads // lanes))  # this thread's, and that of all that are not set up
    other = threading.Thread(target=torch.set_num_threads, args=(threads,))
    other.start()
    other.join()

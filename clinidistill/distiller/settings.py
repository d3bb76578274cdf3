"""The settings of a training, checked when they are made."""

from __future__ import annotations

from typing import Literal

from clinidistill.component import Component
from clinidistill.errors import OptionError
from clinidistill.students.objective import Objective

__all__ = ["Precision", "Settings"]

Precision = Literal["auto", "fp32", "bf16", "fp16"]


class Settings(Component):
    """What a training is to be like; :class:`~clinidistill.Distiller` says what each setting means."""

    display_options = frozenset({"name", "show"})

    def __init__(
        self,
        epochs: int = 5,
        lr: float = 5e-5,
        batch_tokens: int = 2048,
        *,
        accumulate: int = 1,
        warmup: float = 0.1,
        weight_decay: float = 0.01,
        max_grad_norm: float | None = 1.0,
        precision: Precision = "auto",
        patience: int | None = 3,
        soft_labels: bool = True,
        confidence_weights: bool = False,
        gce: float = 0.0,
        outside: float = 1.0,
        guide_weight: float = 0.5,
        guide_outside: bool = False,
        guide_confidence: float = 0.0,
        rounds: int = 1,
        relabel: float | None = None,
        calibrate: bool = False,
        ema: float | None = None,
        self_distillation: float = 0.0,
        gradient_checkpointing: bool = False,
        compile: bool = False,
        packed: bool = False,
        seed: int = 0,
        device: Literal["cpu"] | None = None,
        show: bool | None = None,
    ):
        bounds = {"epochs": epochs >= 1, "lr": lr > 0, "batch_tokens": batch_tokens >= 1, "accumulate": accumulate >= 1}
        bounds |= {"warmup": 0 <= warmup <= 1, "weight_decay": weight_decay >= 0, "seed": seed >= 0}
        bounds |= {
            "max_grad_norm": max_grad_norm is None or max_grad_norm > 0,
            "patience": patience is None or patience >= 1,
        }
        bounds |= {"gce": 0 <= gce <= 1, "outside": outside > 0, "guide_weight": 0 <= guide_weight <= 1}
        bounds |= {"ema": ema is None or 0 < ema < 1, "self_distillation": 0 <= self_distillation < 1}
        bounds |= {"guide_confidence": 0 <= guide_confidence < 1, "rounds": rounds >= 1}
        bounds |= {"relabel": relabel is None or 0 < relabel <= 1}
        bounds |= {"precision": precision in ("auto", "fp32", "bf16", "fp16"), "device": device in (None, "cpu")}
        if wrong := [name for name, fine in bounds.items() if not fine]:
            raise OptionError(f"Distiller: {wrong[0]} is out of range: {self.options[wrong[0]]!r}")
        self.epochs, self.lr, self.batch_tokens, self.accumulate = epochs, lr, batch_tokens, accumulate
        self.warmup, self.weight_decay, self.max_grad_norm = warmup, weight_decay, max_grad_norm
        if self_distillation and ema is None:
            raise OptionError("Distiller: self_distillation needs an averaged student; give ema as well, e.g. ema=0.99")
        self.soft_labels, self.guide_weight, self.ema = soft_labels, guide_weight, ema
        self.self_distillation = self_distillation
        if relabel is not None and rounds < 2:
            raise OptionError("Distiller: relabel changes labels between rounds; give rounds=2 or more as well")
        self.guide_outside, self.guide_confidence = guide_outside, guide_confidence
        self.rounds, self.relabel, self.calibrate = rounds, relabel, calibrate
        self.objective = Objective(soft_labels, confidence_weights, gce, outside)
        if packed and compile:
            raise OptionError("Distiller: packed batches differ too much to be compiled; leave out packed or compile")
        self.gradient_checkpointing, self.compile, self.packed = gradient_checkpointing, compile, packed
        self.precision, self.patience, self.seed, self.device, self.show = precision, patience, seed, device, show

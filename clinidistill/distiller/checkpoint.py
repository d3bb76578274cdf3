"""Checkpoints: everything a training needs to go on exactly where it was, in safetensors and JSON only.

A checkpoint is one folder, ``step-00000042``. It is written beside its final name and renamed when it is whole, so that
a kill at any moment leaves the one before.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from clinidistill.errors import CheckpointError

__all__ = ["Checkpoints", "Progress"]


@dataclass(slots=True)
class Progress:
    """Where a training stands.

    Attributes:
        epoch: epochs completed.
        step_in_epoch: optimizer steps taken in the current epoch.
        step: optimizer steps taken altogether.
        epoch_loss, epoch_tokens, epoch_seconds: sums over the current epoch.
        best_f1: best dev F1 so far, None before the first.
        stale: epochs since then.
        finished: whether the training ran to its end.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    epoch_loss: float = 0.0
    epoch_tokens: int = 0
    epoch_seconds: float = 0.0
    best_f1: float | None = None
    stale: int = 0
    finished: bool = False
    history: dict[str, Any] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)


class Checkpoints:
    """The checkpoints of one training in one folder; the newest whole one counts.

    Args:
        folder: made when the first is written.
        fingerprint: of the training; a checkpoint with another is refused.
    """

    def __init__(self, folder: str | Path, fingerprint: str):
        self.folder, self.fingerprint = Path(folder), fingerprint

    def newest(self) -> Path | None:
        """The newest whole checkpoint; None if there is none.

        Raises:
            CheckpointError: if it belongs to another training.
        """
        found = sorted(self.folder.glob("step-*[0-9]"))
        if not found:
            return None
        state = _read_json(found[-1] / "state.json")
        if state.get("fingerprint") != self.fingerprint:
            raise CheckpointError(
                f"{found[-1]} belongs to another training (other data, labels, student or settings); give this one "
                "its own checkpoint folder, or delete that one"
            )
        return found[-1]

    def sweep(self) -> None:
        """Remove what a kill in the midst of writing left; nothing may be writing."""
        for part in self.folder.glob("step-*.part"):
            shutil.rmtree(part, ignore_errors=True)

    def write_tensors(self, step: int, name: str, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put tensors into the checkpoint being made for `step`."""
        folder = self._pending(step)
        folder.mkdir(parents=True, exist_ok=True)
        # clone(): safetensors refuses tensors that share storage, such as tied weights
        save_file({key: value.detach().cpu().clone().contiguous() for key, value in tensors.items()}, folder / name)

    def finish(self, progress: Progress) -> None:
        """Make the checkpoint of ``progress.step`` count, and drop the ones before it."""
        pending, final = self._pending(progress.step), self.folder / f"step-{progress.step:08d}"
        pending.mkdir(parents=True, exist_ok=True)
        state = {"fingerprint": self.fingerprint, **{name: getattr(progress, name) for name in Progress.__slots__}}
        (pending / "state.json").write_text(json.dumps(state), encoding="utf-8")
        os.replace(pending, final)
        for other in self.folder.glob("step-*"):
            if other != final:
                shutil.rmtree(other, ignore_errors=True)

    def _pending(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}.part"

    @staticmethod
    def progress(checkpoint: Path) -> Progress:
        """Where the training stood at a checkpoint."""
        state = _read_json(checkpoint / "state.json")
        try:
            return TypeAdapter(Progress).validate_python({name: state[name] for name in Progress.__slots__})
        except (KeyError, ValidationError):
            raise CheckpointError(
                f"{checkpoint / 'state.json'} is not a checkpoint's state; delete {checkpoint}"
            ) from None

    @staticmethod
    def tensors(checkpoint: Path, name: str) -> dict[str, torch.Tensor]:
        """The tensors of one file of a checkpoint.

        Raises:
            CheckpointError: if the file is absent or damaged.
        """
        try:
            return load((checkpoint / name).read_bytes())  # load_file() maps the file, which is deleted later
        except (OSError, SafetensorError) as error:
            raise CheckpointError(
                f"cannot read {checkpoint / name} ({type(error).__name__}); delete {checkpoint}"
            ) from error


def _read_json(file: Path) -> dict[str, Any]:
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {file} ({type(error).__name__}); delete {file.parent}") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{file} is not a checkpoint's state; delete {file.parent}")
    return state

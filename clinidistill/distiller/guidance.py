"""Students that guide another: what they think of the tokens of its examples becomes part of its targets.

Distillation of outputs as in Hinton, Vinyals & Dean, *Distilling the Knowledge in a Neural Network* (2015), for each
token, at temperature 1. Several guides are averaged, as an ensemble.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from clinidistill.errors import ConfigError
from clinidistill.students.base import Student
from clinidistill.students.encoding import token_batches
from clinidistill.students.trainable import UNKNOWN, Example, TrainableStudent

__all__ = ["check_guides", "guided"]

_CHUNK = 1024


def check_guides(guides: Sequence[Student], student: TrainableStudent) -> list[TrainableStudent]:
    """The guides, if they see tokens and labels as `student` does.

    Raises:
        ConfigError: if one does not.
    """
    fit = []
    for guide in guides:
        name = type(guide).__name__
        if not isinstance(guide, TrainableStudent):
            raise ConfigError(f"{name} cannot guide another student; let it label documents as a `transformer` teacher")
        if guide.labels != student.labels:
            raise ConfigError(f"the guide extracts {list(guide.labels)}, the student {list(student.labels)}")
        ours, theirs = (getattr(getattr(each, "encoder", None), "tokenizer", None) for each in (student, guide))
        if ours is None or theirs is None or ours.get_vocab() != theirs.get_vocab():
            raise ConfigError(
                "a guide must have the student's tokenizer; with another it can be a `transformer` teacher of documents"
            )
        fit.append(guide)
    return fit


def guided(
    examples: Iterable[Example],
    guides: Sequence[TrainableStudent],
    weight: float,
    device: torch.device,
    *,
    batch_tokens: int = 8192,
) -> Iterator[Example]:
    """The examples with the guides' mean opinion in their targets.

    Args:
        examples: of the guided student.
        guides: from :func:`check_guides`.
        weight: the guides' share of the targets; examples without targets of their own take all from the guides.
        device: where the guides compute.
        batch_tokens: most tokens in a batch, padding included.
    """
    for guide in guides:
        guide.model.to(device).eval()
    stream = iter(examples)
    while chunk := list(islice(stream, _CHUNK)):
        thought: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(chunk)
        for batch in token_batches([len(example) for example in chunk], batch_tokens):
            rows = [chunk[n] for n in batch]
            with torch.inference_mode():
                told = torch.stack([guide.probabilities(guide.model, rows, device) for guide in guides]).mean(0)
            for row, n in enumerate(batch):
                thought[n] = told[row, : len(chunk[n])].float().cpu().numpy()
        for example, opinion in zip(chunk, thought, strict=True):
            yield _mixed(example, opinion, weight)


def _mixed(example: Example, opinion: NDArray[np.float32], weight: float) -> Example:
    own = example.targets >= 0
    if not own.any():  # nobody looked for anything here
        targets = np.where(example.targets == UNKNOWN, opinion.argmax(-1), example.targets)
        return replace(example, targets=targets, allowed=None, soft=opinion.astype(np.float16))
    if example.allowed is not None:
        opinion = opinion * example.allowed
        opinion /= np.maximum(opinion.sum(-1, keepdims=True), 1e-12)
    if example.soft is None:
        likely = np.zeros_like(opinion)
        likely[np.arange(len(own)), np.maximum(example.targets, 0)] = 1
    else:
        likely = example.soft.astype(np.float32)
    soft = weight * opinion + (1 - weight) * likely
    targets = np.where(own, soft.argmax(-1), example.targets)
    return replace(example, targets=targets, soft=soft.astype(np.float16))

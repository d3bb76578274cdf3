"""Students that guide another: what they think of the tokens of its examples becomes part of its targets.

Distillation of outputs as in Hinton, Vinyals & Dean, *Distilling the Knowledge in a Neural Network* (2015), for each
token, at temperature 1. Several guides are averaged, as an ensemble. Guides that speak only of what lies outside all
spans complete weak labels, as in NEEDLE (Jiang et al., ACL 2021).
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

__all__ = ["check_guides", "guided", "opinions"]

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
    outside_only: bool = False,
    confidence: float = 0.0,
) -> Iterator[Example]:
    """The examples with the guides' mean opinion in their targets.

    Args:
        examples: of the guided student.
        guides: from :func:`check_guides`.
        weight: the guides' share of the targets; examples without targets of their own take all from the guides.
        device: where the guides compute.
        outside_only: whether that share is for tokens outside all spans alone.
        confidence: in examples without targets of their own, tokens of which the guides are less sure take no part.
    """
    for example, opinion in opinions(examples, guides, device):
        if (example.targets >= 0).any():
            yield _mixed(example, opinion, weight, outside_only)
        else:
            yield _told(example, opinion, confidence)


def opinions(
    examples: Iterable[Example], guides: Sequence[TrainableStudent], device: torch.device, *, batch_tokens: int = 8192
) -> Iterator[tuple[Example, NDArray[np.float32]]]:
    """Each example with the guides' mean opinion of its tokens, shape ``(tokens, tags)``, in order.

    Args:
        examples: of a student that sees tokens and labels as the guides do.
        guides: from :func:`check_guides`.
        device: where they compute.
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
        yield from zip(chunk, thought, strict=True)


def _told(example: Example, opinion: NDArray[np.float32], confidence: float) -> Example:
    """An example of which nobody else said anything."""
    sure = (example.targets == UNKNOWN) & (opinion.max(-1) >= confidence)
    targets = np.where(sure, opinion.argmax(-1), example.targets)
    return replace(example, targets=targets, allowed=None, soft=opinion.astype(np.float16))


def _mixed(example: Example, opinion: NDArray[np.float32], weight: float, outside_only: bool) -> Example:
    own = example.targets >= 0
    if example.allowed is not None:
        opinion = opinion * example.allowed
        opinion /= np.maximum(opinion.sum(-1, keepdims=True), 1e-12)
    if example.soft is None:
        likely = np.zeros_like(opinion)
        likely[np.arange(len(own)), np.maximum(example.targets, 0)] = 1
    else:
        likely = example.soft.astype(np.float32)
    share = weight * likely[:, :1] if outside_only else weight
    soft = share * opinion + (1 - share) * likely
    targets = np.where(own, soft.argmax(-1), example.targets)
    return replace(example, targets=targets, soft=soft.astype(np.float16))

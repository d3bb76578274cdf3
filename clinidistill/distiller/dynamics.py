"""What a student thought of its examples while it learnt them, and what that says of their labels.

A wrong label is believed late: over the epochs, the mean probability of a token's given tag (its *confidence*,
Swayamdipta et al., *Dataset Cartography*, EMNLP 2020) stays low while another tag's is high. Giving such tokens the
other tag does more than leaving them out (Merdjanovska & Akbik, *Token-Level Metrics for Detecting Incorrect Gold
Annotations in Named Entity Recognition*, Findings of EMNLP 2025).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from clinidistill.distiller.corpus import Corpus
from clinidistill.distiller.guidance import opinions
from clinidistill.students.trainable import Example, TrainableStudent

__all__ = ["Dynamics"]


class Dynamics:
    """The mean, over epochs, of how likely a student finds each tag at each token it learns from.

    Args:
        examples: what it learns from.
        tags: number of tags.

    It holds ``2 * tags`` bytes a token, in a nameless file that is mapped into memory.
    """

    def __init__(self, examples: Corpus, tags: int):
        self.examples, self.epochs = examples, 0
        self._ends = np.cumsum(examples.lengths, dtype=np.int64)
        shape = (int(self._ends[-1]), tags)
        with tempfile.TemporaryFile() as file:  # the mapping outlives it
            self.means: NDArray[np.float16] = np.memmap(file, np.float16, "w+", shape=shape)

    def update(self, student: TrainableStudent, device: torch.device) -> None:
        """Take in what the student thinks after another epoch."""
        self.epochs += 1
        for number, (_, opinion) in enumerate(opinions(self.examples, [student], device)):
            mean = self._of(number)
            mean += (opinion - mean) / self.epochs

    def restore(self, means: NDArray[np.float16], epochs: int) -> None:
        """Go on from a checkpoint."""
        self.means[:], self.epochs = means, epochs

    def relabelled(self, certainty: float) -> Iterator[Example]:
        """The examples, with another tag for each token where that was at least so likely on average.

        Args:
            certainty: between 0 and 1; at .5 and above at most one tag can be.
        """
        for number in range(len(self.examples)):
            example = self.examples[number]
            mean = self._of(number).astype(np.float32)
            if example.allowed is not None:
                mean = mean * example.allowed
            better = mean.argmax(-1)
            wrong = (example.targets >= 0) & (better != example.targets) & (mean.max(-1) >= certainty)
            soft = example.soft
            if soft is not None and wrong.any():
                soft = soft.copy()
                soft[wrong] = np.eye(soft.shape[1], dtype=soft.dtype)[better[wrong]]
            yield replace(example, targets=np.where(wrong, better, example.targets), soft=soft)

    def _of(self, number: int) -> NDArray[np.float16]:
        end = int(self._ends[number])
        mean: NDArray[np.float16] = self.means[end - int(self.examples.lengths[number]) : end]
        return mean

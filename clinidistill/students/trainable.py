"""What the Distiller's loop needs of a student: a module, examples, and a loss."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clinidistill.students.base import Student
from clinidistill.types import Document

if TYPE_CHECKING:
    import torch

__all__ = ["Example", "TrainableStudent"]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One window ready for training.

    Args:
        input_ids: token ids, shape ``(tokens,)``.
        targets: tag ids, shape ``(tokens,)``; negative where the token takes no part in the loss.
        allowed: which tags its document's ``covers`` leaves open, shape ``(tags,)``; None means all.
        soft: how likely each tag is, shape ``(tokens, tags)``, rows summing to 1 (rows of tokens that take no part are
            ignored); None where `targets` are certain.
    """

    input_ids: NDArray[np.int64]
    targets: NDArray[np.int64]
    allowed: NDArray[np.bool_] | None = None
    soft: NDArray[np.float16] | None = None

    def __len__(self) -> int:
        return len(self.input_ids)


class TrainableStudent(Student):
    """A student that is a torch module and can be trained by :class:`clinidistill.Distiller`."""

    @property
    @abstractmethod
    def model(self) -> torch.nn.Module:
        """The module to train; the same object from :meth:`prepare` on."""

    @abstractmethod
    def prepare(self, labels: Sequence[str]) -> None:
        """Get ready to learn `labels`: load the base and make its head (from torch's random state) where there is none.

        Raises:
            ConfigError: if it already extracts other labels, or its base cannot be loaded.
        """

    @abstractmethod
    def encode(self, documents: Iterable[Document]) -> list[Example]:
        """Training examples of labelled documents."""

    @abstractmethod
    def loss(self, model: torch.nn.Module, examples: Sequence[Example], device: torch.device) -> torch.Tensor:
        """Sum of the loss over the examples' tokens that take part, a scalar tensor on `device`.

        Args:
            model: :attr:`model`, perhaps wrapped for several processes.
            examples: one batch.
            device: where the model lies.
        """

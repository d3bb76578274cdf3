"""What the Distiller's loop needs of a student: a module, examples, and a loss."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clinidistill.errors import ConfigError
from clinidistill.students.base import Student
from clinidistill.types import Document

if TYPE_CHECKING:
    import torch

    from clinidistill.students.objective import Objective

__all__ = ["UNKNOWN", "Example", "TrainableStudent"]

UNKNOWN = -1
"""Target of a token of which nobody said anything; a guide may. (Special tokens have another negative target.)"""


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
    def encode(self, documents: Iterable[Document]) -> Iterator[Example]:
        """Training examples of labelled documents, lazily; also of those that cover no label, whose targets are
        :data:`UNKNOWN`, so that a guide may speak of them."""

    @abstractmethod
    def loss(
        self, model: torch.nn.Module, examples: Sequence[Example], device: torch.device, objective: Objective
    ) -> torch.Tensor:
        """Sum of the loss over the examples' tokens that take part, a scalar tensor on `device`.

        Args:
            model: :attr:`model`, perhaps wrapped for several processes.
            examples: one batch.
            device: where the model lies.
            objective: the loss of a token; a student whose loss is another kind refuses what it cannot do.

        Raises:
            ConfigError: if the student cannot minimise this objective.
        """

    def probabilities(self, model: torch.nn.Module, examples: Sequence[Example], device: torch.device) -> torch.Tensor:
        """How likely each tag is for each token, shape ``(examples, longest, tags)``; for what learns from predictions.

        Raises:
            ConfigError: if the student does not tag tokens.
        """
        raise ConfigError(f"{type(self).__name__} does not say how likely tags are; it can neither guide nor be guided")

    def pack(self) -> Callable[[], None]:
        """From now on, put the examples of a batch end to end in :meth:`loss`, which stays the same.

        Returns:
            What undoes it.

        Raises:
            ConfigError: if its model cannot take them so.
        """
        raise ConfigError(f"{type(self).__name__} takes no packed batches; leave packed out")

    def calibrate(self, dev: Sequence[Document]) -> float:
        """Shift the score of being outside all spans to what gives the best strict micro F1 on labelled documents.

        Returns:
            By how much it was shifted; below 0 more is found than before.

        Raises:
            ConfigError: if the student has no such score.
        """
        raise ConfigError(f"{type(self).__name__} cannot be calibrated")

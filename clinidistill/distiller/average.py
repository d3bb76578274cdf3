"""An exponential moving average of a model's weights.

The average forgets noisy labels that single steps learn, and is a better model than the last step's: Tarvainen &
Valpola, *Mean teachers are better role models* (NeurIPS 2017), whose rate rises from 0 as here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch

__all__ = ["Average"]


class Average:
    """The average of a model's parameters over the steps taken.

    Args:
        model: whose; parameters that are not trained are left out.
        decay: share of the old average in the new one, between 0 and 1; in the first steps it is less.
    """

    def __init__(self, model: torch.nn.Module, decay: float):
        self._trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.values = {name: parameter.detach().clone() for name, parameter in self._trained.items()}
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def update(self) -> None:
        """Take a step's weights in."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        # _foreach: one call for all tensors
        torch._foreach_lerp_(list(self.values.values()), [p.detach() for p in self._trained.values()], 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the model's weights and the average."""
        for name, parameter in self._trained.items():
            parameter.data, self.values[name] = self.values[name], parameter.data

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Within, the model is the average."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    @torch.no_grad()
    def restore(self, values: Mapping[str, torch.Tensor], steps: int) -> None:
        """Go on from a checkpoint.

        Raises:
            KeyError: if a tensor is missing.
        """
        for name, value in self.values.items():
            value.copy_(values[name])
        self.steps = steps

"""Training without the rows of the embedding that no token of the data needs.

Half of MiniLM's weights, and more of a multilingual model's, are embeddings of tokens that never occur: their gradients
are zeros, but are summed, clipped, averaged and stepped through like any other. They are put aside for the training.
Losses are the same; what differs is that weight decay leaves those rows alone.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["Vocabulary"]


class _Rows(torch.nn.Module):
    """An embedding of some token ids."""

    def __init__(self, whole: torch.nn.Embedding, used: NDArray[np.int64]):
        super().__init__()
        self.place: torch.Tensor
        place = torch.zeros(whole.num_embeddings, dtype=torch.int64)
        place[used] = torch.arange(len(used))
        self.register_buffer("place", place.to(whole.weight.device), persistent=False)
        self.weight = torch.nn.Parameter(whole.weight.detach()[used].clone())
        padding = whole.padding_idx
        self.padding = None if padding is None or padding not in used else int(place[padding])

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.embedding(self.place[ids], self.weight, self.padding)


class Vocabulary:
    """The embedding of a model in training.

    Args:
        model: a Hugging Face model with an embedding that nothing else is tied to; any other is left as it is.
        used: the token ids that will occur, in order.
    """

    def __init__(self, model: torch.nn.Module, used: NDArray[np.int64]):
        self._model = cast(Any, model)
        self._whole: torch.nn.Embedding | None = None
        whole = self._model.get_input_embeddings() if hasattr(self._model, "get_input_embeddings") else None
        if type(whole) is not torch.nn.Embedding or whole.max_norm is not None or not whole.weight.requires_grad:
            return
        if sum(parameter is whole.weight for _, parameter in model.named_parameters(remove_duplicate=False)) > 1:
            return
        if len(used) and used[-1] < whole.num_embeddings and len(used) < whole.num_embeddings / 2:
            self._whole, self._used = whole, torch.from_numpy(used)
            self._model.set_input_embeddings(_Rows(whole, used))

    @torch.no_grad()
    def restore(self) -> None:
        """Put the trained rows back among the others, and the embedding into the model."""
        if self._whole is None:
            return
        rows = self._model.get_input_embeddings()
        whole, self._whole = self._whole.to(rows.weight.device), None
        whole.weight[self._used] = rows.weight
        self._model.set_input_embeddings(whole)

"""What happened in a training, step by step and epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clinidistill.plots import plot_history
from clinidistill.types.html import html_table

__all__ = ["History"]


@dataclass(slots=True)
class History:
    """The record of one training; plain lists, ready to be plotted or written as JSON.

    Attributes:
        steps: one record an optimizer step: ``step``, ``epoch``, ``loss`` (mean per token), ``lr``.
        epochs: one record an epoch: ``epoch``, ``loss``, ``tokens``, ``seconds``, ``tokens_per_second``, and with a dev
            set ``dev_f1`` (strict micro F1) and ``dev_f1_lenient``. On a GPU whose peak is known, ``mfu`` is the share
            of it that the model's products took (:mod:`clinidistill.distiller.flops`).
        best_epoch: the epoch whose weights the student kept; None before the first epoch ended.
        stopped_early: whether dev F1 stopped rising before the last epoch.
    """

    steps: list[dict[str, Any]] = field(default_factory=list)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int | None = None
    stopped_early: bool = False

    @property
    def losses(self) -> list[float]:
        """Mean loss per token of each optimizer step."""
        return [record["loss"] for record in self.steps]

    @property
    def dev_f1(self) -> list[float]:
        """Strict micro F1 on the dev set after each epoch; empty without a dev set."""
        return [record["dev_f1"] for record in self.epochs if "dev_f1" in record]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "steps": self.steps,
            "epochs": self.epochs,
            "best_epoch": self.best_epoch,
            "stopped_early": self.stopped_early,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> History:
        """Inverse of :meth:`to_dict`."""
        return cls(list(data["steps"]), list(data["epochs"]), data["best_epoch"], data["stopped_early"])

    def plot(self, path: str | Path | None = None) -> Any:
        """A matplotlib figure of loss by step and dev F1 by epoch (extra ``plots``).

        Args:
            path: where to save it, e.g. ``history.svg``; None saves nothing.

        Raises:
            ConfigError: if matplotlib is absent.
        """
        figure = plot_history(self)
        if path is not None:
            figure.savefig(path)
        return figure

    def _repr_html_(self) -> str:
        head = ["epoch", "loss", "tokens/s", "dev F1"]
        rows = [[e["epoch"], e["loss"], round(e["tokens_per_second"]), e.get("dev_f1", "–")] for e in self.epochs]
        kept = "" if self.best_epoch is None else f"<p>Kept: epoch {self.best_epoch}</p>"
        return html_table(head, rows) + kept

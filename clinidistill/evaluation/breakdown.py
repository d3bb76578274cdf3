"""Scores and errors of mentions that have something in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clinidistill.evaluation.finding import KINDS
from clinidistill.evaluation.text_table import text_table
from clinidistill.types import Metrics

__all__ = ["Breakdown"]


class Breakdown(Mapping[str, Metrics]):
    """Strict precision, recall and F1 by bucket, e.g. by length; printed, a table.

    A mention to be found counts in the bucket that it is in itself, and so does a predicted one; so the counts of all
    buckets add up to those of the strict micro average.

    Args:
        by: what the buckets are of, e.g. ``"length"``.
        metrics: strict metrics of each bucket.
        kinds: for each bucket the number of findings of each kind (:data:`~clinidistill.evaluation.finding.KINDS`); a
            pair counts in the bucket of its gold mention.
    """

    def __init__(self, by: str, metrics: Mapping[str, Metrics], kinds: Mapping[str, Mapping[str, int]]):
        self.by, self._metrics, self.kinds = by, dict(metrics), {bucket: dict(kinds[bucket]) for bucket in metrics}

    def __getitem__(self, bucket: str) -> Metrics:
        return self._metrics[bucket]

    def __iter__(self) -> Iterator[str]:
        return iter(self._metrics)

    def __len__(self) -> int:
        return len(self._metrics)

    @property
    def table(self) -> tuple[list[str], list[list[Any]]]:
        """Head and rows of the table."""
        rows = [
            [bucket, m.precision, m.recall, m.f1, m.support, *(self.kinds[bucket].get(kind, 0) for kind in KINDS)]
            for bucket, m in self.items()
        ]
        return [self.by, "P", "R", "F1", "support", *KINDS], rows

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form: ``{bucket: {"f1": …, "tp": …, …, "kinds": {kind: count}}}``."""
        return {bucket: metrics.to_dict() | {"kinds": self.kinds[bucket]} for bucket, metrics in self.items()}

    def __str__(self) -> str:
        return text_table(*self.table)

    def __repr__(self) -> str:
        return f"Breakdown(by={self.by!r}, {len(self)} buckets)"

"""One teacher's answer on one document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from clinidistill.errors import SpanError
from clinidistill.types.span import Span

__all__ = ["Annotation"]


@dataclass(frozen=True, slots=True)
class Annotation:
    """What one teacher said of one document: its spans, or the error that it died of.

    Args:
        document_id: the document's id.
        teacher: the teacher's name.
        spans: what it marked; empty when it failed.
        covers: the labels it looked for; None means all.
        error: why there is no answer (error class and message, no note text); None when there is one.
        usage: counted resources, e.g. ``{"input_tokens": 812, "output_tokens": 90}``.
        cost_usd: what the answer cost; None when unknown.
        seconds: wall time spent on it.

    Raises:
        SpanError: if `covers` is one string.
    """

    document_id: str
    teacher: str
    spans: tuple[Span, ...] = ()
    covers: frozenset[str] | None = None
    error: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict, hash=False)
    cost_usd: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "spans", tuple(sorted(self.spans, key=_BY_PLACE)))
        if isinstance(self.covers, str):
            raise SpanError(f"annotation of {self.document_id!r}: covers must be a set of labels, not one string")
        if self.covers is not None:
            object.__setattr__(self, "covers", frozenset(self.covers))

    @property
    def failed(self) -> bool:
        """Whether the teacher died on this document; it then abstains on all of it."""
        return self.error is not None

    def knows(self, label: str) -> bool:
        """Whether the teacher has a vote on `label` here: it did not fail, and it looked for the label."""
        return self.error is None and (self.covers is None or label in self.covers)


_BY_PLACE = attrgetter("start", "end", "label", "fragments")  # as spans compare, but faster

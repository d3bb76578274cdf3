"""What became of a mention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clinidistill.evaluation.traits import Traits
from clinidistill.types import Span

__all__ = ["KINDS", "Finding"]

KINDS = ("correct", "boundary", "type", "type+boundary", "missed", "spurious")
"""What can become of a mention; see :class:`Finding`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one mention, or of a gold and a predicted mention that belong together.

    ========================  ================================================
    ``correct``               same offsets, same label
    ``boundary``              overlapping, other offsets, same label
    ``type``                  same offsets, other label
    ``type+boundary``         overlapping, other offsets, other label
    ``missed``                a gold mention without a predicted one
    ``spurious``              a predicted mention without a gold one
    ========================  ================================================

    Args:
        document_id: the note's id.
        kind: one of the above.
        gold: the mention to be found; None if spurious.
        predicted: the mention that was found; None if missed.
        traits: length, frequency, section, … of the gold mention where there is one, else of the predicted one.
    """

    document_id: str
    kind: str
    gold: Span | None
    predicted: Span | None
    traits: Traits

    @property
    def span(self) -> Span:
        """The gold span where there is one, else the predicted one."""
        span = self.gold or self.predicted
        assert span is not None
        return span

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, without note text unless the name of the section is a heading's own words."""
        return {
            "document": self.document_id,
            "kind": self.kind,
            "gold": self.gold and self.gold.to_dict(),
            "predicted": self.predicted and self.predicted.to_dict(),
            **{name: getattr(self.traits, name) for name in ("length", "frequency", "seen", "section")},
        }

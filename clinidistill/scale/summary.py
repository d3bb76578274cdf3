"""What a run over a large input did."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Summary"]


@dataclass(frozen=True, slots=True)
class Summary:
    """What is in the output, and what this call took.

    Args:
        output: URL of the folder.
        notes: documents written there, earlier calls among them.
        bad: documents in its side table ``_bad``, with the reasons.
        blocks: blocks written.
        missing: blocks that are not written; call again for these.
        notes_before: how many of `notes` an earlier call had written.
        seconds: wall time of this call, the start of workers included.
        cost_usd: what was paid for all of it, as far as it is known; 0 where nothing costs.
        stopped: why blocks are missing: a budget is used up, a block kills its workers, or every note of one fails;
            None where all is done.
    """

    output: str
    notes: int
    bad: int
    blocks: int
    missing: int
    notes_before: int
    seconds: float
    cost_usd: float = 0.0
    stopped: str | None = None

    @property
    def notes_per_second(self) -> float:
        """Notes that this call wrote, by its wall time."""
        return (self.notes - self.notes_before) / self.seconds if self.seconds else 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {**asdict(self), "notes_per_second": self.notes_per_second}

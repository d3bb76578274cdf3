"""Money and tokens that many askers share, wherever each keeps its answers."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Purse"]


class Purse(Protocol):
    """What an asker may use, beside what its store allows; in :mod:`clinidistill.scale` all workers share one."""

    def take(self, usd: float, tokens: int) -> bool:
        """Reserve the most that a request can take; False where so much is not left."""

    def give_back(self, usd: float, tokens: int) -> None:
        """Return what was reserved and not used; less than nothing where more was used."""

"""One budget for all workers: an actor grants leases, and what is leased cannot be spent twice."""

from __future__ import annotations

from typing import Any

from clinidistill.scale.engine import ray_module
from clinidistill.scale.storage import Place

__all__ = ["BUDGET_FILE", "Budget", "Lease"]

BUDGET_FILE = "_budget.json"
_SHARE = 20  # a lease is this part of what is left, so that few requests ask for one, and little lies idle at the end

Amount = tuple[float, float]
"""Dollars and tokens."""


class Budget:
    """What may be spent, by all workers and in all calls of a run; runs as a Ray actor.

    A lease counts as spent from when it is granted until it is returned; that of a worker that died stays spent, since
    its requests may have been answered. Each change is on disk before anybody hears of it.

    Args:
        limits: dollars and tokens; None sets no limit.
        file: where it is on record what was spent.
    """

    def __init__(self, limits: tuple[float | None, float | None], file: Place):
        self._limits, self._file = limits, file
        self._spent: Amount = (0.0, 0.0)
        if file.exists():
            (before,) = file.parent.read_json(BUDGET_FILE)
            self._spent = float(before["usd"]), float(before["tokens"])

    def grant(self, usd: float, tokens: float) -> Amount | None:
        """A lease of at least so much; None if so much is not left."""
        granted: list[float] = []
        for wanted, spent, limit in zip((usd, tokens), self._spent, self._limits, strict=True):
            if limit is None:
                granted.append(wanted * _SHARE)
            elif spent + wanted > limit:
                return None
            else:
                granted.append(max(wanted, (limit - spent) / _SHARE))
        self._note(*granted)
        return granted[0], granted[1]

    def give_back(self, usd: float, tokens: float) -> None:
        """Return what a lease has left; less than nothing if more was spent."""
        self._note(-usd, -tokens)

    def _note(self, usd: float, tokens: float) -> None:
        self._spent = self._spent[0] + usd, self._spent[1] + tokens
        self._file.write_json({"usd": self._spent[0], "tokens": self._spent[1]})


class Lease:
    """A worker's part of the budget: a :class:`~clinidistill.llm.purse.Purse`.

    Args:
        budget: the actor.
    """

    def __init__(self, budget: Any):
        self._budget = budget
        self._usd = self._tokens = 0.0

    def take(self, usd: float, tokens: int) -> bool:
        if self._usd < usd or self._tokens < tokens:
            lacking = max(0.0, usd - self._usd), max(0.0, tokens - self._tokens)
            granted = ray_module().get(self._budget.grant.remote(*lacking))
            if granted is None:
                return False
            self.give_back(*granted)
        self.give_back(-usd, -tokens)
        return True

    def give_back(self, usd: float, tokens: float) -> None:
        self._usd, self._tokens = self._usd + usd, self._tokens + tokens

    def end(self) -> None:
        """Return what is left to the budget."""
        left, self._usd, self._tokens = (self._usd, self._tokens), 0.0, 0.0
        if any(left):
            ray_module().get(self._budget.give_back.remote(*left))

"""What an hour of a machine costs: a small dated list, and the user's own in its place."""

from __future__ import annotations

import difflib
import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clinidistill.costs.machine import Machine, this_machine
from clinidistill.errors import ConfigError, DataError
from clinidistill.settings import Settings

__all__ = ["HardwarePrice", "Rate", "hardware_prices", "hourly_rate"]


class HardwarePrice(BaseModel):
    """What renting one machine costs.

    Attributes:
        name: how it is asked for, such as ``"aws g5.xlarge"``.
        usd_per_hour: dollars an hour.
        cores: how many cores it has.
        gpu: a part of the name of its GPUs; None if it has none.
        gpus: how many it has.
        as_of: when it cost so much.
        source: where that is said.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    usd_per_hour: float = Field(ge=0)
    cores: int = Field(ge=1)
    gpu: str | None = None
    gpus: int = Field(0, ge=0)
    as_of: date
    source: str = ""


class _List(BaseModel):
    model_config = ConfigDict(extra="forbid")

    price: list[HardwarePrice]


@dataclass(frozen=True, slots=True)
class Rate:
    """What an hour of a machine costs.

    Args:
        usd_per_hour: dollars; None where nobody knows.
        says: where the figure comes from.
    """

    usd_per_hour: float | None
    says: str

    def cost(self, seconds: float) -> float | None:
        """Dollars of so many seconds."""
        return None if self.usd_per_hour is None else self.usd_per_hour * seconds / 3600

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"usd_per_hour": self.usd_per_hour, "says": self.says}


def hardware_prices(path: str | Path | None = None) -> Mapping[str, HardwarePrice]:
    """The list of prices by name.

    Args:
        path: a TOML file with ``[[price]]`` tables; None takes ``$CLINIDISTILL_HARDWARE_PRICES`` or the bundled list.

    Raises:
        DataError: if the file cannot be read or is no such list.
    """
    return _read(path or Settings().hardware_prices)


def hourly_rate(hardware: str | float | None, machine: Machine | None = None) -> Rate:
    """What an hour costs.

    Args:
        hardware: a name in :func:`hardware_prices`, or dollars an hour; None goes by the machine: a share of the first
            entry with such GPUs, or, without a GPU, of the one whose cores are cheapest, by the number that it has.
        machine: where it was measured; None is this one.

    Raises:
        ConfigError: if there is no price of that name.

    >>> hourly_rate(2.5).cost(3600)
    2.5
    """
    if isinstance(hardware, (int, float)):
        if not hardware >= 0:
            raise ConfigError(f"hardware={hardware}: dollars an hour cannot be below 0")
        return Rate(float(hardware), "as told")
    prices = hardware_prices()
    if hardware is not None:
        if hardware not in prices:
            near = difflib.get_close_matches(hardware, prices, 1) or list(prices)
            raise ConfigError(
                f"no hardware is called {hardware!r}; did you mean {near[0]!r}? hardware= also takes dollars an hour"
            )
        return _rate(prices[hardware], 1.0)
    machine = machine or this_machine()
    if machine.gpus:
        for price in prices.values():
            if price.gpu and price.gpus and price.gpu.lower() in re.findall("[a-z0-9]+", machine.gpus[0].lower()):
                return _rate(price, len(machine.gpus) / price.gpus)
        return Rate(None, f"no price of a {machine.gpus[0]} is known; hardware= takes dollars an hour")
    plain = [price for price in prices.values() if not price.gpus]
    if not plain:
        return Rate(None, "no price of a machine without GPUs is known; hardware= takes dollars an hour")
    cheapest = min(plain, key=lambda price: price.usd_per_hour / price.cores)
    return _rate(cheapest, machine.cores / cheapest.cores)


def _rate(price: HardwarePrice, share: float) -> Rate:
    says = price.name if share == 1 else f"{share:g} x {price.name}"
    return Rate(price.usd_per_hour * share, f"{says}, {price.as_of:%Y-%m-%d}")


@functools.cache
def _read(path: str | Path | None) -> Mapping[str, HardwarePrice]:
    own = resources.files("clinidistill.costs") / "hardware_prices.toml"
    file = own if path is None else Path(path)
    try:
        listed = _List.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise DataError(f"the list of prices cannot be read: {error.strerror}", path=str(file)) from None
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise DataError(f"is no list of prices: {where}: {error.errors()[0]['msg']}", path=str(file)) from None
    except ValueError as error:
        raise DataError(f"is no TOML: {error}", path=str(file)) from None
    return {price.name: price for price in listed.price}

"""Aggregators: from many opinions to one silver label set."""

from __future__ import annotations

from typing import Any, cast

from clinidistill.aggregation.base import Aggregator
from clinidistill.registry import registry

__all__ = ["Aggregator", "load_aggregator", "register_aggregator"]

register_aggregator = registry("aggregators").register
"""Class decorator: makes an :class:`Aggregator` loadable by a name."""


def load_aggregator(name: str, /, **options: Any) -> Aggregator:
    """The aggregator called `name`.

    Args:
        name: ``"union"``, ``"intersection"``, ``"majority"``, or a plugin's.
        options: as that aggregator takes them.

    Raises:
        RegistryError: if the name is unknown, claimed twice, or its package is broken.
        OptionError: if an option is unknown, missing or of the wrong kind.
    """
    return cast(Aggregator, registry("aggregators").create(name, **options))

"""Aggregators: from many opinions to one silver label set."""

from __future__ import annotations

from typing import Any, cast

from clinidistill.aggregation.base import Aggregator
from clinidistill.aggregation.label_model import LabelModel
from clinidistill.aggregation.search import Combination, Search, search_teachers
from clinidistill.registry import registry

__all__ = [
    "Aggregator",
    "Combination",
    "LabelModel",
    "Search",
    "load_aggregator",
    "register_aggregator",
    "search_teachers",
]

register_aggregator = registry("aggregators").register
"""Class decorator: makes an :class:`Aggregator` loadable by a name."""


def load_aggregator(name: str, /, **options: Any) -> Aggregator:
    """The aggregator called `name`.

    Args:
        name: ``"majority"``, ``"weighted"``, ``"dawid-skene"``, ``"hmm"``, ``"stacked"``, ``"auto"``, ``"union"``,
            ``"intersection"``, or a plugin's.
        options: as that aggregator takes them.

    Raises:
        RegistryError: if the name is unknown, claimed twice, or its package is broken.
        OptionError: if an option is unknown, missing or of the wrong kind.
    """
    return cast(Aggregator, registry("aggregators").create(name, **options))

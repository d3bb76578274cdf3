"""Kinds of components, their rules, and the case of an instance."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from clinidistill.component import Component
from clinidistill.errors import ConfigError
from clinidistill.registry import Group
from clinidistill.testing.rules import Case, Rule

__all__ = ["KINDS", "case_of", "rules_of"]

KINDS: Mapping[str, Group] = {
    "teacher": "teachers",
    "student": "students",
    "dataset": "datasets",
    "aggregator": "aggregators",
    "provider": "providers",
    "terminology": "terminologies",
}
"""The kinds and their groups in the registry."""


def rules_of(kind: str) -> list[Rule]:
    """The rules of a kind of component, in the order in which they are tried."""
    rules: list[Rule] = getattr(importlib.import_module(f"clinidistill.testing.{kind}"), f"{kind.upper()}_RULES")
    return rules


def case_of(component: Component, samples: Mapping[str, Any] | None = None) -> tuple[str, Case]:
    """The kind of a component, and its case.

    Args:
        component: the instance.
        samples: the other arguments of its check.

    Raises:
        ConfigError: if it is of no kind that there are rules for.
    """
    for kind in KINDS:
        cls = getattr(importlib.import_module(f"clinidistill.testing.{kind}"), f"{kind.capitalize()}Case")
        if isinstance(component, cls.base):
            return kind, cls(component, **(samples or {}))
    raise ConfigError(f"{type(component).__name__} is no component: {', '.join(KINDS)} would be")

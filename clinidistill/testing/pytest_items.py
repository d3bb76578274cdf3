"""The tests of ``pytest --clinidistill``: one for each rule and component."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pytest

from clinidistill.component import Component
from clinidistill.errors import ClinidistillError, ConfigError
from clinidistill.registry import GROUPS, ComponentInfo, Group, registry
from clinidistill.testing.kinds import KINDS, case_of, rules_of
from clinidistill.testing.rules import Case, ConformanceError, Rule, try_one

__all__ = ["conformance_items"]

_OURS = "clinidistill"


class Components(pytest.Collector):
    """Where the tests belong."""

    def collect(self) -> list[pytest.Item]:
        return []


class RuleItem(pytest.Item):
    """A rule tried on a component; skipped where it cannot be tried."""

    case: Case
    rule: Rule

    def runtest(self) -> None:
        if reason := try_one(self.rule, self.case):
            pytest.skip(reason)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, ConformanceError) and excinfo.value.__cause__ is None:
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        return self.path, None, self.name


class LoadItem(pytest.Item):
    """A component of which there is no instance: fails if it cannot be loaded, else is skipped."""

    reason: str
    fails: bool

    def runtest(self) -> None:
        (pytest.fail if self.fails else pytest.skip)(self.reason)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        return self.path, None, self.name


def conformance_items(session: pytest.Session, only: Collection[str] | None) -> list[pytest.Item]:
    """The tests for all components.

    Args:
        session: pytest's.
        only: names of components, or groups and names; None takes those that plugins register or a conftest gives.

    Raises:
        pytest.UsageError: if a conftest gives what is no component, or nothing has a name of `only`.
    """
    parent = Components.from_parent(session, name="clinidistill", nodeid="clinidistill")
    try:
        items = list(_items(parent, only))
    except ConfigError as error:
        raise pytest.UsageError(f"pytest_clinidistill_components() in conftest.py: {error}") from None
    if only and not items:
        raise pytest.UsageError(f"no component is called {' or '.join(only)}; `clinidistill plugins` lists all")
    return items


def _items(parent: pytest.Collector, only: Collection[str] | None) -> Iterator[pytest.Item]:
    registered = [
        (group, info)
        for group in GROUPS
        for name in registry(group).names()
        if (registry(group).package(name) != _OURS if only is None else _named(only, group, name))
        for info in [registry(group).info(name)]
    ]
    seen: dict[type[Component], int] = {}
    for component, samples in _given(parent.config):
        cls = type(component)
        kind, case = case_of(component, samples)
        number = seen[cls] = seen.get(cls, 0) + 1
        if only is None or _named(only, KINDS[kind], case.title):
            yield from _of(parent, kind, case, case.title if number == 1 else f"{case.title}-{number}")
    for group, info in registered:
        yield from _registered(parent, group, info, seen)


def _given(config: pytest.Config) -> Iterator[tuple[Component, Mapping[str, Any]]]:
    """What the conftest gives."""
    for found in config.hook.pytest_clinidistill_components(config=config):
        if isinstance(found, Component):
            raise ConfigError("return a list of instances")
        for each in found or ():
            yield each if isinstance(each, tuple) else (each, {})


def _registered(
    parent: pytest.Collector, group: Group, info: ComponentInfo, seen: Collection[type[Component]]
) -> Iterator[pytest.Item]:
    """Tests of what is registered, made without options; none if the conftest gave one."""
    kind = registry(group).kind
    if info.state != "ready":
        yield _unmade(parent, f"{kind} {info.name}: loads", str(info.error), fails=True)
        return
    if registry(group).get(info.name) in seen:
        return
    try:
        component = registry(group).create(info.name)
    except ClinidistillError as error:
        reason = f"return an instance from pytest_clinidistill_components() in conftest.py: {error}"
        yield _unmade(parent, f"{kind} {info.name}", reason, fails=False)
        return
    yield from _of(parent, kind, case_of(component)[1], info.name)


def _of(parent: pytest.Collector, kind: str, case: Case, name: str) -> Iterator[pytest.Item]:
    for rule in rules_of(kind):
        item = RuleItem.from_parent(parent, name=f"{kind} {name}: {rule.id}")
        item.case, item.rule = case, rule
        yield item


def _unmade(parent: pytest.Collector, name: str, reason: str, *, fails: bool) -> pytest.Item:
    item = LoadItem.from_parent(parent, name=name)
    item.reason, item.fails = reason, fails
    return item


def _named(only: Collection[str], group: Group, name: str) -> bool:
    return name in only or f"{group}:{name}" in only

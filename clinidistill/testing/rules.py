"""Rules that components keep, and how one is tried on a component."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from clinidistill.component import Component
from clinidistill.errors import ClinidistillError, ConfigError, describe
from clinidistill.testing.network import no_network

__all__ = ["Case", "ConformanceError", "Rule", "add", "broken", "leave_out", "try_all", "try_one"]

F = TypeVar("F", bound=Callable[[Any], None])

_PAGE = "docs/conformance.md"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the contract.

    Args:
        id: what it is called, such as ``"teacher/offsets"``.
        sentence: what it says.
        check: tries it on a :class:`Case`.
    """

    id: str
    sentence: str
    check: Callable[[Any], None]

    @property
    def link(self) -> str:
        """Its paragraph in the documentation."""
        return f"{_PAGE}#{self.id.replace('/', '')}"


class ConformanceError(ClinidistillError, AssertionError):
    """A component breaks a rule.

    Attributes:
        rule: the rule's id, such as ``"teacher/offsets"``.
        component: the component's name.
        fault: what it does in place of what the rule says, and how to mend it.
    """

    def __init__(self, rule: Rule, component: str, fault: str):
        self.rule, self.component, self.fault = rule.id, component, fault
        super().__init__(f"{component} breaks {rule.id}: {fault}\n  The rule: {rule.sentence}\n  More: {rule.link}")


class Case(ABC):
    """A component under test, with what it is tried on; what every kind of component has to say for that.

    Args:
        component: the component.

    Raises:
        ConfigError: if it is none of its kind.
    """

    group: str
    """The registry's group of such components."""
    base: type[Component]
    """The class that such components are of."""

    def __init__(self, component: Component):
        if not isinstance(component, self.base):
            wrong = f"the class {component.__name__}" if isinstance(component, type) else type(component).__name__
            raise ConfigError(f"what is checked has to be an instance of {self.base.__name__}, which {wrong} is not")
        self.component = component

    @property
    def title(self) -> str:
        """How the component is called in messages."""
        cls = type(self.component)
        return cls.registered_name or cls.__name__

    @property
    def remote(self) -> bool:
        """Whether it says that it sends notes to another machine; then no rule has it do so."""
        return False

    @abstractmethod
    def answers(self) -> Any:
        """What it does on the samples, in a form that can be compared."""

    @abstractmethod
    def beside(self, component: Component) -> Case:
        """The same samples with another component of the kind."""


class _Broken(Exception):
    def __init__(self, fault: str, rule: str | None):
        super().__init__(fault)
        self.rule = rule


class _LeftOut(Exception):
    pass


def broken(fault: str, rule: str | None = None) -> NoReturn:
    """Say that the component breaks a rule.

    Args:
        fault: what it does, and how to mend it.
        rule: the id of the rule; None for the one that is being tried.
    """
    raise _Broken(fault, rule)


def leave_out(reason: str) -> NoReturn:
    """Say that the rule cannot be tried on this component, and why."""
    raise _LeftOut(reason)


def add(rules: list[Rule], name: str) -> Callable[[F], F]:
    """Decorator: adds a rule, which is the first paragraph of the function's docstring."""

    def decorate(check: F) -> F:
        sentence = (inspect.getdoc(check) or "").partition("\n\n")[0].replace("\n", " ")
        rules.append(Rule(name, sentence, check))
        _BY_ID[name] = rules[-1]
        return check

    return decorate


def try_one(rule: Rule, case: Case) -> str | None:
    """Try a rule on a component.

    Returns:
        None if it keeps the rule; why that cannot be tried otherwise.

    Raises:
        ConformanceError: if it breaks the rule, or tries to reach another machine meanwhile.
    """
    reason = fault = cause = None
    with no_network() as attempts:
        try:
            rule.check(case)
        except _LeftOut as left_out:
            reason = str(left_out)
        except _Broken as found:
            fault, cause = str(found), found.__cause__
            rule = _BY_ID[found.rule or rule.id]
        except Exception as error:  # whatever a component raises
            fault, cause = f"it raised {describe(error)}", error
    if attempts and not case.remote:
        text = f"it tried to reach {attempts[0]} without saying so; declare remote = True, or do without"
        raise ConformanceError(NETWORK, case.title, text) from cause
    if fault is not None:
        raise ConformanceError(rule, case.title, fault) from cause
    return reason


def try_all(rules: Sequence[Rule], case: Case) -> dict[str, str]:
    """Try rules one after the other; returns those that could not be tried, with why.

    Raises:
        ConformanceError: at the first that is broken.
    """
    reasons = {rule.id: try_one(rule, case) for rule in rules}
    return {name: reason for name, reason in reasons.items() if reason is not None}


_BY_ID: dict[str, Rule] = {}


def _uses_no_network(case: Case) -> None:
    """It reaches no other machine unless it says so (`remote`)."""
    case.answers()


NETWORK = Rule("component/network", inspect.getdoc(_uses_no_network) or "", _uses_no_network)
_BY_ID[NETWORK.id] = NETWORK

"""Rules for every component: options, recipes, fingerprints, secrets, network."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

from clinidistill.component import Component, shown
from clinidistill.errors import ClinidistillError, ConfigError, describe
from clinidistill.testing.elsewhere import fingerprint_elsewhere
from clinidistill.testing.options import Unsayable, is_secret, rebuilt, said, variants
from clinidistill.testing.rules import NETWORK, Case, Rule, add, broken, leave_out

__all__ = ["COMPONENT_RULES"]

COMPONENT_RULES: list[Rule] = []

_PLANTED = "planted-secret-8d1f"


@add(COMPONENT_RULES, "component/fingerprint-stable")
def fingerprint_is_stable(case: Case) -> None:
    """Its fingerprint is the same for every instance made alike, before and after work, and in every process."""
    component, before = case.component, case.component.fingerprint
    if not isinstance(before, str) or not before:
        broken(f"its fingerprint is {type(before).__name__}; it has to be a string, and not empty")
    if component.fingerprint != before:
        broken("its fingerprint changes each time; leave times, counters and random numbers out of fingerprint_data()")
    options = _said(case)
    try:
        backwards = rebuilt(component, dict(reversed(list(component.options.items()))), alone=True).fingerprint
    except ClinidistillError:  # what component/recipe tells
        backwards = before
    if backwards != before:
        broken("made of the same options in another order it has another fingerprint; make it of sorted options alone")
    if not case.remote:
        case.answers()
    if component.fingerprint != before:
        broken("its fingerprint changes when it works; make it of options and contents, not of its state")
    if not options.objects:
        elsewhere = fingerprint_elsewhere(type(component), options.plain)
        if elsewhere is not None and elsewhere != before:
            broken(
                "its fingerprint is another one in another process; sort sets, and leave out hash(), id(), times and "
                "the reprs of objects"
            )


@add(COMPONENT_RULES, "component/recipe")
def comes_back_from_a_recipe(case: Case) -> None:
    """Its options can be written into a recipe, and what is made of them again has the same fingerprint.

    Options that are objects no recipe can say (a terminology at hand, a function) are handed over as they are.
    """
    options = _said(case)
    try:
        again = rebuilt(case.component, json.loads(json.dumps(options.plain)) | options.objects, alone=True)
    except Exception as error:
        broken(f"it cannot be made of its own options again ({describe(error)}); leave them what __init__ takes")
    if again.fingerprint != case.component.fingerprint:
        broken(
            "made again of its options, as a recipe says them, it has another fingerprint; hash what __init__ makes of "
            "an option, not what it was given as"
        )


@add(COMPONENT_RULES, "component/fingerprint-options")
def fingerprint_follows_options(case: Case) -> None:
    """Its fingerprint changes with the options that change its answers, and not with `display_options`.

    Answers are stored under the fingerprint: what answers differently must not share it.
    """
    component, own = case.component, case.component.fingerprint
    for name, value, other in _variants(case):
        try:
            same = other.fingerprint == own
        except (ClinidistillError, OSError):
            continue
        if name in component.display_options and not same:
            broken(f"the option {name!r} is in display_options, and yet it changes the fingerprint")
        if same and _answers_differ(case, other):
            broken(
                f"{name}={value!r} changes what it answers and not its fingerprint; have fingerprint_data() tell it"
                + (", and take it out of display_options" if name in component.display_options else "")
            )


@add(COMPONENT_RULES, "component/options-kept")
def options_are_left_alone(case: Case) -> None:
    """It leaves the lists and mappings that it gets as options as they are."""
    given = {name: value for name, value in case.component.options.items() if isinstance(value, (list, dict, set))}
    if not given:
        leave_out("it has no list or mapping among its options")
    try:
        mine = {name: _another_order(value) for name, value in copy.deepcopy(given).items()}
        before = copy.deepcopy(mine)
        other = rebuilt(case.component, mine, checked=False)
    except Exception:
        leave_out("what is among its options cannot be copied")
    if not case.remote:
        case.beside(other).answers()
    for name, value in mine.items():
        if value != before[name]:
            broken(f"it changes the {type(value).__name__} that it got as {name!r}; copy it first")


@add(COMPONENT_RULES, "component/secrets")
def secrets_stay_secret(case: Case) -> None:
    """A secret among its options stands in no repr, no view of its options, and has no part in the fingerprint."""
    names = [name for name, parameter in _parameters(case.component).items() if is_secret(case.component, parameter)]
    if not names:
        leave_out("it has no option that is a secret")
    for name in names:
        try:
            one = rebuilt(case.component, {name: _PLANTED})
            other = rebuilt(case.component, {name: "another"})
        except ConfigError:
            continue
        views = [repr(one), str(one), repr(one.options), json.dumps(shown(one.options)), repr(one.fingerprint_data())]
        if any(_PLANTED in view for view in views):
            broken(f"the option {name!r} shows in its repr or options; annotate it as pydantic's SecretStr")
        if one.fingerprint != other.fingerprint:
            broken(f"the option {name!r} is a secret and changes the fingerprint; annotate it as pydantic's SecretStr")


COMPONENT_RULES.append(NETWORK)


def _another_order(value: Any) -> Any:
    """A list backwards: that of the instance has been through __init__ already, which may have sorted it."""
    return value[::-1] if isinstance(value, list) else value


def _parameters(component: Component) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(type(component)).parameters


def _said(case: Case) -> Any:
    try:
        return said(case.component)
    except Unsayable as error:
        broken(str(error))


def _variants(case: Case) -> Any:
    for name, value in variants(case.component):
        try:
            yield name, value, rebuilt(case.component, {name: value})
        except Exception:  # noqa: S112 - a value that it refuses
            continue


def _answers_differ(case: Case, other: Component) -> bool:
    if case.remote or not (case.component.deterministic and other.deterministic):
        return False
    try:
        with_other: Callable[[], Any] = case.beside(other).answers
        return bool(case.answers() != with_other())
    except Exception:  # a value that it refuses when it works
        return False

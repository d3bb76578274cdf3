"""The options of a component: as a recipe says them, changed one by one, and the component made of them again."""

from __future__ import annotations

import collections.abc
import enum
import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretBytes, SecretStr

from clinidistill.component import Component
from clinidistill.registry import check_options, option_types

__all__ = ["Options", "Unsayable", "is_secret", "rebuilt", "said", "variants"]

_SECRET = re.compile(
    r"(^|_)(api_?key|secret|password|passwd|authorization|credentials?|(access|auth|api|bearer)_token)$|^token$"
)
_ADDRESS = re.compile(r"(url|uri|host|proxy|endpoint|server|address)$")


class Unsayable(Exception):
    """Options that cannot be said twice."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a component.

    Args:
        plain: those that a recipe can say, as JSON values.
        objects: those that it cannot.
    """

    plain: dict[str, Any] = field(default_factory=dict)
    objects: dict[str, Any] = field(default_factory=dict)


def said(component: Component) -> Options:
    """The options of a component as a recipe says them.

    Raises:
        Unsayable: if one is an iterator, which is spent after its first use.
    """
    parameters = inspect.signature(type(component)).parameters
    options = Options()
    for name, value in component.options.items():
        if isinstance(value, collections.abc.Iterator):
            raise Unsayable(f"its option {name!r} is an iterator, which is spent after one use; give it a list")
        if value is None and name in parameters and parameters[name].default is None:
            continue  # TOML has no null, and need not have it here
        try:
            options.plain[name] = _plain(value)
        except TypeError:
            options.objects[name] = value
    return options


def _plain(value: Any) -> Any:
    if isinstance(value, (SecretStr, SecretBytes)):
        secret = value.get_secret_value()
        return secret.decode() if isinstance(secret, bytes) else secret
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return [_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(item) for item in value), key=str)
    raise TypeError


def rebuilt(
    component: Component, changed: Mapping[str, Any], *, alone: bool = False, checked: bool = True
) -> Component:
    """A component of the same class with some options changed.

    Args:
        component: the one whose options it has otherwise.
        changed: the other options.
        alone: whether it gets none but `changed`.
        checked: whether options are converted as the registry does it.
    """
    cls = type(component)
    options = dict(changed) if alone else {**component.options, **changed}
    parameters = inspect.signature(cls).parameters.values()
    rest = next((options.pop(p.name, ()) for p in parameters if p.kind is p.VAR_POSITIONAL), ())
    given = check_options(cls, options, cls.__name__) if checked else options
    positional = []
    if rest:  # then all before them are told by their places
        positional = [given.pop(p.name) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    else:
        positional = [given.pop(p.name, p.default) for p in parameters if p.kind is p.POSITIONAL_ONLY]
    return cls(*positional, *rest, **given)


def is_secret(component: Component, parameter: inspect.Parameter) -> bool:
    """Whether an option is a secret, by its type or, where it takes a string, by its name."""
    kinds = set(_kinds(option_types(type(component)).get(parameter.name, Any)))
    if kinds & {SecretStr, SecretBytes}:
        return True
    return bool(_SECRET.search(parameter.name)) and bool(kinds & {str, Any})


def variants(component: Component) -> Iterator[tuple[str, Any]]:
    """Options of a component with other values than it has; paths, addresses, objects and secrets are left alone."""
    hints, options = option_types(type(component)), component.options
    for name, parameter in inspect.signature(type(component)).parameters.items():
        if name not in options or name not in hints or is_secret(component, parameter):
            continue
        kinds = list(_kinds(hints[name]))
        value = options[name]
        if Path in kinds or _ADDRESS.search(name) or "://" in str(value):
            continue
        if value is None and name in component.display_options and str in kinds:
            value = ""
        for other in _others(value, kinds):
            yield name, other


def _others(value: Any, kinds: list[Any]) -> list[Any]:
    choices = [choice for kind in kinds if typing.get_origin(kind) is Literal for choice in typing.get_args(kind)]
    if choices and (value is None or isinstance(value, str)):
        return [choice for choice in choices if choice != value]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1]
    if isinstance(value, float):
        return [value / 2 if value else 0.5]
    if isinstance(value, str) and str in kinds:
        return [f"{value}x"]
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return [[*value[:-1], f"{value[-1]}x"]]
    if isinstance(value, dict) and len(value) > 1:
        return [dict(list(value.items())[:-1])]
    return []  # a limit that is None, say: any number could have it wait for hours


def _kinds(hint: Any) -> Iterator[Any]:
    """The types that a hint allows at its top."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        yield from _kinds(typing.get_args(hint)[0])
    elif origin in {typing.Union, types.UnionType}:
        for each in typing.get_args(hint):
            yield from _kinds(each)
    else:
        yield hint

"""Names → classes: decorators, entry points, and one door for built-ins and plugins alike.

A component is found under its name in one of six groups. It gets there through an entry point of its package
(``[project.entry-points."clinidistill.teachers"]``; ours do too) or through a decorator in a script
(``@register_teacher("regex")``). Nothing is imported before it is asked for. A plugin that fails to import is
quarantined: it is listed as broken with its error, and everything else goes on.
"""

from __future__ import annotations

import collections.abc
import difflib
import importlib.metadata
import inspect
import operator
import sys
import threading
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import SchemaError

from clinidistill.component import Component
from clinidistill.errors import (
    BrokenPluginError,
    DuplicateComponentError,
    OptionError,
    UnknownComponentError,
)

__all__ = ["GROUPS", "ComponentInfo", "Group", "Registry", "available", "option_types", "registry"]

Group = Literal["teachers", "students", "datasets", "aggregators", "providers", "terminologies"]
GROUPS: tuple[Group, ...] = typing.get_args(Group)

C = TypeVar("C", bound=type[Component])


@dataclass(frozen=True, slots=True)
class ComponentInfo:
    """One line of :func:`available`.

    Args:
        name: what it is loaded by.
        summary: first line of its class's docstring.
        package: the distribution (or, for a decorated class, the module) that registers it.
        state: ``"ready"``, ``"broken"`` (its package failed to import) or ``"conflict"`` (two have its name).
        error: why it is broken or in conflict.
    """

    name: str
    summary: str
    package: str
    state: Literal["ready", "broken", "conflict"]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Entry:
    """One claim on a name: where the class is said to be and who says so."""

    package: str
    target: str  # "module:qualname"
    load: Callable[[], Any]

    def same_as(self, other: _Entry) -> bool:
        """Whether both claim one class, perhaps by way of two modules; imports nothing to find out."""
        return self.target == other.target or (self.imported() is not None and self.imported() is other.imported())

    def imported(self) -> Any:
        """The class if its module is imported already, else None."""
        module, _, attribute = self.target.partition(":")
        try:
            return operator.attrgetter(attribute)(sys.modules[module])
        except (KeyError, AttributeError):
            return None


class Registry:
    """The components of one group.

    Args:
        group: one of :data:`GROUPS`.
    """

    def __init__(self, group: Group):
        self.group = group
        self.kind = "terminology" if group == "terminologies" else group[:-1]
        self._decorated: dict[str, list[_Entry]] = {}
        self._installed: dict[str, list[_Entry]] | None = None
        self._loaded: dict[str, type[Component]] = {}
        self._broken: dict[str, BrokenPluginError] = {}
        self._lock = threading.RLock()

    def register(self, name: str) -> Callable[[C], C]:
        """Class decorator that registers under `name`; running it again (a notebook cell) replaces the class.

        A second, different class under the same name is not refused here, where it would break an import,
        but when that name is loaded.
        """

        def decorate(cls: C) -> C:
            target = f"{cls.__module__}:{cls.__qualname__}"
            entry = _Entry(cls.__module__.partition(".")[0], target, lambda: cls)
            with self._lock:
                others = [e for e in self._decorated.get(name, []) if e.target != target]
                self._decorated[name] = [*others, entry]
                self._loaded.pop(name, None)
                self._broken.pop(name, None)
            cls.registered_name = name
            return cls

        return decorate

    def names(self) -> list[str]:
        """All registered names, sorted."""
        return sorted({*self._entry_points(), *self._decorated})

    def package(self, name: str) -> str:
        """The package (or packages, joined by ``+``) that registers `name`; imports nothing."""
        return " + ".join(sorted({entry.package for entry in self._claims(name)}))

    def get(self, name: str) -> type[Component]:
        """The class registered under `name`, imported now if it was not yet.

        Raises:
            UnknownComponentError: if nothing has that name; the message lists the nearest.
            DuplicateComponentError: if two packages claim it; the message names both.
            BrokenPluginError: if its package fails to import, or what it registers is no component class.
        """
        if name in self._loaded:
            return self._loaded[name]
        if name in self._broken:
            raise self._broken[name].with_traceback(None)
        entries = self._claims(name)
        if not entries:
            raise self._unknown(name)
        if len(entries) > 1:
            claims = " and ".join(f"{entry.package!r} ({entry.target})" for entry in entries)
            raise DuplicateComponentError(
                f"the {self.kind} name {name!r} is registered by two packages: {claims}; uninstall one, or have "
                "its author rename the component"
            )
        try:  # without the lock: another thread may be importing the same package, whose decorators take it
            cls = _load(entries[0], name, self.kind)
        except BrokenPluginError as error:
            self._broken[name] = error
            raise
        self._loaded[name] = cls
        return cls

    def create(self, name: str, /, **options: Any) -> Any:
        """An instance of the component `name`, its options checked against its signature.

        Raises:
            RegistryError: as :meth:`get`.
            OptionError: if an option is unknown, missing or of the wrong kind.
        """
        cls = self.get(name)
        checked = check_options(cls, options, f"{self.kind} {name!r}")
        parameters = inspect.signature(cls).parameters.values()
        positional = [checked.pop(p.name, p.default) for p in parameters if p.kind is p.POSITIONAL_ONLY]
        return cls(*positional, **checked)

    def available(self) -> list[ComponentInfo]:
        """All components of the group by name; imports them, and quarantines those that fail."""
        return [self.info(name) for name in self.names()]

    def info(self, name: str) -> ComponentInfo:
        """One line about a component; imports it, and quarantines it if that fails."""
        packages = self.package(name)
        try:
            cls = self.get(name)
        except DuplicateComponentError as error:
            return ComponentInfo(name, "", packages, "conflict", str(error))
        except BrokenPluginError as error:
            return ComponentInfo(name, "", packages, "broken", str(error))
        doc = inspect.getdoc(cls) or ""
        return ComponentInfo(name, doc.partition("\n")[0], packages, "ready")

    def _claims(self, name: str) -> list[_Entry]:
        """Who claims a name; a class claimed by entry point and decorator alike is one claim, the entry point's."""
        claims: list[_Entry] = []
        for entry in (*self._entry_points().get(name, []), *self._decorated.get(name, [])):
            if not any(entry.same_as(claim) for claim in claims):
                claims.append(entry)
        return claims

    def _entry_points(self) -> dict[str, list[_Entry]]:
        with self._lock:
            if self._installed is None:
                found: dict[str, list[_Entry]] = {}
                for point in importlib.metadata.entry_points(group=f"clinidistill.{self.group}"):
                    package = point.dist.name if point.dist is not None else point.module
                    found.setdefault(point.name, []).append(_Entry(package, f"{point.module}:{point.attr}", point.load))
                self._installed = found
            return self._installed

    def _unknown(self, name: str) -> UnknownComponentError:
        names = self.names()
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(names) or 'none'}"
        return UnknownComponentError(
            f"no {self.kind} is called {name!r}; {hint} (`clinidistill plugins` lists all; is its package installed?)"
        )


def _load(entry: _Entry, name: str, kind: str) -> type[Component]:
    try:
        cls = entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a plugin's import raises must not take the rest down, SystemExit neither
        raise BrokenPluginError(
            f"the {kind} {name!r} of package {entry.package!r} is quarantined, since {entry.target} failed to import: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, Component)):
        raise BrokenPluginError(
            f"the {kind} {name!r} of package {entry.package!r} is quarantined: {entry.target} is not a subclass of "
            f"clinidistill's {kind} class"
        )
    if cls.registered_name is None:
        cls.registered_name = name
    return cls


def check_options(cls: type[Component], options: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Options as `cls` wants them, converted by pydantic from the annotations of its ``__init__``.

    Raises:
        OptionError: naming the options at fault, and all known ones.
    """
    parameters = inspect.signature(cls).parameters
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    known = {n: p for n, p in parameters.items() if p.kind not in _VARIADIC}
    hints = option_types(cls)
    problems: list[str] = []
    checked: dict[str, Any] = {}
    for name, value in options.items():
        if name not in known:
            if open_ended:
                checked[name] = value
                continue
            near = difflib.get_close_matches(name, known, n=1)
            problems.append(f"unknown option {name!r}" + (f" (did you mean {near[0]!r}?)" if near else ""))
            continue
        try:
            checked[name] = _convert(hints.get(name, Any), value)
        except ValidationError as error:
            reasons = "; ".join(dict.fromkeys(detail["msg"] for detail in error.errors(include_input=False)))
            problems.append(f"option {name!r}: {reasons}")
    for name, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and name not in options:
            problems.append(f"option {name!r} is required")
    if problems:
        listing = ", ".join(_describe(p) for p in known.values()) or "none"
        raise OptionError(f"{what}: {'; '.join(problems)}. Known options: {listing}")
    return checked


_VARIADIC = {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
_PYDANTIC = ConfigDict(arbitrary_types_allowed=True)
_ONE_SHOT = {collections.abc.Iterable, collections.abc.Iterator, collections.abc.Generator}


def option_types(cls: type[Component]) -> Mapping[str, Any]:
    """The types of the options of a class, as far as its annotations can be looked up."""
    try:
        return typing.get_type_hints(cls.__init__, include_extras=True)
    except Exception:  # names imported for type checking only: then the class itself checks its options
        return {}


def _convert(hint: Any, value: Any) -> Any:
    """`value` as `hint`; pydantic would wrap an Iterable in a one-shot iterator, so those pass as they are."""
    if _one_shot(hint):
        return value
    try:
        adapter = TypeAdapter(tuple[hint], config=_PYDANTIC)
    except (PydanticUserError, SchemaError, TypeError):  # no type that can be checked, say a plain Protocol
        return value
    return adapter.validate_python((value,))[0]


def _one_shot(hint: Any) -> bool:
    """Whether an Iterable or the like occurs anywhere in a type."""
    if isinstance(hint, list):  # the arguments of a Callable
        return any(map(_one_shot, hint))
    return (typing.get_origin(hint) or hint) in _ONE_SHOT or any(map(_one_shot, typing.get_args(hint)))


def _describe(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return f"{parameter.name} (required)"
    return f"{parameter.name}={parameter.default!r}"


_REGISTRIES: dict[str, Registry] = {group: Registry(group) for group in GROUPS}


def registry(group: Group) -> Registry:
    """The registry of a group.

    Raises:
        UnknownComponentError: if there is no such group.
    """
    try:
        return _REGISTRIES[group]
    except KeyError:
        raise UnknownComponentError(f"no group is called {group!r}; groups: {', '.join(GROUPS)}") from None


def available(group: Group | None = None) -> list[ComponentInfo]:
    """What can be loaded: name, summary, package and state of each component of a group (or of all groups).

    Args:
        group: ``"teachers"``, ``"students"``, ``"datasets"``, ``"aggregators"``, ``"providers"``,
            ``"terminologies"``, or None for all.

    Raises:
        UnknownComponentError: if there is no such group.

    >>> "token-classifier" in [info.name for info in available("students")]
    True
    """
    groups: Iterable[Group] = GROUPS if group is None else (group,)
    return [info for each in groups for info in registry(each).available()]

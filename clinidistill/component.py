"""What every pluggable thing shares: it remembers its options and has a fingerprint of them."""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import inspect
import json
import re
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, SecretBytes, SecretStr

from clinidistill.errors import ConfigError

__all__ = ["Component", "digest", "shown"]


class _OptionsSignature:
    """What ``inspect.signature(cls)`` and ``help(cls)`` show: the signature of ``__init__``, not of ``__new__``."""

    def __get__(self, instance: object, cls: type[Any]) -> inspect.Signature:
        if instance is not None:  # a callable instance has the signature of its own __call__
            raise AttributeError("__signature__")
        if cls.__init__ is object.__init__:  # whose own signature claims to take anything
            return inspect.Signature()
        _, *parameters = inspect.signature(cls.__init__).parameters.values()
        return inspect.Signature(parameters)


class Component:
    """Base of teachers, students, aggregators, …: remembers the options it was made with.

    A subclass writes an ordinary ``__init__`` and need not call ``super().__init__()``. Its arguments are
    kept in :attr:`options`, and :attr:`fingerprint` is a hash of them, so that two components made alike
    are known to be alike, also in another process.

    Class attributes:
        registered_name: the name it was registered under (set by the registry).
        version: raise it when the component's behaviour changes though its options do not.
        display_options: names of options that only change how it is shown; not in the fingerprint.
        deterministic: whether it answers the same each time. A component that does not says so, on the class or as a
            property.
    """

    registered_name: ClassVar[str | None] = None
    version: ClassVar[str] = "1"
    display_options: ClassVar[frozenset[str]] = frozenset({"name"})
    deterministic: bool = True

    __signature__ = _OptionsSignature()
    _options: dict[str, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.registered_name = vars(cls).get("registered_name")  # a subclass does not go by its parent's name

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        signature = inspect.signature(cls)
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:  # copy and pickle make objects without arguments; __init__ reports real mistakes
            if cls.__init__ is object.__init__:  # which would stay silent
                raise TypeError(f"{cls.__name__}: {error}") from None
            return self
        bound.apply_defaults()
        options = dict(bound.arguments)
        for parameter in signature.parameters.values():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                options.update(options.pop(parameter.name, {}))
        object.__setattr__(self, "_options", options)  # a frozen dataclass may be a component, too
        return self

    @property
    def options(self) -> Mapping[str, Any]:
        """The arguments it was made with, defaults included."""
        return dict(getattr(self, "_options", {}))

    def fingerprint_data(self) -> Mapping[str, Any]:
        """What the fingerprint is made of; override where options do not say it all (say, file contents)."""
        return {name: value for name, value in self.options.items() if name not in self.display_options}

    @property
    def fingerprint(self) -> str:
        """Hexadecimal hash of class, version and options; secrets have no part in it.

        Raises:
            ConfigError: if an option cannot be hashed.
        """
        cls = type(self)
        return digest([f"{cls.__module__}.{cls.__qualname__}", cls.version, self.fingerprint_data()])


def digest(value: Any) -> str:
    """SHA-256 (32 hexadecimal digits) of a value's canonical JSON; the same in every process.

    Takes plain values, paths, dataclasses, pydantic models, enums, sets, named functions, and anything with
    a ``fingerprint``. Secrets (`SecretStr`) are left out.

    Raises:
        ConfigError: if the value holds something else.

    >>> digest({"a": 1, "b": {2, 3}}) == digest({"b": {3, 2}, "a": 1})
    True
    """
    text = json.dumps(_plain(value), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, int, float, bool)):
        return value.value if isinstance(value, enum.Enum) else value
    if isinstance(value, (SecretStr, SecretBytes)):
        return None
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    fingerprint = getattr(value, "fingerprint", None)
    if isinstance(fingerprint, str):
        return {"fingerprint": fingerprint}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, BaseModel):
        return _plain(dict(value))  # extra fields are among them
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Set):
        return sorted((_plain(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, functools.partial):
        return [_plain(value.func), _plain(list(value.args)), _plain(value.keywords)]
    pattern = getattr(value, "pattern", None)  # compiled regular expressions
    if isinstance(pattern, str) and hasattr(value, "flags"):
        return {"pattern": pattern, "flags": int(value.flags)}
    name = getattr(value, "__qualname__", None)
    if isinstance(name, str) and "<lambda>" not in name and "<locals>" not in name:
        qualified = f"{getattr(value, '__module__', None) or 'builtins'}.{name}"  # str.lower has no module
        return [qualified, _plain(value.__self__)] if inspect.ismethod(value) else qualified
    raise ConfigError(
        f"an option of type {type(value).__name__} has no fingerprint: use plain values or a named function, give "
        "the object a `fingerprint` string, or override fingerprint_data()"
    )


_SECRET = re.compile(r"(key|token|secret|password|passwd|authorization|credentials?)$", re.IGNORECASE)
_LONGEST = 200


def shown(value: Any, name: str = "") -> Any:
    """An option as people may read it: no secrets, nothing long (it could be note text), no objects; JSON-ready.

    Args:
        value: the option's value.
        name: its name; a string is hidden where the name says that it is a secret.

    >>> shown({"api_key": "sk-123", "model": "gpt"})
    {'api_key': '(hidden)', 'model': 'gpt'}
    """
    if isinstance(value, (SecretStr, SecretBytes)) or (isinstance(value, str) and _SECRET.search(name)):
        return "(hidden)"
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (str, list, tuple, Set, Mapping)) and len(value) > _LONGEST:
        return f"({type(value).__name__} of {len(value)})"
    if isinstance(value, str):
        return re.sub(r"(?<=//)[^/@\s]*@|(?<=[?&])\w*password=[^&\s]*", "", value)  # passwords in addresses
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        hidden = name.lower().endswith("headers")  # what is sent with requests is often a secret, by any name
        return {str(key): "(hidden)" if hidden else shown(item, str(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [shown(item, name) for item in value]
    if isinstance(value, Set):
        return sorted((shown(item, name) for item in value), key=str)
    return f"({type(value).__name__})"

import copy
import dataclasses
import enum
import functools
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr

from clinidistill.component import Component, digest
from clinidistill.errors import ConfigError


class Marker(Component):
    def __init__(self, pattern: str, label: str = "drug", *, name: str | None = None, key: SecretStr | None = None):
        self.pattern = pattern


class Open(Component):
    def __init__(self, first: int, /, *rest: int, flag: bool = False, **more: Any):
        pass


class Plain(Component):
    pass


class Grade(enum.Enum):
    HIGH = "high"


def shorten(text: str) -> str:
    return text[:3]


class Cutter:
    def __init__(self, length: int):
        self.length = length

    @property
    def fingerprint(self) -> str:
        return str(self.length)

    def cut(self, text: str) -> str:
        return text[: self.length]


OPTIONS = {
    "pattern": r"\w+pril",
    "label": {"b", "a", "c", "é"},
}
SCRIPT = f"""
from clinidistill.component import Component
class Marker(Component):
    __module__ = {__name__!r}
    def __init__(self, pattern, label="drug", *, name=None, key=None): ...
print(Marker(**{OPTIONS!r}).fingerprint)
"""


def test_options_hold_arguments_and_defaults_without_a_call_of_super():
    marker = Marker("x", name="mine")
    assert marker.options == {"pattern": "x", "label": "drug", "name": "mine", "key": None}


def test_options_hold_positional_only_starred_and_keyword_arguments():
    assert Open(1, 2, 3, flag=True, depth=4).options == {"first": 1, "rest": (2, 3), "flag": True, "depth": 4}


def test_options_cannot_be_changed_from_outside():
    marker = Marker("x")
    marker.options["pattern"] = "y"
    assert marker.options["pattern"] == "x"


def test_a_class_without_init_takes_no_options():
    assert Plain().options == {}
    with pytest.raises(TypeError, match="Plain: got an unexpected keyword argument 'depth'"):
        Plain(depth=1)


def test_a_wrong_call_is_reported_by_the_class_itself():
    with pytest.raises(TypeError, match=r"Marker.__init__\(\) missing 1 required positional argument: 'pattern'"):
        Marker()


def test_a_subclass_has_the_options_of_its_own_init():
    class Drug(Marker):
        def __init__(self, depth: int = 2):
            super().__init__("x" * depth)

    assert Drug(3).options == {"depth": 3}


def test_a_subclass_does_not_go_by_the_name_its_parent_is_registered_under():
    class Named(Plain):
        registered_name = "named"

    class Child(Named):
        pass

    assert (Named.registered_name, Child.registered_name) == ("named", None)


def test_the_signature_is_that_of_init():
    assert list(inspect.signature(Marker).parameters) == ["pattern", "label", "name", "key"]
    assert not inspect.signature(Plain).parameters


def test_a_frozen_dataclass_can_be_a_component():
    @dataclasses.dataclass(frozen=True)
    class Frozen(Component):
        depth: int = 1

    assert Frozen(2).options == {"depth": 2}
    assert list(inspect.signature(Frozen).parameters) == ["depth"]


def test_a_class_with_slots_can_be_a_component():
    class Slotted(Component):
        __slots__ = ("depth",)

        def __init__(self, depth: int):
            self.depth = depth

    copied = copy.copy(Slotted(3))
    assert (copied.depth, copied.options) == (3, {"depth": 3})


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_has_the_same_options_and_fingerprint(duplicate):
    marker = Marker("x", "disease")
    copied = duplicate(marker)
    assert copied is not marker
    assert (copied.options, copied.fingerprint, copied.pattern) == (marker.options, marker.fingerprint, "x")


def test_components_made_alike_have_one_fingerprint():
    assert Marker("x").fingerprint == Marker(pattern="x", label="drug").fingerprint
    assert re.fullmatch("[0-9a-f]{32}", Marker("x").fingerprint)


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_a_fingerprint_is_the_same_in_another_process(hash_seed):
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == Marker(**OPTIONS).fingerprint


def test_a_fingerprint_changes_with_an_option_the_version_and_the_class():
    class Other(Marker):
        pass

    class Newer(Marker):
        __qualname__ = Marker.__qualname__
        version = "2"

    prints = {each.fingerprint for each in (Marker("x"), Marker("y"), Marker("x", "disease"), Other("x"), Newer("x"))}
    assert len(prints) == 5


def test_a_display_name_and_a_secret_leave_the_fingerprint_alone():
    assert Marker("x", name="mine", key=SecretStr("a")).fingerprint == Marker("x").fingerprint
    assert Marker("x", key=SecretStr("a")).fingerprint == Marker("x", key=SecretStr("b")).fingerprint


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")
    depth: int = 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Path("a"), Path("b")),
        (b"a", b"b"),
        (Grade.HIGH, "low"),
        ({"a": 1}, {"a": 2}),
        ([1, 2], [2, 1]),
        ({1, 2}, {1, 3}),
        (shorten, str.lower),
        (str.upper, str.lower),
        (Marker, Open),
        (functools.partial(shorten, "a"), functools.partial(shorten, "b")),
        (re.compile("a"), re.compile("a", re.IGNORECASE)),
        (Marker("x"), Marker("y")),
        (Cutter(1), Cutter(2)),
        (Cutter(1).cut, Cutter(2).cut),
        (Loose(depth=1), Loose(depth=2)),
        (Loose(wide=1), Loose(wide=2)),
        (1, True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_different_values_have_different_digests(one, other):
    assert digest(one) == digest(copy.deepcopy(one))
    assert digest(one) != digest(other)


@pytest.mark.parametrize("value", [object(), lambda text: text, {"deep": [object()]}], ids=lambda v: type(v).__name__)
def test_what_cannot_be_hashed_is_refused_with_a_cure(value):
    with pytest.raises(ConfigError, match="has no fingerprint: use plain values or a named function"):
        Marker(value).fingerprint  # noqa: B018

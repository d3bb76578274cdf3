"""Things that go away warn in time, where they are used, and are gone when they said they would be."""

import ast
import importlib
import sys
from pathlib import Path

import pytest
from packaging.version import Version

import clinidistill as cd
from clinidistill import deprecation
from clinidistill.component import Component
from clinidistill.deprecation import deprecated, warn_deprecated

PACKAGE = Path(cd.__file__).parent
WHEN = {"since": "0.2", "removed_in": "0.3"}


def announced(source: str, name: str = "") -> list[tuple[str, int, Version, Version]]:
    """Each announcement in a module: where it is, since when, and the version that it names."""
    found = []
    for node in ast.walk(ast.parse(source, name)):
        if (
            isinstance(node, ast.Call)
            and getattr(node.func, "id", getattr(node.func, "attr", "")) in deprecation.__all__
        ):
            given = {
                keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords if keyword.arg != "instead"
            }
            found.append((name, node.lineno, Version(given["since"]), Version(given["removed_in"])))
    return found


def overdue(announcements, version: Version) -> list[tuple[str, int]]:
    return [(name, line) for name, line, _, removed_in in announcements if removed_in <= version]


def ours():
    files = (file for file in PACKAGE.rglob("*.py") if file.name != "deprecation.py")
    return [each for file in files for each in announced(file.read_text(encoding="utf-8"), file.as_posix())]


def test_nothing_outlives_the_version_that_was_to_remove_it():
    assert overdue(ours(), Version(cd.__version__)) == []


def test_everything_warns_for_a_minor_version_at_least():
    assert [each for each in ours() if each[2].release[:2] >= each[3].release[:2]] == []


def test_what_is_overdue_is_found():
    source = (
        "@deprecated(since='0.1', removed_in='0.3', instead='x')\n"
        "def f():\n"
        "    warn_deprecated('y', since='1', removed_in='2', instead='z')\n"
    )
    found = announced(source, "a.py")
    assert overdue(found, Version("0.2.9")) == []
    assert overdue(found, Version("0.3.0")) == [("a.py", 1)]
    assert overdue(found, Version("2.0")) == [("a.py", 1), ("a.py", 3)]


def test_a_function_warns_where_it_is_called():
    @deprecated(**WHEN, instead="new()")
    def old(x):
        return x + 1

    with pytest.warns(
        DeprecationWarning, match=r"old is deprecated since clinidistill 0.2 and goes in 0.3; use new\(\)"
    ) as seen:
        assert old(1) == 2
    assert seen[0].filename == __file__


def test_a_class_warns_when_it_is_made_or_subclassed_and_keeps_its_options():
    @deprecated(**WHEN, instead="New")
    class Old(Component):
        def __init__(self, depth: int = 1): ...

    with pytest.warns(DeprecationWarning, match="use New") as seen:
        old = Old(depth=2)
    assert (old.options, seen[0].filename) == ({"depth": 2}, __file__)
    with pytest.warns(DeprecationWarning, match="use New"):
        type("Mine", (Old,), {})


def test_an_option_warns_where_the_component_is_made():
    class Renamed(Component):
        def __init__(self, depth: int | None = None, levels: int = 1):
            if depth is not None:
                warn_deprecated("the option depth of Renamed", **WHEN, instead="levels")
                levels = depth
            self.levels = levels

    with pytest.warns(DeprecationWarning, match="the option depth of Renamed is deprecated") as seen:
        assert Renamed(3).levels == 3
    assert seen[0].filename == __file__


def test_a_module_s_attribute_warns_at_the_first_caller_outside_the_package_and_hands_on(tmp_path, monkeypatch):
    (tmp_path / "moved.py").write_text(
        "from clinidistill.deprecation import warn_deprecated\n"
        "def __getattr__(name):\n"
        "    if name == 'old':\n"
        "        warn_deprecated('moved.old', since='0.2', removed_in='0.3', instead='moved.new')\n"
        "        return 7\n"
        "    raise AttributeError(name)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "moved", importlib.import_module("moved"))
    import moved

    monkeypatch.setattr(moved, "__name__", "clinidistill.moved")
    with pytest.warns(DeprecationWarning, match=r"use moved\.new") as seen:
        from moved import old
    assert (old, seen[0].filename) == (7, __file__)

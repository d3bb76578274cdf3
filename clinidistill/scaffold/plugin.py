"""A complete package around one component: source, tests, entry point."""

from __future__ import annotations

import importlib.resources
import importlib.util
import keyword
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from clinidistill import __version__
from clinidistill.errors import ConfigError
from clinidistill.registry import Group, registry

__all__ = ["KINDS", "Kind", "new_plugin"]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a package can be made around.

    Args:
        group: the registry's group that its component comes into.
        base: the abstract class, as a name in ``clinidistill``.
        summary: what the component that is written does, for ``description`` in its pyproject.toml.
    """

    group: Group
    base: str
    summary: str


KINDS: Mapping[str, Kind] = {
    "teacher": Kind("teachers", "Teacher", "A teacher for clinidistill: marks what regular expressions match."),
    "student": Kind("students", "Student", "A student for clinidistill: remembers the strings that were marked."),
    "dataset": Kind("datasets", "Dataset", "A dataset format for clinidistill: notes and mentions in lines of cells."),
    "aggregator": Kind("aggregators", "Aggregator", "An aggregator for clinidistill: votes by weights of teachers."),
    "provider": Kind("providers", "Provider", "A language model API for clinidistill."),
    "terminology": Kind("terminologies", "Terminology", "A terminology format for clinidistill: a concept a line."),
}
"""The kinds of :func:`new_plugin` by name."""

_FILES = {
    "pyproject.toml": "package/pyproject.toml",
    "README.md": "package/README.md",
    ".gitignore": "package/gitignore",
    "src/{module}/__init__.py": "{kind}/plugin.py",
    "tests/test_{module}.py": "{kind}/test_plugin.py",
}
_NAME = re.compile(r"[a-z](?:[a-z0-9]|[-_.]+(?=[a-z0-9]))*")  # as PEP 508 has it, but for a digit in front


def new_plugin(kind: str, name: str, folder: str | Path | None = None) -> Path:
    """Write a package with a working component of a kind, its tests and its entry point.

    Args:
        kind: one of :data:`KINDS`.
        name: of the package, and of the component in it; its module's name has underscores for hyphens.
        folder: where to; made if absent. None makes one with the package's name here.

    Returns:
        The folder.

    Raises:
        ConfigError: if the kind is unknown, the name is none for a package or taken, or the folder is not empty or
            cannot be written.
    """
    if kind not in KINDS:
        raise ConfigError(f"no kind of plugin is called {kind!r}; kinds: {', '.join(KINDS)}")
    about, name = KINDS[kind], _normal(name)
    module, cls = name.replace("-", "_"), _class_name(name, kind)
    _check_free(name, module, kind)
    folder = Path(name if folder is None else folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is there already and not an empty folder; name another with --output")
    values = {"name": name, "module": module, "cls": cls, "kind": kind, "group": about.group, "base": about.base}
    values |= {"summary": about.summary, "clinidistill": __version__, "variable": f"{module.upper()}_KEY"}
    values["usage"] = _rendered(f"{kind}/usage.py", values)
    texts = {target: _rendered(template.format(kind=kind), values) for target, template in _FILES.items()}
    try:
        for target, text in texts.items():
            file = folder / target.format(module=module)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        (folder / "src" / module / "py.typed").touch()
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}; name another with --output") from None
    return folder


def _rendered(template: str, values: Mapping[str, str]) -> str:
    file = importlib.resources.files("clinidistill.scaffold") / "templates" / f"{template}.tmpl"
    return Template(file.read_text(encoding="utf-8")).substitute(values)


def _normal(name: str) -> str:
    """A package's name as PEP 503 writes it."""
    if not _NAME.fullmatch(name.lower()):
        raise ConfigError(
            f"{name!r} is no name for a package: begin with a letter, go on with letters, digits and hyphens, as in "
            "my-teacher"
        )
    return re.sub(r"[-_.]+", "-", name).lower()


def _class_name(name: str, kind: str) -> str:
    """``MyTeacher`` for ``my-teacher`` and ``my`` alike."""
    words = name.split("-")
    return "".join(word.capitalize() for word in (words if words[-1] == kind else [*words, kind]))


def _check_free(name: str, module: str, kind: str) -> None:
    if keyword.iskeyword(module):
        raise ConfigError(f"{name!r} is a word of Python itself, and cannot be imported; say, my-{name}")
    if module in sys.stdlib_module_names or importlib.util.find_spec(module) is not None:
        raise ConfigError(
            f"a module called {module!r} can be imported already; choose another name, say clinidistill-{name}"
        )
    group = KINDS[kind].group
    if name in registry(group).names():
        raise ConfigError(f"{name!r} names one of the {group} already: `clinidistill plugins {group}`; choose another")

"""The public API as text, a line a name: ``python tests/public_api.py`` writes it to tests/public_api.txt.

Public is what ``clinidistill.__all__`` names, what docs/stability.md names besides, the errors, and the
names and options of the built-in components, which recipes hold. Annotations are the source's own words, so that every
version of Python gives the same text.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ForwardRef

from pydantic import BaseModel

import clinidistill as cd
from clinidistill.registry import GROUPS, registry

SNAPSHOT = Path(__file__).with_suffix(".txt")

BESIDES = {
    "clinidistill.datasets.files": ["Block", "FileDataset", "Line", "LineFormat"],
    "clinidistill.distiller.settings": ["Settings"],
    "clinidistill.interop.fhir": ["EXTENSION", "fhir_bundle"],
    "clinidistill.interop.omop": ["OmopConcepts", "note_nlp", "write_note_nlp"],
    "clinidistill.llm": ["BatchProvider", "Message", "Prompt", "Provider", "Reply", "Token", "Usage"],
    "clinidistill.llm.provider": ["BatchAnswer", "BatchState", "Flow", "RateLimits"],
    "clinidistill.progress": ["track"],
    "clinidistill.scale": ["Summary", "evaluate_dataset", "label_dataset", "predict_dataset"],
    "clinidistill.scale.spark": ["predict_udf"],
    "clinidistill.students.base": ["METADATA_FILE", "Doubts", "as_documents", "read_metadata"],
    "clinidistill.students.trainable": ["TrainableStudent"],
    "clinidistill.terminologies.files": ["open_bytes", "read_lines"],
    "clinidistill.testing": [
        "ConformanceError", "Rule", "check_aggregator", "check_dataset", "check_provider", "check_student",
        "check_teacher", "check_terminology",
    ],
    "clinidistill.types.span": ["flatten"],
}  # fmt: skip
"""What is public besides ``clinidistill.__all__``; docs/stability.md lists the same."""


def public_api() -> str:
    """All of it."""
    sections = {"clinidistill": [*cd.__all__], "clinidistill.errors": [*cd.errors.__all__], **BESIDES}
    lines: list[str] = []
    for module, names in sections.items():
        lines += ["", f"# {module}", ""]
        home = importlib.import_module(module)
        for name in sorted(names):
            lines += described(name, getattr(home, name))
    for group in GROUPS:
        lines += ["", f"# {group} by name, and their options", ""]
        for info in registry(group).available():
            if info.package == "clinidistill":
                lines.append(f"{info.name}{signature(registry(group).get(info.name))}")
    return "\n".join(lines).lstrip() + "\n"


def described(name: str, thing: Any) -> Iterator[str]:
    if inspect.isclass(thing):
        bases = [base.__name__ for base in thing.__bases__ if base is not object]
        yield f"class {name}({', '.join(bases)})"
        if thing.__init__ is not object.__init__ or issubclass(thing, tuple):
            yield f"    {name}{signature(thing)}"
        yield from (f"    {line}" for line in members(thing))
    elif callable(thing):
        yield f"{name}{signature(thing)}"
    elif inspect.ismodule(thing) or name == "__version__":
        yield name
    else:
        yield f"{name}: {type(thing).__name__}"


def members(cls: type) -> Iterator[str]:
    """Public methods, properties and attributes, inherited ones of ours among them."""
    fields = {field.name for field in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else set()
    found: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        if not owner.__module__.startswith("clinidistill") or owner is cls and issubclass(cls, tuple):
            continue
        for name, annotation in inspect.get_annotations(owner).items():
            found[name] = f"{name}: {words(annotation)}"
        for name, value in vars(owner).items():
            found[name] = member(name, value) or found.get(name, name)
    for name, text in sorted(found.items()):
        if not name.startswith(("_", "model_")) and name not in fields:
            yield text


def member(name: str, value: Any) -> str | None:
    """A method or property; None for a plain attribute."""
    abstract = "abstract " if getattr(value, "__isabstractmethod__", False) else ""
    if isinstance(value, (property, cached_property)):
        getter = value.fget if isinstance(value, property) else value.func
        return f"{abstract}property {name}: {words(getter.__annotations__.get('return', inspect.Parameter.empty))}"
    if isinstance(value, (classmethod, staticmethod)):
        return f"{abstract}{type(value).__name__} {name}{signature(value.__func__)}"
    return f"{abstract}{name}{signature(value)}" if inspect.isfunction(value) else None


def signature(thing: Any) -> str:
    if inspect.isclass(thing) and issubclass(thing, BaseModel):
        fields = [f"{name}{' = ...' if not field.is_required() else ''}" for name, field in thing.model_fields.items()]
        return f"({', '.join(['*', *fields])})"
    try:
        found = inspect.signature(thing)
    except ValueError:  # of a class in C
        return "(...)"
    parts, keyword_only, positional_only = [], False, False
    for parameter in found.parameters.values():
        if positional_only and parameter.kind is not parameter.POSITIONAL_ONLY:
            parts.append("/")
        positional_only = parameter.kind is parameter.POSITIONAL_ONLY
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            parts.append("*")
        keyword_only = keyword_only or parameter.kind in {parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL}
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        annotation = words(parameter.annotation)
        parts.append(
            stars
            + parameter.name
            + (f": {annotation}" if annotation else "")
            + ("" if parameter.default is parameter.empty else f" = {plain(parameter.default)}")
        )
    parts += ["/"] * positional_only
    returns = words(found.return_annotation)
    return f"({', '.join(parts)})" + (f" -> {returns}" if returns else "")


def words(annotation: Any) -> str:
    """An annotation as the source has it; nothing where it was evaluated: versions of Python differ there."""
    if isinstance(annotation, ForwardRef):
        annotation = annotation.__forward_arg__
    return annotation if isinstance(annotation, str) else ""


def plain(default: Any) -> str:
    if isinstance(default, (frozenset, set)):
        return f"{{{', '.join(sorted(map(repr, default)))}}}"
    if default is None or isinstance(default, (bool, int, float, str)):
        return repr(default)
    return "()" if default == () else "..."


if __name__ == "__main__":
    SNAPSHOT.write_text(public_api(), encoding="utf-8")
    print(f"wrote {SNAPSHOT}")

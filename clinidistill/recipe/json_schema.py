"""What a declared run may say as JSON Schema, so that editors complete it and check it while it is written."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ConfigDict, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError
from pydantic_core import PydanticSerializationError, SchemaError, to_jsonable_python

from clinidistill.component import Component
from clinidistill.recipe.declared import Declared
from clinidistill.registry import Group, option_types, registry

__all__ = ["json_schema"]

_GROUPS: Mapping[str, Group] = {
    "source": "datasets", "train": "datasets", "dev": "datasets", "test": "datasets", "pool": "datasets",
    "search": "datasets", "external": "datasets", "datasets": "datasets", "teachers": "teachers",
    "aggregator": "aggregators", "aggregators": "aggregators", "student": "students",
}  # fmt: skip
"""What components stand under a key; keys mean the same in all declared runs."""
_TRAININGS = ("distiller", "baseline_distiller", "gold_last")
_CONFIG = ConfigDict(arbitrary_types_allowed=True)
_ARGUMENT = re.compile(r"^ {4}(\w+(?:, \w+)*): (.+(?:\n {5,}.+)*)", re.MULTILINE)

Schema = dict[str, Any]


def json_schema(model: type[Declared]) -> Schema:
    """JSON Schema (draft 2020-12) of a declared run.

    What is registered here and now is known by its name, with its options and what they mean; broken components are
    not. What stands behind ``${VARIABLES}``, and what a component finds out of its options when it is made, no schema
    can tell.

    Args:
        model: what the file declares, such as :class:`~clinidistill.Recipe`.
    """
    from clinidistill.distiller import Distiller

    whole = TypeAdapter(model).json_schema()
    definitions = whole.setdefault("$defs", {})
    groups = {group: dict(_ready(group)) for group in dict.fromkeys(_GROUPS.values())}
    options, further = _options([Distiller, *(cls for found in groups.values() for cls in found.values())])
    components = {name: table for name, table in definitions.items() if "use" in table.get("properties", {})}
    for table in [whole, *definitions.values()]:
        for key, said in table.get("properties", {}).items():
            for place in _tables(said):
                name = place.get("$ref", "").removeprefix("#/$defs/")
                if key in _GROUPS and name in components:
                    group = _GROUPS[key]
                    own = {key: each for key, each in components[name]["properties"].items() if key != "use"}
                    new = name if own else group
                    definitions = {**definitions, new: _choice(group, groups[group], options, own)}
                    place["$ref"] = f"#/$defs/{new}"
                elif key in _TRAININGS and place.get("additionalProperties") is True:
                    place.clear()
                    place["$ref"] = "#/$defs/Distiller"
    definitions.pop("Component", None)
    definitions |= {"Distiller": _closed(Distiller, options[Distiller]), **further}
    whole["$defs"] = definitions
    _tidy(whole)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole}


def _ready(group: Group) -> Iterator[tuple[str, type[Component]]]:
    found = registry(group)
    return ((info.name, found.get(info.name)) for info in found.available() if info.state == "ready")


def _tables(said: Any) -> Iterator[Schema]:
    """A schema and all within it."""
    if isinstance(said, dict):
        yield said
        for each in list(said.values()):
            yield from _tables(each)
    elif isinstance(said, list):
        for each in said:
            yield from _tables(each)


def _choice(group: Group, classes: Mapping[str, type[Component]], options: Mapping[Any, Schema], own: Schema) -> Schema:
    """A table of ``use`` and options: any of the group's components."""
    use = {"title": "Use", "description": f"Name of one of the {group}.", "enum": list(classes)}
    tables = []
    for name, cls in classes.items():
        table = _closed(cls, {"use": {"const": name}, **options[cls], **own})
        tables.append({**table, "title": name, "required": ["use", *table["required"]]})
    return {"type": "object", "properties": {"use": use}, "required": ["use"], "anyOf": tables}


def _closed(cls: type[Component], properties: Schema) -> Schema:
    """A table of options of a class, and no others unless it takes any."""
    parameters = inspect.signature(cls).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in {p.VAR_POSITIONAL, p.VAR_KEYWORD}]
    return {
        "title": cls.__name__,
        "description": (inspect.getdoc(cls) or "").partition("\n\n")[0],
        "type": "object",
        "properties": properties,
        "required": needed,
        "additionalProperties": any(p.kind is p.VAR_KEYWORD for p in parameters),
    }


def _options(classes: Iterable[type[Component]]) -> tuple[dict[type[Component], Schema], Schema]:
    """Schemas of the options of classes, by class and name; and the definitions that they refer to."""
    adapters = {(cls, name): each for cls in classes for name, each in _adapters(cls)}
    inputs = [(key, "validation", adapter) for key, adapter in adapters.items() if adapter is not None]
    made, defined = TypeAdapter.json_schemas(inputs, ref_template="#/$defs/options.{model}")  # type: ignore[arg-type]
    schemas: dict[type[Component], Schema] = {cls: {} for cls in classes}
    for cls, name in adapters:
        said = {"title": name, **made.get(((cls, name), "validation"), {})}
        if (text := _arguments(cls).get(name)) is not None:
            said["description"] = text
        default = inspect.signature(cls).parameters[name].default
        if default is not inspect.Parameter.empty and default is not None:
            with contextlib.suppress(PydanticSerializationError):
                said["default"] = to_jsonable_python(default)
        schemas[cls][name] = said
    return schemas, {f"options.{name}": said for name, said in defined.get("$defs", {}).items()}


def _adapters(cls: type[Component]) -> Iterator[tuple[str, TypeAdapter[Any] | None]]:
    """The options of a class by name; None for those whose type no schema can tell."""
    types = option_types(cls)
    for parameter in inspect.signature(cls).parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            continue
        try:
            adapter = TypeAdapter(types[parameter.name], config=_CONFIG)
            adapter.json_schema()
        except (KeyError, PydanticUserError, PydanticInvalidForJsonSchema, SchemaError, TypeError):
            yield parameter.name, None
        else:
            yield parameter.name, adapter


def _arguments(cls: type[Component]) -> dict[str, str]:
    """What docstrings say of each argument: that of ``__init__``, those of what it inherits from, its own last."""
    said: dict[str, str] = {}
    for source in (cls.__init__, *reversed(cls.__mro__)):
        section = inspect.cleandoc(source.__doc__ or "").partition("Args:\n")[2].partition("\n\n")[0]
        said |= {
            name: " ".join(text.split()) for names, text in _ARGUMENT.findall(section) for name in names.split(", ")
        }
    return said


def _tidy(whole: Schema) -> None:
    """Descriptions as editors show them, without the markup of Sphinx; no defaults that TOML cannot say."""
    for table in _tables(whole):
        if table.get("default", ...) is None:
            del table["default"]
        if isinstance(text := table.get("description"), str):
            text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text).replace("``", "`")
            table["description"] = re.sub(r"(?<!\n)\n(?!\n)", " ", text)

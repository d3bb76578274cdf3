"""FHIR CodeSystem resources as a clinidistill terminology."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import clinidistill as cd
from clinidistill.terminologies.files import open_bytes

__all__ = ["CodeSystem"]


class CodeSystem(cd.Terminology):
    """A FHIR CodeSystem in JSON: concepts with displays, designations and concepts below them.

    A concept's types are the displays of those above it. The format: https://hl7.org/fhir/codesystem.html

    Args:
        path: the file; ``.gz`` too.
        languages: languages of the designations that are taken, as BCP 47 tags; None takes all.
        name: how it is called; None takes the file's name.

    Iterating raises:
        DataError: if the file holds no CodeSystem, or a concept without a code.
    """

    suffixes = (".fhir.json",)

    def __init__(self, path: str | Path, languages: Sequence[str] | None = None, *, name: str | None = None):
        self.path = Path(path)
        self.languages = languages

    def source_files(self) -> Sequence[Path]:
        return [self.path]

    def __iter__(self) -> Iterator[cd.Concept]:
        with open_bytes(self.path) as file:
            try:
                resource = json.load(file)
            except json.JSONDecodeError as error:
                raise cd.errors.DataError(f"no JSON: {error.msg}", path=self.path, line=error.lineno) from None
            except (ValueError, RecursionError):
                raise cd.errors.DataError("no JSON in UTF-8 that can be read", path=self.path) from None
        if not isinstance(resource, dict) or resource.get("resourceType") != "CodeSystem":
            raise cd.errors.DataError("no CodeSystem: its resourceType says so", path=self.path)
        try:
            yield from self._concepts(resource.get("concept", []), ())
        except (KeyError, TypeError, AttributeError) as error:
            reason = f"a concept is not as FHIR has it ({type(error).__name__})"
            raise cd.errors.DataError(reason, path=self.path) from None

    def _concepts(self, concepts: Sequence[dict[str, Any]], above: tuple[str, ...]) -> Iterator[cd.Concept]:
        for each in concepts:
            display = each.get("display", each["code"])
            others = [
                designation["value"]
                for designation in each.get("designation", [])
                if self.languages is None or designation.get("language") in self.languages
            ]
            yield cd.Concept.named(each["code"], [display, *others], above)
            yield from self._concepts(each.get("concept", []), (*above, display))

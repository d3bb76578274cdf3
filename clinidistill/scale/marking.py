"""A student on notes of which some may be its undoing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from clinidistill.errors import ClinidistillError, ConfigError, describe
from clinidistill.scale.rows import Bad
from clinidistill.students import Student
from clinidistill.types import Document

__all__ = ["Hopeless", "check_hope", "marked"]

_HOPELESS = 16  # documents, all of which fail: then it is not they that are at fault


class Hopeless(ClinidistillError):
    """All notes of a block failed: it may not be they that are at fault."""


def marked(student: Student, documents: list[Document], options: Mapping[str, Any]) -> list[Document | Bad]:
    """Each document with the student's spans, or why there are none, in order.

    What fails together is tried in halves, down to the note that it fails on.

    Raises:
        ConfigError: if the student cannot predict so at all.
    """
    found: list[Document | Bad] = []
    try:
        found.extend(student.predict(documents, **options))
    except ConfigError:
        raise
    except Exception as error:
        rest = documents[len(found) :]
        if len(rest) == 1:
            return [*found, Bad(rest[0].id, None, describe(error))]
        half = len(rest) // 2
        found += [*marked(student, rest[:half], options), *marked(student, rest[half:], options)]
    return found


def check_hope(marked: Collection[Document | Bad], where: str) -> None:
    """See to it that what fails is some notes, and not the model.

    Raises:
        Hopeless: if all of at least 16 failed; it names `where`.
    """
    failed = [each for each in marked if isinstance(each, Bad)]
    if len(failed) == len(marked) >= _HOPELESS:
        raise Hopeless(f"all {len(failed)} notes of {where} failed, the last of {failed[-1].reason}")

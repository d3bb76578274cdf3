"""Students: small models trained on silver labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from clinidistill.bases import student_kind
from clinidistill.errors import OptionError
from clinidistill.registry import registry
from clinidistill.students.base import Student

__all__ = ["Student", "load_student", "register_student"]

register_student = registry("students").register
"""Class decorator: makes a :class:`Student` loadable by a name."""


def load_student(name_or_folder: str | Path, /, **options: Any) -> Student:
    """A new student by registered name, or a saved one by its folder.

    Args:
        name_or_folder: ``"token-classifier"`` or a plugin's name; or a folder that ``student.save`` wrote (or any
            Hugging Face token classification model, whatever its tag scheme).
        options: for a new student, as it takes them; a saved student takes none.

    Raises:
        RegistryError: if it is neither a folder nor a known name.
        OptionError: if an option is unknown, missing or of the wrong kind.
        DataError: if the folder does not hold a student.
    """
    students = registry("students")
    folder = Path(name_or_folder)
    if not folder.is_dir() or str(name_or_folder) in students.names():
        return cast(Student, students.create(str(name_or_folder), **options))
    if options:
        raise OptionError(f"a saved student takes no options; got {', '.join(sorted(options))}")
    return cast(type[Student], students.get(student_kind(folder))).load(folder)

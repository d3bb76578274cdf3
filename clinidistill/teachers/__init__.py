"""Teachers: terminologies, language models, other models; anything that marks spans."""

from __future__ import annotations

from typing import Any, cast

from clinidistill.registry import registry
from clinidistill.teachers.base import Teacher

__all__ = ["Teacher", "load_teacher", "register_teacher"]

register_teacher = registry("teachers").register
"""Class decorator: makes a :class:`Teacher` loadable by a name."""


def load_teacher(name: str, /, **options: Any) -> Teacher:
    """The teacher called `name`.

    Args:
        name: ``"terminology"``, or a plugin's.
        options: as that teacher takes them.

    Raises:
        RegistryError: if the name is unknown, claimed twice, or its package is broken.
        OptionError: if an option is unknown, missing or of the wrong kind.
    """
    return cast(Teacher, registry("teachers").create(name, **options))

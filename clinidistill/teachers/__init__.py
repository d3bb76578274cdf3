"""Teachers: terminologies, language models, other models; anything that marks spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from clinidistill.registry import registry
from clinidistill.teachers.base import Teacher

if TYPE_CHECKING:
    from clinidistill.teachers.language_model import LanguageModelTeacher as LanguageModelTeacher

__all__ = ["LanguageModelTeacher", "Teacher", "load_teacher", "register_teacher"]

register_teacher = registry("teachers").register
"""Class decorator: makes a :class:`Teacher` loadable by a name."""


def load_teacher(name: str, /, **options: Any) -> Teacher:
    """The teacher called `name`.

    Args:
        name: ``"terminology"``, ``"openai"``, ``"gemini"``, ``"anthropic"``, ``"recorded"``, ``"transformers-llm"``,
            ``"transformer"``, ``"llm"`` (any provider), or a plugin's.
        options: as that teacher takes them.

    Raises:
        RegistryError: if the name is unknown, claimed twice, or its package is broken.
        OptionError: if an option is unknown, missing or of the wrong kind.
    """
    return cast(Teacher, registry("teachers").create(name, **options))


def __getattr__(name: str) -> Any:
    """Language models bring httpx in, and are imported when they are asked for."""
    if name == "LanguageModelTeacher":
        from clinidistill.teachers.language_model import LanguageModelTeacher

        return LanguageModelTeacher
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Conformance kit: whether a component keeps the contract of its kind, rule by rule.

>>> import re
>>> import clinidistill as cd
>>> from clinidistill.testing import ConformanceError, check_teacher
>>> class Pril(cd.Teacher):
...     labels = frozenset({"medication"})
...     def label_document(self, document):
...         data = document.text.encode()
...         return [cd.Span(*m.span(), "medication") for m in re.finditer(rb"\\w+pril", data)]  # bytes!
>>> try:
...     check_teacher(Pril(), [cd.Document("n1", "On lisinopril.")])
... except ConformanceError as error:
...     error.rule
'teacher/offsets'

Each ``check_…`` takes an instance, and samples where its own would not do; ``pytest --clinidistill`` has one test for
each rule. The rules are in docs/conformance.md.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clinidistill.testing.aggregator import check_aggregator as check_aggregator
    from clinidistill.testing.dataset import check_dataset as check_dataset
    from clinidistill.testing.provider import check_provider as check_provider
    from clinidistill.testing.rules import ConformanceError as ConformanceError
    from clinidistill.testing.rules import Rule as Rule
    from clinidistill.testing.student import check_student as check_student
    from clinidistill.testing.teacher import check_teacher as check_teacher
    from clinidistill.testing.terminology import check_terminology as check_terminology

_HOMES = {
    "ConformanceError": "rules",
    "Rule": "rules",
    "check_aggregator": "aggregator",
    "check_dataset": "dataset",
    "check_provider": "provider",
    "check_student": "student",
    "check_teacher": "teacher",
    "check_terminology": "terminology",
}

__all__ = [
    "ConformanceError",
    "Rule",
    "check_aggregator",
    "check_dataset",
    "check_provider",
    "check_student",
    "check_teacher",
    "check_terminology",
]


def __getattr__(name: str) -> Any:
    """Each kind's rules are imported when they are asked for: pytest imports this room at every start."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)

"""Teachers of the terminologies that the paper used, from their publishers' releases."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from clinidistill.teachers.over import init_over
from clinidistill.teachers.terminology import TerminologyTeacher
from clinidistill.terminologies.rxnorm import RxNorm
from clinidistill.terminologies.snomed import Snomed

__all__ = ["RxNormTeacher", "SnomedTeacher"]


class RxNormTeacher(TerminologyTeacher):
    """RxNorm from NLM's RRF release: marks medications, with RXCUIs.

    Takes the options of :class:`~clinidistill.terminologies.rxnorm.RxNorm` (`path`, `prescribable`, `term_types`,
    `code`, …) and those of :class:`TerminologyTeacher` but `terminology`; `label` is ``"medication"`` by default.
    """

    __init__ = init_over(TerminologyTeacher, RxNorm, hidden={"path"}, defaults={"label": "medication"})

    @cached_property
    def name(self) -> str:
        return self.options.get("name") or "rxnorm"


def _preset(theirs: dict[str, Any], ours: Mapping[str, Any]) -> None:
    """The label says which part of SNOMED CT is meant, where no filter does."""
    if ours["label"] in _PRESETS and not any(theirs.get(name) for name in ("preset", "under", "without", "tags")):
        theirs["preset"] = ours["label"]


_PRESETS = ("disease", "symptom")


class SnomedTeacher(TerminologyTeacher):
    """SNOMED CT from an RF2 release: marks diseases, symptoms or other concepts, with SCTIDs.

    Takes the options of :class:`~clinidistill.terminologies.snomed.Snomed` (`path`, `preset`, `under`, `tags`,
    `dialect`, …) and those of :class:`TerminologyTeacher` but `terminology`. The labels ``"disease"`` and
    ``"symptom"`` choose the preset of that name where none of `preset`, `under`, `without` and `tags` is given; any
    other label takes all concepts unless they are chosen.
    """

    __init__ = init_over(TerminologyTeacher, Snomed, hidden={"path"}, prepare=_preset)

    @cached_property
    def name(self) -> str:
        return self.options.get("name") or f"snomed-{self._label}"

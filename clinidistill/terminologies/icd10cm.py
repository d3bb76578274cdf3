"""ICD-10-CM, the tabular list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from clinidistill.errors import DataError
from clinidistill.terminologies.base import Concept, Terminology
from clinidistill.terminologies.xml_concepts import ConceptReader

__all__ = ["Icd10Cm"]


class Icd10Cm(Terminology):
    """The ICD-10-CM tabular list as the CDC publishes it (``icd10cm-tabular-….xml``).

    Codes of all levels are concepts, with their inclusion terms as synonyms; chapter and section are the types,
    e.g. ``"chapter 18"`` and ``"R00-R09"``.

    Args:
        path: the XML file, ``.gz`` too.
        chapters: only these chapters, by number: chapter 18 holds the symptoms.
        prefixes: only codes that begin with one of these, e.g. ``["R", "G43"]``.
        name: how the terminology is called.

    Iterating raises:
        DataError: with file and line, where it is not well-formed, declares entities, is not a tabular list,
            or holds no code that was asked for.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".xml",)

    def __init__(
        self,
        path: str | Path,
        *,
        chapters: Sequence[str | int] | None = None,
        prefixes: Sequence[str] | None = None,
        name: str | None = None,
    ):
        self.path = Path(path)
        self._chapters = None if chapters is None else {f"chapter {chapter}" for chapter in chapters}
        self._prefixes = None if prefixes is None else tuple(prefix.upper() for prefix in prefixes)

    def source_files(self) -> Sequence[Path]:
        return [self.path]

    def __iter__(self) -> Iterator[Concept]:
        found = False
        for concept in _Reader(self.path).read():
            if self._chapters is not None and not concept.types & self._chapters:
                continue
            if self._prefixes is not None and not concept.code.startswith(self._prefixes):
                continue
            found = True
            yield concept
        if not found:
            raise DataError(
                'no codes of the chapters and prefixes asked for; chapters have numbers such as "18", prefixes are '
                'beginnings of codes such as "R"',
                path=self.path,
            )


@dataclass(slots=True)
class _Diagnosis:
    line: int
    code: str = ""
    terms: list[str] = field(default_factory=list)
    done: bool = False


class _Reader(ConceptReader):
    def __init__(self, path: Path):
        super().__init__(path)
        self._diagnoses: list[_Diagnosis] = []
        self._chapter = self._section = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self.open) == 1 and tag != "ICD10CM.tabular":
            self.fail(f"its root is <{tag}>, not <ICD10CM.tabular>; take the tabular list, not the index")
        if tag == "section":
            self._section = attributes.get("id", "")
        elif tag == "diag":
            self._finish()
            self._diagnoses.append(_Diagnosis(self.line))

    def end(self, tag: str, text: str) -> None:
        parent = self.open[-1] if self.open else ""
        if tag == "name" and parent == "chapter":
            self._chapter = f"chapter {text}"
        elif tag == "name" and parent == "diag":
            self._diagnoses[-1].code = text
        elif (tag == "desc" and parent == "diag") or (tag == "note" and self.open[-2:] == ["diag", "inclusionTerm"]):
            self._diagnoses[-1].terms.append(text)
        elif tag == "diag":
            self._finish()
            self._diagnoses.pop()

    def _finish(self) -> None:
        """The innermost diagnosis is complete once it ends or, its own terms being first, one within it begins."""
        if not self._diagnoses or self._diagnoses[-1].done:
            return
        diagnosis = self._diagnoses[-1]
        if not diagnosis.code or not any(diagnosis.terms):
            self.fail("a <diag> without <name> or <desc>", diagnosis.line)
        self.done.append(Concept.named(diagnosis.code, diagnosis.terms, filter(None, (self._chapter, self._section))))
        diagnosis.done = True

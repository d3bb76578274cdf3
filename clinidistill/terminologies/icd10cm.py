"""ICD-10-CM, the tabular list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NoReturn
from xml.parsers import expat  # entities need a DOCTYPE, and that is refused

from clinidistill.errors import DataError
from clinidistill.terminologies.base import Concept, Terminology
from clinidistill.terminologies.files import open_bytes

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
        DataError: with file and line, where it is not well-formed, has a DOCTYPE, is not a tabular list, or
            holds no code that was asked for.
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
        for concept in self._concepts():
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

    def _concepts(self) -> Iterator[Concept]:
        reader = _Reader(self.path)
        with open_bytes(self.path) as file:
            while chunk := file.read(1 << 16):
                reader.feed(chunk)
                yield from reader.done
                reader.done.clear()
            reader.feed(b"", last=True)
        yield from reader.done


@dataclass(slots=True)
class _Diagnosis:
    line: int
    code: str = ""
    terms: list[str] = field(default_factory=list)
    done: bool = False


class _Reader:
    """Takes XML in pieces; the concepts read so far are in `done`."""

    def __init__(self, path: Path):
        self.done: list[Concept] = []
        self._path = path
        self._open: list[str] = []
        self._diagnoses: list[_Diagnosis] = []
        self._chapter = self._section = ""
        self._text: list[str] = []
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append

    def feed(self, data: bytes, last: bool = False) -> None:
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as error:
            reason = f"not well-formed XML ({expat.ErrorString(error.code)}); is it whole?"
            raise DataError(reason, path=self._path, line=error.lineno) from None

    def _doctype(self, *_: object) -> NoReturn:
        line = self._parser.CurrentLineNumber
        raise DataError("has a DOCTYPE, which could expand without end; remove it", path=self._path, line=line)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self._open and tag != "ICD10CM.tabular":
            raise DataError(
                f"its root is <{tag}>, not <ICD10CM.tabular>; take the tabular list, not the index",
                path=self._path,
                line=self._parser.CurrentLineNumber,
            )
        self._open.append(tag)
        self._text.clear()
        if tag == "section":
            self._section = attributes.get("id", "")
        elif tag == "diag":
            self._finish()
            self._diagnoses.append(_Diagnosis(self._parser.CurrentLineNumber))

    def _end(self, tag: str) -> None:
        self._open.pop()
        parent = self._open[-1] if self._open else ""
        text = " ".join("".join(self._text).split())
        self._text.clear()
        if tag == "name" and parent == "chapter":
            self._chapter = f"chapter {text}"
        elif tag == "name" and parent == "diag":
            self._diagnoses[-1].code = text
        elif (tag == "desc" and parent == "diag") or (tag == "note" and self._open[-2:] == ["diag", "inclusionTerm"]):
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
            raise DataError("a <diag> without <name> or <desc>", path=self._path, line=diagnosis.line)
        self.done.append(Concept.named(diagnosis.code, diagnosis.terms, filter(None, (self._chapter, self._section))))
        diagnosis.done = True

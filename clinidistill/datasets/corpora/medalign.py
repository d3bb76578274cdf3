"""MedAlign: the notes of 275 longitudinal records, for evaluation only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from clinidistill.datasets.corpora.archives import PublishedFiles
from clinidistill.datasets.corpora.base import Corpus
from clinidistill.datasets.corpora.csv_notes import CsvNotes, Row
from clinidistill.datasets.corpora.ehr_notes import EhrNotes
from clinidistill.datasets.corpora.marks import MarkedNotes, Marks, read_marks
from clinidistill.datasets.files import Block, FileDataset, OnError
from clinidistill.types import Document

__all__ = ["MedAlign"]

_XML = ("ehrs/*.xml", "medalign_ehr_xml/*.xml", "*.xml")
_TABLE = "note.csv"


class MedAlign(Corpus):
    """MedAlign: 46,252 notes in the records of 275 patients of Stanford, with instructions; for evaluation only.

    Where to get it: https://medalign.stanford.edu (through Redivis), after CITI training and signing the MedAlign data
    use agreement, which forbids to train on it and to send it to services that are not bound as HIPAA asks. Point
    `path` at the folder with ``medalign_instructions_v1_3/ehrs/*.xml``, or with the table ``note.csv`` of its OMOP
    files, or at the archive with either; XML is preferred, and streamed.

    Splits: ``test`` alone.

    Documents: each ``<event type="note">`` (or ``<note>``, as in the published sample), or each row of ``note.csv``,
    white space at the ends left out. Its id is ``patient/note``: the file's name and ``note_id``, or the number of the
    note in the file. ``meta`` has ``timestamp`` and ``name``. Instructions and answers are not read.

    Labels: the release has none, so that documents cover nothing. `annotations` brings those that you made: then the
    annotated notes alone are read, with their mentions.

    Fleming et al. 2024, https://arxiv.org/abs/2308.14089

    Args:
        path, split, labels, on_error, complete: see :class:`~clinidistill.datasets.corpora.base.Corpus`.
        annotations: mentions by document id: JSON lines with ``id``, ``spans`` (``start``, ``end``, ``label``) and, if
            you like, ``text`` and ``covers``; or a folder in BRAT, its paths the ids. Where they have the text, it must
            be the note's. What covers nothing by itself covers the labels that occur in the annotations.
    """

    splits = ("test",)
    homepage = "https://medalign.stanford.edu"
    agreement = "MedAlign data use agreement; for evaluation only"
    names = {name: name for name in ("medication", "disease", "symptom")}

    def __init__(
        self,
        path: str | Path,
        split: str | None = None,
        labels: Mapping[str, str] | None = None,
        on_error: OnError = "raise",
        complete: bool = True,
        *,
        annotations: str | Path | None = None,
    ):
        super().__init__(path, split, labels, on_error, complete)
        self.annotations = None if annotations is None else Path(annotations).expanduser()

    def needed(self, split: str, files: PublishedFiles) -> Mapping[str, int]:
        pattern = self._pattern(files)
        return {pattern: 1 if pattern == _TABLE else 275}

    def readers(self, split: str, files: PublishedFiles) -> Iterable[FileDataset]:
        marks = None if self.annotations is None else read_marks(self.annotations)
        pattern = self._pattern(files)
        paths = files.paths(pattern)
        return [_Table(path, marks) for path in paths] if pattern == _TABLE else [EhrNotes(files.root, paths, marks)]

    def fingerprint_data(self) -> Mapping[str, Any]:
        """That of :class:`Corpus`, with the contents of the annotations."""
        if self.annotations is None:
            return super().fingerprint_data()
        with PublishedFiles(self.annotations) as files:
            return {**super().fingerprint_data(), "annotations": files.digests(["*"])}

    @staticmethod
    def _pattern(files: PublishedFiles) -> str:
        return next((each for each in (*_XML, _TABLE) if files.find(each)), _XML[0])


class _Table(MarkedNotes, CsvNotes):
    """OMOP's table of notes."""

    def __init__(self, path: Path, marks: Marks | None):
        CsvNotes.__init__(self, path, "note_text", ("note_id",), ("note_datetime", "note_date", "note_title"))
        self.marks = marks

    def parse(self, block: Block) -> Document:
        assert isinstance(block, Row)
        document = super().parse(block)
        when = {"timestamp": document.meta.get("note_datetime") or document.meta.get("note_date")}
        meta = when | {"name": document.meta.get("note_title")}
        key = f"{block.cells.get('person_id') or '-'}/{document.id}"
        found = {name: value for name, value in meta.items() if value}
        return replace(document, id=key, text=document.text.strip(), meta=found)

"""CORAL: oncology progress notes, annotated in full by oncologists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clinidistill.datasets.corpora.archives import PublishedFiles
from clinidistill.datasets.corpora.base import hashed_split
from clinidistill.datasets.corpora.brat_release import BratRelease
from clinidistill.datasets.corpora.csv_notes import CsvNotes
from clinidistill.datasets.files import FileDataset
from clinidistill.types import Document

__all__ = ["Coral"]

_UNLABELLED = "unannotated/data/*_unannotated.csv"


class Coral(BratRelease):
    """CORAL: 40 progress notes on breast and pancreatic cancer with their symptoms, and 200 without labels.

    Where to get it: https://physionet.org/content/curated-oncology-reports/1.0/, for credentialed users who signed the
    PhysioNet Credentialed Health Data Use Agreement 1.5.0; notes may go to a remote model only where its host is bound
    as that asks. Point `path` at the zip or the folder as downloaded (it holds ``coral/annotated/breastca``, …).

    Splits: there are no official ones. ``train``, ``dev`` and ``test`` share out the 40 annotated notes by a hash of
    their ids (:func:`hashed_split`); whoever only tests on CORAL, as its authors advise, reads all three.
    ``unlabelled`` is the 200 other notes, as a pool; the model's answers that CORAL gives out with them are not read.

    Labels: those of its ``annotation.conf``, ``Symptom``, ``ClinicalCondition``, ``MedicationName``, ``ProcedureName``,
    ``Radiology``, … By default ``Symptom`` is ``symptom`` and the rest is left out. Annotators skipped whole sections
    (physical exams, lists of medications; marked as ``SectionSkip``), so that a symptom there counts as unmarked, and
    medications in lists are not marked at all. ``ClinicalCondition`` is no cancer, hence not all diseases. What is
    marked is any mention, a denied one too.

    Sushil et al. 2024, https://doi.org/10.1056/AIdbp2300110 and https://doi.org/10.13026/v69y-xa45

    Args:
        path, split, labels, on_error, complete: see :class:`~clinidistill.datasets.corpora.base.Corpus`.
    """

    splits = ("train", "dev", "test", "unlabelled")
    homepage = "https://physionet.org/content/curated-oncology-reports/1.0/"
    agreement = "PhysioNet Credentialed Health Data Use Agreement 1.5.0"
    names = {"Symptom": "symptom"}
    folders = dict.fromkeys(("train", "dev", "test"), ("annotated/*", "breastca", "pdac"))
    pairs = dict.fromkeys(("train", "dev", "test"), 40)
    sizes = {"unlabelled": 200}

    def key(self, name: str) -> str:
        return "/".join(name.split("/")[-2:])

    def needed(self, split: str, files: PublishedFiles) -> Mapping[str, int]:
        return {_UNLABELLED: 2} if split == "unlabelled" else super().needed(split, files)

    def readers(self, split: str, files: PublishedFiles) -> Iterable[FileDataset]:
        if split != "unlabelled":
            return super().readers(split, files)
        names, paths = files.find(_UNLABELLED), files.paths(_UNLABELLED)
        kinds = (name.rpartition("/")[2].partition("_")[0] for name in names)
        return [
            CsvNotes(path, "note_text", ("coral_idx",), prefix=f"{kind}/unlabelled/")
            for kind, path in zip(kinds, paths, strict=True)
        ]

    def belongs(self, document: Document, split: str) -> bool:
        return split == "unlabelled" or hashed_split(document.id) == split

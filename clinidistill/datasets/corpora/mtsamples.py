"""MTSamples: transcribed sample reports of many specialties, without labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from clinidistill.datasets.corpora.archives import PublishedFiles
from clinidistill.datasets.corpora.base import Corpus, hashed_split
from clinidistill.datasets.corpora.csv_notes import CsvNotes
from clinidistill.datasets.files import FileDataset
from clinidistill.types import Document

__all__ = ["MtSamples"]


class MtSamples(Corpus):
    """MTSamples: 4,999 transcribed sample reports of 40 specialties, an unlabelled pool.

    Where to get it: https://www.kaggle.com/datasets/tboyle10/medicaltranscriptions (``mtsamples.csv``, declared CC0
    there; collected from https://mtsamples.com, whose reports are samples made for learners).

    The column ``transcription`` is the note, exactly; in the file, commas stand where lines ended. More than half of
    the rows repeat another's note under a second specialty: a note is read once, where it stands first, so that none is
    paid for twice and none stands in two splits. Rows without a note are passed over.

    Splits: there are no official ones; ``train``, ``dev`` and ``test`` are by a hash of the id (:func:`hashed_split`).

    Labels: none; documents cover nothing.

    Args:
        path: the file, the zip that holds it, or a folder with either.
        split, on_error, complete: see :class:`~clinidistill.datasets.corpora.base.Corpus`.
        labels: of no effect; there are none.
    """

    homepage = "https://www.kaggle.com/datasets/tboyle10/medicaltranscriptions"
    agreement = "CC0"
    names = {}
    is_deidentified = True  # published
    needs = {split: {"mtsamples.csv": 1} for split in ("train", "dev", "test")}

    def readers(self, split: str, files: PublishedFiles) -> Iterable[FileDataset]:
        return [_Samples(path) for path in files.paths("mtsamples.csv")]

    def belongs(self, document: Document, split: str) -> bool:
        return hashed_split(document.id) == split


class _Samples(CsvNotes):
    """Each note once."""

    def __init__(self, path: Path):
        keys = ("", "index", "unnamed: 0")  # as pandas writes and calls a table's index
        super().__init__(path, "transcription", keys, ("medical_specialty", "sample_name", "description", "keywords"))

    def __iter__(self) -> Iterator[Document]:
        seen: set[bytes] = set()
        for document in super().__iter__():
            digest = hashlib.sha256(document.text.encode("utf-8", "surrogatepass")).digest()
            if digest not in seen:
                seen.add(digest)
                yield document

"""VAERS: passages of vaccine safety reports with adverse events, on which answers of language models are recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from clinidistill.datasets.conll import Conll
from clinidistill.datasets.corpora.archives import PublishedFiles
from clinidistill.datasets.corpora.base import Corpus
from clinidistill.datasets.files import Block, FileDataset
from clinidistill.datasets.jsonl import JsonLines
from clinidistill.types import Document

__all__ = ["Vaers"]

_FOLDERS = {"train": "train", "dev": "valid", "test": "test"}
_GOLD = "gold.jsonl.gz"


class Vaers(Corpus):
    """VAERS passages of Hu et al.: 1,015 of vaccine safety reports, 603 to train, 126 to develop, 286 to test.

    Read from either release:

    - https://github.com/BIDS-Xu-Lab/Clinical_Entity_Recognition_Using_GPT_models as a folder or zip, where
      ``data/Vaccine-AE-recognition/{train,valid,test}`` hold a file of tagged tokens a passage;
    - ``recorded_llm_vaers/gold.jsonl.gz``, the same in one file, as docs/data.md describes it.

    The repository states no licence; the reports are public data of the US government, released without what identifies
    a patient. Hu et al. 2024, https://doi.org/10.1093/jamia/ocad259.

    The text is the tokens joined by one space. The labels, ``investigation``, ``nervous_AE``, ``other_AE`` and
    ``procedure``, stay as they are by default. A document's id is ``train/0``, ``valid/0``, ``test/0``; ``meta["id"]``
    is the number alone, by which the ``recorded`` teacher finds the answers to the test passages.

    See :class:`~clinidistill.datasets.corpora.base.Corpus` for the options.
    """

    homepage = "https://github.com/BIDS-Xu-Lab/Clinical_Entity_Recognition_Using_GPT_models"
    agreement = "no licence stated; US government data"
    names = {label: label for label in ("investigation", "nervous_AE", "other_AE", "procedure")}
    sizes = {"train": 603, "dev": 126, "test": 286}
    is_deidentified = True

    def needed(self, split: str, files: PublishedFiles) -> Mapping[str, int]:
        pattern = f"Vaccine-AE-recognition/{_FOLDERS[split]}/*.bio"
        return {_GOLD: 1} if not files.find(pattern) and files.find(_GOLD) else {pattern: self.sizes[split]}

    def readers(self, split: str, files: PublishedFiles) -> Iterable[FileDataset]:
        for pattern in self.needed(split, files):
            if pattern == _GOLD:
                yield JsonLines(files.one(_GOLD), id_fields=("split", "id"))
            elif files.find(pattern):
                yield _Passages(files.folder(pattern))

    def belongs(self, document: Document, split: str) -> bool:
        return bool(document.meta["split"] == _FOLDERS[split])


class _Passages(Conll):
    """A folder of files with one passage each."""

    suffixes = (".bio",)

    def parse(self, block: Block) -> Document:
        folder = block.path.parent.name
        document = super().parse(block)
        return replace(document, id=f"{folder}/{block.name}", meta={"id": block.name, "split": folder})

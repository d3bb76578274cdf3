"""BC5CDR: PubMed abstracts with chemicals and diseases, as BioCreative V gave it out, or as AIONER does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from clinidistill.datasets.corpora.archives import PublishedFiles
from clinidistill.datasets.corpora.base import Corpus
from clinidistill.datasets.files import Block
from clinidistill.datasets.pubtator import PubTator

__all__ = ["Bc5cdr"]

_OFFICIAL = {
    "train": "CDR_TrainingSet.PubTator.txt",
    "dev": "CDR_DevelopmentSet.PubTator.txt",
    "test": "CDR_TestSet.PubTator.txt",
}
_MERGED = {"train": "BC5CDR_TrainDev.PubTator", "dev": "BC5CDR_TrainDev.PubTator", "test": "BC5CDR_Test.PubTator"}
_SIZE = 500


class Bc5cdr(Corpus):
    """BioCreative V chemical-disease relation corpus: 1,500 PubMed abstracts, 500 a split (the official ones).

    Read from either release:

    - ``CDR_Data.zip`` (it holds ``CDR.Corpus.v010516/CDR_TrainingSet.PubTator.txt``, …), packed or not, from
      https://ftp.ncbi.nlm.nih.gov/pub/lu/BC5CDR/ or, after registration,
      https://biocreative.bioinformatics.udel.edu/resources/corpora/biocreative-v-cdr-corpus/
    - ``BC5CDR_TrainDev.PubTator`` and ``BC5CDR_Test.PubTator`` of https://github.com/ncbi/AIONER, ``data/pubtator``.
      The first holds the official training set and, after it, the development set: 500 each, and as many diseases in
      either half (4,182 and 4,244) as the publication counts.

    It is a work of the US government, in the public domain. Li et al. 2016, https://doi.org/10.1093/database/baw068

    ``Chemical`` is ``medication`` and ``Disease`` is ``disease`` by default, both wider than ours: the one takes in any
    chemical, the other symptoms and adverse effects. Spans carry MeSH codes.

    See :class:`~clinidistill.datasets.corpora.base.Corpus` for the options.
    """

    homepage = "https://ftp.ncbi.nlm.nih.gov/pub/lu/BC5CDR/"
    agreement = "public domain"
    names = {"Chemical": "medication", "Disease": "disease"}
    needs = {split: {file: 1} for split, file in _OFFICIAL.items()}
    sizes = dict.fromkeys(_OFFICIAL, _SIZE)
    is_deidentified = True  # published

    def needed(self, split: str, files: PublishedFiles) -> Mapping[str, int]:
        merged = not files.find("CDR_*Set.PubTator.txt") and files.find(_MERGED[split])
        return {_MERGED[split]: 1} if merged else self.needs[split]

    def readers(self, split: str, files: PublishedFiles) -> Iterable[PubTator]:
        for pattern in self.needed(split, files):
            first = _SIZE if (split, pattern) == ("dev", _MERGED["dev"]) else 0
            for path in files.paths(pattern):
                yield _Stretch(path, first)


class _Stretch(PubTator):
    """So many documents of a file as a split has."""

    def __init__(self, path: Path, first: int):
        super().__init__(path)
        self._first = first

    def blocks(self) -> Iterator[Block]:
        return islice(super().blocks(), self._first, self._first + _SIZE)

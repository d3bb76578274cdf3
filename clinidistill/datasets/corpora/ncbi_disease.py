"""The NCBI disease corpus: PubMed abstracts with disease names, as the NCBI gives it out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from clinidistill.datasets.corpora.archives import PublishedFiles
from clinidistill.datasets.corpora.base import Corpus
from clinidistill.datasets.files import Block
from clinidistill.datasets.pubtator import PubTator

__all__ = ["NcbiDisease"]

_FILES = {"train": "NCBItrainset_corpus.txt", "dev": "NCBIdevelopset_corpus.txt", "test": "NCBItestset_corpus.txt"}


class NcbiDisease(Corpus):
    """NCBI disease corpus: 792 PubMed abstracts, 592 to train, 100 to develop, 100 to test (the official splits).

    The paper's corpus for diseases. Get the three archives ``NCBItrainset_corpus.zip``, ``NCBIdevelopset_corpus.zip``
    and ``NCBItestset_corpus.zip`` from https://www.ncbi.nlm.nih.gov/CBBresearch/Dogan/DISEASE/ and put them into one
    folder, unpacked or not. It is a work of the US government, in the public domain. Doğan, Leaman and Lu 2014.

    Its four labels, ``SpecificDisease``, ``DiseaseClass``, ``Modifier`` and ``CompositeMention``, are ``disease`` by
    default; spans carry MeSH and OMIM codes. The training file holds abstract 8528200 twice, the same to the letter; it
    is read once, hence 592 where the publication has 593.

    See :class:`~clinidistill.datasets.corpora.base.Corpus` for the options.
    """

    homepage = "https://www.ncbi.nlm.nih.gov/CBBresearch/Dogan/DISEASE/"
    agreement = "public domain"
    names = dict.fromkeys(("SpecificDisease", "DiseaseClass", "Modifier", "CompositeMention"), "disease")
    needs = {split: {file: 1} for split, file in _FILES.items()}
    sizes = {"train": 592, "dev": 100, "test": 100}
    is_deidentified = True  # published

    def readers(self, split: str, files: PublishedFiles) -> Iterable[PubTator]:
        return map(_Once, files.paths(_FILES[split]))


class _Once(PubTator):
    """Documents that stand in the file twice, the same to the letter, are read once."""

    def blocks(self) -> Iterator[Block]:
        seen = set()
        for block in super().blocks():
            content = b"".join(line for _, line in block.lines).rstrip()
            if content not in seen:
                seen.add(content)
                yield block

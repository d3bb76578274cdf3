"""MACCROBAT: case reports with clinical events, in BRAT standoff, as figshare gives it out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from clinidistill.datasets.brat import Brat
from clinidistill.datasets.corpora.archives import PublishedFiles
from clinidistill.datasets.corpora.base import Corpus, hashed_split
from clinidistill.datasets.files import Block, OnError
from clinidistill.errors import OptionError

__all__ = ["Maccrobat"]


class Maccrobat(Corpus):
    """MACCROBAT: 200 case reports from PubMed Central with medications, diseases, symptoms and much else.

    Get ``MACCROBAT2020.zip`` (or ``MACCROBAT2018.zip``, the same reports as first annotated) from
    https://doi.org/10.6084/m9.figshare.9764942.v2, under CC BY 4.0; packed or not, also both in the archive that
    figshare makes of all files. Caufield et al. 2019.

    There are no official splits. A report's split goes by a hash of its id: 70 % train, 10 % dev, 20 % test
    (:func:`~clinidistill.datasets.corpora.base.hashed_split`). As copies with fewer than the 200 reports go round, any
    number is taken, as long as each text lies beside its annotations.

    ``Medication`` is ``medication``, ``Disease_disorder`` is ``disease`` and ``Sign_symptom`` is ``symptom`` by
    default; `labels` gets at the others.

    Args:
        path, split, labels, on_error, complete: see :class:`~clinidistill.datasets.corpora.base.Corpus`.
        fragments: ``"join"`` discontinuous mentions to one from first to last, since most models cannot say them, or
            ``"keep"`` them.
        release: ``"2020"`` or ``"2018"``.

    Raises:
        OptionError: if `release` or `fragments` is none of these; and as `Corpus`.
    """

    homepage = "https://doi.org/10.6084/m9.figshare.9764942.v2"
    agreement = "CC BY 4.0"
    names = {"Medication": "medication", "Disease_disorder": "disease", "Sign_symptom": "symptom"}
    is_deidentified = True  # published

    def __init__(
        self,
        path: str | Path,
        split: str | None = None,
        labels: Mapping[str, str] | None = None,
        on_error: OnError = "raise",
        complete: bool = True,
        *,
        fragments: Literal["join", "keep"] = "join",
        release: Literal["2020", "2018"] = "2020",
    ):
        if release not in ("2020", "2018") or fragments not in ("join", "keep"):
            raise OptionError("release is '2020' or '2018', fragments is 'join' or 'keep'")
        super().__init__(path, split, labels, on_error, complete)
        self.fragments = fragments
        self.release = release

    def needed(self, split: str, files: PublishedFiles) -> Mapping[str, int]:
        """Pairs: of either kind as many as of the other."""
        reports = f"MACCROBAT{self.release}/[0-9]*"  # named by PubMed id, unlike what else may lie there
        if not files.find(f"{reports}.ann"):
            reports = "[0-9]*"  # in a folder by another name
        annotations, notes = f"{reports}.ann", f"{reports}.txt"
        number = max(len(files.find(annotations)), len(files.find(notes)), 1)
        return {annotations: number, notes: number}

    def readers(self, split: str, files: PublishedFiles) -> Iterable[Brat]:
        annotations, notes = self.needed(split, files)
        files.paths(notes)  # unpacked beside the annotations
        yield _Reports(files.folder(annotations), self.fragments, split)


class _Reports(Brat):
    """The reports of a split."""

    def __init__(self, path: Path, fragments: Literal["join", "keep"], split: str):
        super().__init__(path, fragments=fragments)
        self._split = split

    def blocks(self) -> Iterator[Block]:
        return (block for block in super().blocks() if block.name.isdigit() and hashed_split(block.name) == self._split)

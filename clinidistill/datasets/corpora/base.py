"""What named corpora share: splits, labels, and whether all that the publisher gives out is there."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from clinidistill.datasets.base import Dataset
from clinidistill.datasets.corpora.archives import PublishedFiles
from clinidistill.datasets.files import FileDataset, OnError, selected
from clinidistill.errors import DataError, OptionError
from clinidistill.types import Document

__all__ = ["Corpus", "hashed_split"]

_ALIASES = {
    "training": "train",
    "valid": "dev",
    "validation": "dev",
    "val": "dev",
    "devel": "dev",
    "development": "dev",
    "testing": "test",
}
_SHARES = (("train", 70), ("dev", 80), ("test", 100))


class Corpus(Dataset):
    """A named corpus as its publisher gives it out; the base of the corpora.

    A corpus says which files each split needs (:attr:`needs`) and which readers read them (:meth:`readers`). What the
    readers make of the files is renamed and selected here, and ``meta["split"]`` names a document's split.

    Args:
        path: the publisher's folder, its archive as downloaded, or a folder that holds either.
        split: one of :attr:`splits`, or a usual other name of it (``"valid"``, ``"devel"``); None reads all, in order.
        labels: renames and selects the publisher's labels: a label that is not a key is left out, and documents cover
            the values. None takes :attr:`names`.
        on_error: ``"raise"``, or ``"skip"`` to leave documents with a fault out.
        complete: whether everything must be there. False reads what there is of the chosen splits.

    Class attributes:
        splits: the names of the splits.
        homepage: where the corpus is given out.
        agreement: under which licence or agreement.
        names: the publisher's labels → ours.
        needs: the files of each split: pattern (see :meth:`PublishedFiles.find`) → how many there are, at least.
        sizes: the number of documents in each split, where it is known.

    Attributes:
        chosen: the splits that are read.
        skipped: the faults of the documents that the latest iteration left out.

    Raises:
        OptionError: if there is no such split.
        DataError: when iterated, if something is missing or at fault.
    """

    splits: ClassVar[tuple[str, ...]] = ("train", "dev", "test")
    homepage: ClassVar[str]
    agreement: ClassVar[str]
    names: ClassVar[Mapping[str, str]]
    needs: ClassVar[Mapping[str, Mapping[str, int]]]
    sizes: ClassVar[Mapping[str, int]] = {}

    def __init__(
        self,
        path: str | Path,
        split: str | None = None,
        labels: Mapping[str, str] | None = None,
        on_error: OnError = "raise",
        complete: bool = True,
    ):
        if on_error not in ("raise", "skip"):
            raise OptionError(f"on_error must be 'raise' or 'skip', not {on_error!r}")
        name = _ALIASES.get(split, split) if split not in self.splits and split is not None else split
        if name is not None and name not in self.splits:
            raise OptionError(f"there is no split {split!r}; this corpus has {', '.join(self.splits)}")
        self.path = Path(path).expanduser()
        self.chosen = self.splits if name is None else (name,)
        self.labels = self.names if labels is None else labels
        self.on_error = on_error
        self.complete = complete
        self.skipped: list[DataError] = []

    @abstractmethod
    def readers(self, split: str, files: PublishedFiles) -> Iterable[FileDataset]:
        """What reads the documents of a split, with labels as the publisher has them; `on_error` is set here."""

    def belongs(self, document: Document, split: str) -> bool:
        """Whether a document that was read is of the split; override where readers find more, as without official
        splits, where ``hashed_split(document.id) == split`` decides.
        """
        return True

    def needed(self, split: str, files: PublishedFiles) -> Mapping[str, int]:
        """The files of a split; override where they depend on what is there, as with several releases."""
        return self.needs[split]

    def check(self) -> None:
        """See that all files of the chosen splits are there; reading does that by itself.

        Raises:
            DataError: with a list of what is missing, and where to get it.
        """
        with PublishedFiles(self.path) as files:
            self._check(files, complete=True)

    def __iter__(self) -> Iterator[Document]:
        self.skipped = []
        seen: set[str] = set()
        with PublishedFiles(self.path) as files:
            self._check(files, complete=self.complete)
            try:
                for split in self.chosen:
                    count, before = 0, len(self.skipped)
                    for document in self._documents(split, files):
                        count += 1
                        if document.id in seen:
                            raise DataError(f"a second document has the id {document.id!r}", path=self.path)
                        seen.add(document.id)
                        yield document
                    self._check_count(split, count + len(self.skipped) - before)
            except DataError as error:
                raise files.placed(error) from None

    def __len__(self) -> int:
        sizes = [self.sizes.get(split) for split in self.chosen]
        if None in sizes or not self.complete or self.on_error == "skip":
            return super().__len__()
        return sum(size for size in sizes if size is not None)

    def fingerprint_data(self) -> Mapping[str, Any]:
        """Splits, labels and contents of the files; where they lie, packed or not, does not matter."""
        with PublishedFiles(self.path) as files:
            patterns = [pattern for split in self.chosen for pattern in self.needed(split, files)]
            contents = files.digests(patterns)
        options = {name: value for name, value in super().fingerprint_data().items() if name != "complete"}
        return {**options, "path": contents, "split": self.chosen, "labels": self.labels}

    def _documents(self, split: str, files: PublishedFiles) -> Iterator[Document]:
        for reader in self.readers(split, files):
            reader.on_error = self.on_error
            for document in reader:
                if self.belongs(document, split):
                    placed = replace(document, meta={**document.meta, "split": split})
                    yield selected(placed, self.labels)
            self.skipped += map(files.placed, reader.skipped)

    def _check(self, files: PublishedFiles, *, complete: bool) -> None:
        missing, found = [], 0
        for split in self.chosen:
            for pattern, number in self.needed(split, files).items():
                there = len(files.find(pattern))
                found += there
                if there < number:
                    missing.append(f"{pattern} of {split}" + f" ({there} of {number})" * (number > 1))
        if missing and (complete or not found):
            raise DataError(
                f"not all of {self.registered_name or type(self).__name__} is here; missing: {'; '.join(missing)}. "
                f"It is given out at {self.homepage} ({self.agreement}); complete=False reads what there is",
                path=self.path,
            )

    def _check_count(self, split: str, count: int) -> None:
        size = self.sizes.get(split)
        if self.complete and size is not None and count < size:
            raise DataError(
                f"{count} documents in {split}, where the publisher has {size}; download it again from "
                f"{self.homepage}, or read what there is with complete=False",
                path=self.path,
            )


def hashed_split(key: str) -> str:
    """``"train"`` (70 %), ``"dev"`` (10 %) or ``"test"`` (20 %), by a hash of a document's id.

    A document falls where it falls whatever others there are, in whatever order, on every machine. Where several notes
    tell of one patient, the key is the patient's.

    >>> [hashed_split(key) for key in ("n3", "n8", "n4")]
    ['train', 'dev', 'test']
    """
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) % 100
    return next(name for name, edge in _SHARES if number < edge)

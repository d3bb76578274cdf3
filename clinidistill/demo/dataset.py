"""The demo notes as a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from typing import ClassVar, Literal

from clinidistill.datasets.base import Dataset
from clinidistill.datasets.jsonl import JsonLines
from clinidistill.demo import SIZES
from clinidistill.types import Document

__all__ = ["DemoNotes"]


class DemoNotes(Dataset):
    """Made-up clinical notes with gold spans for medication, disease and symptom; they come with the package.

    Training and development notes share sentences and vocabulary. Test notes have sentences of their own, and about
    half of their mentions occur in no training note.

    Args:
        split: ``"train"`` (180 notes), ``"dev"`` (40) or ``"test"`` (80).

    >>> notes = DemoNotes("test")
    >>> len(notes)
    80
    >>> sorted({span.label for note in notes for span in note.spans})
    ['disease', 'medication', 'symptom']
    """

    version: ClassVar[str] = "1"

    def __init__(self, split: Literal["train", "dev", "test"] = "train"):
        self._split = split

    def __iter__(self) -> Iterator[Document]:
        with resources.as_file(resources.files("clinidistill.demo") / "notes" / f"{self._split}.jsonl") as path:
            yield from JsonLines(path)

    def __len__(self) -> int:
        return SIZES[self._split]

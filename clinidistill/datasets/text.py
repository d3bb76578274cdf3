"""Plain text: a note a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from clinidistill.datasets.files import Block, FileDataset, decode, read_lines
from clinidistill.types import Document

__all__ = ["TextFiles"]


class TextFiles(FileDataset):
    """Plain text: a note a file, which nobody labelled, so that it covers no label.

    A document's id is its file's path below the folder, without ending. It is read only; BRAT, whose annotations lie
    beside such files, is written.

    Args:
        path: a file of any ending, a folder (its ``.txt`` files), or a glob.
        labels: see :class:`FileDataset`; there are none here.
        on_error: see :class:`FileDataset`.
    """

    suffixes = (".txt", ".txt.gz")

    def __len__(self) -> int:
        if self.on_error == "skip":
            return super().__len__()
        return len(self.files())

    def blocks(self) -> Iterator[Block]:
        return (
            Block(path, PurePosixPath(name.removesuffix(".gz")).with_suffix("").as_posix())
            for name, path in self.files().items()
        )

    def parse(self, block: Block) -> Document:
        text = "".join(decode(raw, block.path, number) for number, raw in read_lines(block.path))
        return Document(block.name, text, covers=frozenset())

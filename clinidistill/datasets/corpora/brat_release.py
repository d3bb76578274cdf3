"""Releases in BRAT: which folders hold a split, and what annotation tools left behind in the files."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from html import unescape
from pathlib import Path
from typing import ClassVar

from clinidistill.datasets.brat import Brat
from clinidistill.datasets.corpora.archives import PublishedFiles
from clinidistill.datasets.corpora.base import Corpus
from clinidistill.datasets.files import Block, FileDataset, quoted
from clinidistill.errors import DataError, SpanError
from clinidistill.types import Document, Span

__all__ = ["BratPairs", "BratRelease"]

_BEGINS = re.compile(r"(?:[TNERAM]\S+|\*|#\S*)\t")


class BratPairs(Brat):
    """Notes beside their annotations, with offsets trusted more than the copies of mentions that stand beside them.

    brat parts a mention where a line ends, and some versions write that line end into the ``.ann``
    (https://github.com/nlplab/brat/issues/998): fragments with nothing but white space between them are one mention
    here, and such a line is read with the one before it. Copies may differ from the note, where it was de-identified
    later or the copy is escaped as HTML; but a note in which more than half of them do was changed since.

    Args:
        path: where the release lies, for messages.
        notes: document ids → the ``.txt`` files.
    """

    def __init__(self, path: Path, notes: Mapping[str, Path]):
        super().__init__(path)
        self.notes = notes
        self._marked = self._odd = 0

    def blocks(self) -> Iterator[Block]:
        return (Block(path, key) for key, path in self.notes.items())

    def parse(self, block: Block) -> Document:
        self._marked = self._odd = 0
        document = super().parse(block)
        if 2 * self._odd > self._marked:
            raise DataError(
                f"{self._odd} of {self._marked} mentions are not what the note has at their offsets; its line ends "
                "were changed, or its .ann belongs to another version: unpack both again as they were published"
            )
        return document

    def lines(self, annotations: Path) -> Iterator[tuple[int, str]]:
        held: tuple[int, str] | None = None
        for number, line in super().lines(annotations):
            if held and held[1].startswith("T") and line.strip() and not _BEGINS.match(line):
                held = held[0], f"{held[1]}\n{line}"
                continue
            if held:
                yield held
            held = number, line
        if held:
            yield held

    def span(self, text: str, label: str, offsets: str, mention: str) -> Span:
        parts = sorted((int(start), int(end)) for start, end in map(str.split, offsets.split(";")))
        span = Span(parts[0][0], parts[-1][1], label, fragments=tuple(parts))
        self._marked += 1
        try:
            quoted(text, span, mention)
        except SpanError:
            odd = _plain(" ".join(text[start:end] for start, end in parts)) != _plain(mention)
            if span.end > len(text) or (odd and "\n" in mention):
                raise
            self._odd += odd
        joined = parts[:1]
        for start, end in parts[1:]:
            if text[joined[-1][1] : start].strip():
                joined.append((start, end))
            else:
                joined[-1] = joined[-1][0], end
        return replace(span, fragments=tuple(joined))


class BratRelease(Corpus):
    """A corpus given out as BRAT, with the splits in folders; see :class:`Corpus`.

    Class attributes:
        folders: for each split the names of its folders: of several, the first that is there. A name is a glob, or
            several parted by ``/`` for folders in one another; packed or not, deep or not, does not matter.
        pairs: the number of notes in a split's folders.
    """

    folders: ClassVar[Mapping[str, Sequence[str]]]
    pairs: ClassVar[Mapping[str, int]]

    def key(self, name: str) -> str:
        """A document's id, from the place of its note without ending."""
        return name.rpartition("/")[2]

    def needed(self, split: str, files: PublishedFiles) -> Mapping[str, int]:
        needs: dict[str, int] = {}
        for ending in (".txt", ".ann"):
            found = {f"{each}*{ending}": len(files.find(f"{each}*{ending}")) for each in self._places(split, files)}
            lacking = max(0, self.pairs[split] - sum(found.values()))
            needs |= {pattern: found[pattern] + lacking * (not n) for n, pattern in enumerate(found)}
        return needs

    def readers(self, split: str, files: PublishedFiles) -> Iterable[FileDataset]:
        notes: dict[str, Path] = {}
        for place in self._places(split, files):
            for ending in (".ann", ".txt"):
                pattern = f"{place}*{ending}"
                for name, path in zip(files.find(pattern), files.paths(pattern), strict=True):
                    key, note = self.key(name[: -len(ending)]), path.with_suffix(".txt")
                    if notes.setdefault(key, note) != note:
                        raise DataError(f"two notes are called {key!r}; give the path of one release", path=files.root)
        return [BratPairs(files.root, dict(sorted(notes.items())))]

    def _places(self, split: str, files: PublishedFiles) -> list[str]:
        """What the names of a split's files begin with, as a pattern, up to the file's own name."""
        others = {name for other, names in self.folders.items() if other != split for name in names}
        for wanted in self.folders[split]:
            names = [name for deep in ("", "*/", "*/*/") for name in files.find(f"{wanted}/{deep}*.ann")]
            folders = {name.rpartition("/")[0] for name in names}
            # The innermost name tells the split: test/trainingdata/train is not for the test.
            found = [
                each
                for each in folders
                if _depth(each, wanted) >= max((_depth(each, other) for other in others), default=0)
            ]
            if found:
                return [f"{glob.escape(each)}/" for each in sorted(found)]
        return [f"{self.folders[split][0]}/"]


def _depth(folder: str, wanted: str) -> int:
    """Where the innermost of the folders that are the wanted ones, each a glob, ends in a path; 0 if there are none."""
    parts, patterns = folder.lower().split("/"), wanted.split("/")
    ends = range(len(patterns), len(parts) + 1)
    return max((end for end in ends if all(map(fnmatchcase, parts[end - len(patterns) : end], patterns))), default=0)


def _plain(mention: str) -> str:
    return " ".join(unescape(mention).split()).casefold()

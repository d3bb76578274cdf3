"""Datasets: streams of documents that can be read again."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar

from clinidistill.component import Component
from clinidistill.errors import ConfigError
from clinidistill.registry import registry
from clinidistill.types import Document

__all__ = ["Dataset", "MemoryDataset", "as_dataset"]


class Dataset(Component):
    """Documents that can be iterated again and again, and need not fit in memory.

    A format or a named corpus is one subclass with :meth:`__iter__`; it writes too where it overrides
    :meth:`write`. Views (:meth:`map`, :meth:`filter`, :meth:`split`, :meth:`sample`) are lazy and keep order.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()
    """File name endings by which :meth:`save` picks this format, e.g. ``(".jsonl",)``."""

    is_deidentified: bool = False
    """Whether the notes are declared free of what identifies a patient, so that remote teachers may see them."""

    @abstractmethod
    def __iter__(self) -> Iterator[Document]:
        """The documents, in the same order each time.

        Raises:
            DataError: where the data is not what the format asks for.
        """

    def __len__(self) -> int:
        """Number of documents, where it is known without reading them.

        Raises:
            TypeError: where it is not; ``sum(1 for _ in dataset)`` counts by reading.
        """
        raise TypeError(f"{type(self).__name__} does not know its length without reading it")

    @classmethod
    def write(cls, documents: Iterable[Document], path: str | Path) -> int:
        """Write documents in this format; returns how many.

        Raises:
            ConfigError: if the format can only be read.
        """
        raise ConfigError(f"{cls.__name__} can only read; save in another format, jsonl for one")

    def map(self, function: Callable[[Document], Document]) -> Dataset:
        """A view with `function` applied to each document."""
        return _Mapped(self, function)

    def filter(self, keep: Callable[[Document], bool]) -> Dataset:
        """A view of the documents for which `keep` is true."""
        return _Filtered(self, keep)

    def deidentified(self) -> Dataset:
        """A view that declares the notes de-identified: remote teachers may see them without being allowed to."""
        view = self.map(_same)
        view.is_deidentified = True
        return view

    def without_spans(self) -> Dataset:
        """A view of the bare notes, as a teacher sees them."""
        return self.map(Document.without_spans)

    def split(self, *sizes: float, seed: int | None = None) -> tuple[Dataset, ...]:
        """Disjoint views by document.

        Args:
            sizes: numbers of documents (ints) or shares of all (floats in 0..1), at least one; what they leave
                over is in no view.
            seed: shuffles before the cut; None cuts in order.

        Raises:
            ConfigError: if the sizes ask for more documents than there are, or mix ints and floats.

        >>> notes = MemoryDataset([Document(str(n), "text") for n in range(10)])
        >>> [len(part) for part in notes.split(0.6, 0.2, 0.2, seed=0)]
        [6, 2, 2]
        """
        total = self._count()
        cuts = _cuts(sizes, total)
        order = list(range(total))
        if seed is not None:
            random.Random(seed).shuffle(order)
        return tuple(_Picked(self, order[a:b]) for a, b in zip([0, *cuts], cuts, strict=False))

    def sample(self, n: int, seed: int = 0) -> Dataset:
        """A view of `n` documents drawn without replacement, in their original order.

        Raises:
            ConfigError: if there are fewer than `n`.
        """
        total = self._count()
        if not 0 <= n <= total:
            raise ConfigError(f"cannot sample {n} of {total} documents")
        return _Picked(self, random.Random(seed).sample(range(total), n))

    def sorted(self) -> Dataset:
        """The documents by id, in memory: an order that does not depend on how a folder is listed."""
        view = MemoryDataset(sorted(self, key=lambda document: document.id))
        view.is_deidentified = self.is_deidentified
        return view

    def save(self, path: str | Path, format: str | None = None) -> int:
        """Write the documents to `path`; returns how many.

        Args:
            path: a file, or a folder for formats that are folders.
            format: a dataset format's name; None goes by the ending of `path`, the longest that a format claims.

        Raises:
            ConfigError: if the ending says nothing, or the format can only be read.
        """
        formats = registry("datasets")
        if format is None:
            name = Path(path).name
            ready = {each.name: formats.get(each.name) for each in formats.available() if each.state == "ready"}
            endings = [(s, each) for each, cls in ready.items() for s in cls.suffixes if name.endswith(s)]  # type: ignore[attr-defined]
            if not endings:
                raise ConfigError(f"{name!r} does not tell its format; name one: {', '.join(formats.names())}")
            _, format = max(endings, key=lambda ending: len(ending[0]))  # .doccano.jsonl rather than .jsonl
        cls = formats.get(format)
        assert issubclass(cls, Dataset)
        return cls.write(self, path)

    def to_hugging_face(self, *, tokens: bool = False, streaming: bool = False) -> Any:
        """The documents as a ``datasets.Dataset`` of Hugging Face (extra ``datasets``).

        Its columns are ``id``, ``text``, ``spans`` (structs with offsets in code points), ``covers`` and ``meta``
        (JSON); ``load_dataset("hugging-face", path=…)`` reads it back.

        Args:
            tokens: columns ``id``, ``tokens`` and ``ner_tags``, a ``ClassLabel`` of IOB2 tags, as scripts for token
                classification want them. A document that covers no label is left out, since tags cannot say so.
            streaming: a ``datasets.IterableDataset``, which reads the documents each time that it is iterated; else
                all is in memory. (What is too large for that: save it in the format ``hugging-face``, and
                ``datasets.load_from_disk`` maps it.)

        Raises:
            ConfigError: if ``datasets`` is not installed.
            DataError: if two documents have one id, a string is not UTF-8, ``meta`` is not JSON, or tags cannot say a
                span.
        """
        from clinidistill.datasets.hugging_face import to_hugging_face

        return to_hugging_face(self, tokens=tokens, streaming=streaming)

    def _count(self) -> int:
        try:
            return len(self)
        except TypeError:
            return sum(1 for _ in self)

    def __repr__(self) -> str:
        try:
            size = f"{len(self)} documents"
        except TypeError:
            size = "length unknown"
        return f"{type(self).__name__}({size})"


class MemoryDataset(Dataset, Sequence[Document]):
    """Documents held in a list."""

    def __init__(self, documents: Iterable[Document]):
        self._documents = list(documents)

    def __iter__(self) -> Iterator[Document]:
        return iter(self._documents)

    def __len__(self) -> int:
        return len(self._documents)

    def __getitem__(self, index: int) -> Document:  # type: ignore[override]
        return self._documents[index]


def as_dataset(documents: Iterable[Document]) -> Dataset:
    """`documents` as a dataset: itself if it is one, else read into memory once."""
    return documents if isinstance(documents, Dataset) else MemoryDataset(documents)


class _View(Dataset):
    """What is declared of a dataset holds for its views."""

    def __init__(self, source: Dataset):
        self._source = source
        self.is_deidentified = source.is_deidentified


class _Mapped(_View):
    def __init__(self, source: Dataset, function: Callable[[Document], Document]):
        super().__init__(source)
        self._function = function

    def __iter__(self) -> Iterator[Document]:
        return map(self._function, self._source)

    def __len__(self) -> int:
        return len(self._source)


class _Filtered(_View):
    def __init__(self, source: Dataset, keep: Callable[[Document], bool]):
        super().__init__(source)
        self._keep = keep

    def __iter__(self) -> Iterator[Document]:
        return filter(self._keep, self._source)


class _Picked(_View):
    """The documents at some positions of another dataset, in that dataset's order."""

    def __init__(self, source: Dataset, positions: Iterable[int]):
        super().__init__(source)
        self._positions = frozenset(positions)

    def __iter__(self) -> Iterator[Document]:
        return (document for n, document in enumerate(self._source) if n in self._positions)

    def __len__(self) -> int:
        return len(self._positions)


def _same(document: Document) -> Document:
    return document


def _cuts(sizes: Sequence[float], total: int) -> list[int]:
    """Where to cut `total` documents so that the parts have the given sizes."""
    if not sizes or any(size < 0 for size in sizes):
        raise ConfigError("split needs at least one size, none of them negative")
    if all(isinstance(size, int) for size in sizes):
        cuts = list(accumulate(int(size) for size in sizes))
    elif all(isinstance(size, float) for size in sizes):
        cuts = [round(share * total) for share in accumulate(sizes) if share <= 1 + 1e-9]
        if len(cuts) < len(sizes):
            raise ConfigError(f"shares {sizes} add up to more than 1")
    else:
        raise ConfigError(f"split sizes {sizes} mix counts and shares; use all ints or all floats")
    if cuts[-1] > total:
        raise ConfigError(f"split asks for {cuts[-1]} documents; there are {total}")
    return cuts

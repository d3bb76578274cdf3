"""Leakage: documents of one part that stand in another too, word for word or nearly."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import combinations, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clinidistill.errors import ConfigError
from clinidistill.types import Document

__all__ = ["Leak", "Leakage", "check_leakage"]

_WORD = re.compile(r"\w+")
_WORDS = 4
"""Words in a passage: so few that a changed word spoils few passages, so many that two texts seldom share one."""
_LEAST = 8
"""Passages that two documents must share: fewer are a phrase."""
_COMMON = 50
"""A passage that more documents of a part have is boilerplate; it tells nothing, and would cost squared time."""
_BATCH = 500
_SHOWN = 5
_log = logging.getLogger(__name__)

Hashes = NDArray[np.uint64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Leak:
    """Two documents of different parts that are the same, or nearly.

    Args:
        part, id: the one document, of the part that was named first.
        other_part, other_id: the other.
        similarity: the share of passages of four words, of the document that has fewer, that the other has too.
        exact: whether the words are the same, from first to last; case and what stands between words do not count.
    """

    part: str
    id: str
    other_part: str
    other_id: str
    similarity: float
    exact: bool

    def __str__(self) -> str:
        sign = "=" if self.exact else "~"
        how_near = "" if self.exact else f" ({self.similarity:.2f})"
        return f"{self.part} {self.id!r} {sign} {self.other_part} {self.other_id!r}{how_near}"


@dataclass(frozen=True, slots=True)
class Leakage:
    """What parts have in common. Printed, it is a summary; :meth:`to_dict` is for programs. Holds no note text.

    It is true where anything leaks.

    Args:
        sizes: number of documents in each part.
        leaks: the pairs, by part, those most alike first.
    """

    sizes: Mapping[str, int]
    leaks: tuple[Leak, ...]

    def __bool__(self) -> bool:
        return bool(self.leaks)

    def between(self, part: str, other_part: str) -> tuple[Leak, ...]:
        """The pairs of two parts.

        Raises:
            ConfigError: if there is no such part.
        """
        if unknown := {part, other_part} - self.sizes.keys():
            raise ConfigError(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(self.sizes)}")
        return tuple(leak for leak in self.leaks if {leak.part, leak.other_part} == {part, other_part})

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"sizes": dict(self.sizes), "leaks": [asdict(leak) for leak in self.leaks]}

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        for part, other in combinations(self.sizes, 2):
            leaks = self.between(part, other)
            found, same = ({leak.other_id for leak in leaks if leak.exact or near} for near in (True, False))
            yield (
                f"{len(found)} of {self.sizes[other]} documents of {other} stand in {part} ({self.sizes[part]}): "
                f"{len(same)} word for word, {len(found - same)} nearly"
                if leaks
                else f"no document of {other} ({self.sizes[other]}) stands in {part} ({self.sizes[part]})"
            )
            yield from (f"    {leak}" for leak in leaks[:_SHOWN])
            if len(leaks) > _SHOWN:
                yield f"    … {len(leaks) - _SHOWN} more pairs"


def check_leakage(*, threshold: float = 0.7, **parts: Iterable[Document] | None) -> Leakage:
    """Whether documents of one part stand in another too, word for word or nearly; a log warning says so.

    What is compared is words, lower-cased. Two documents are nearly the same if most of the smaller stands in the
    larger (the containment of Broder 1997, of passages of four words): a note and its copy with some words changed, but
    also a sentence and the note it is from. It is computed exactly, not estimated from sketches. Passages in more than
    50 documents of a part are taken for boilerplate and left out.

    Time grows with the size of all parts. The first is streamed; of the others, 16 bytes a word are kept.

    Args:
        threshold: the least similarity, 0 to 1.
        parts: documents by name, the largest first, as in ``check_leakage(train=…, dev=…, test=…)``; None are passed
            over.

    Raises:
        ConfigError: if `threshold` is not in (0, 1], or there are fewer than two parts.

    >>> note = "Seen for a cough of three weeks without fever, improved on inhaled salbutamol since Monday."
    >>> train = [Document("1", note), Document("2", "No complaints.")]
    >>> leakage = check_leakage(train=train, test=[Document("3", note.replace("Monday", "Sunday"))])
    >>> print(leakage)
    1 of 1 documents of test stand in train (2): 0 word for word, 1 nearly
        train '1' ~ test '3' (0.92)
    """
    if not 0 < threshold <= 1:
        raise ConfigError(f"threshold must lie in (0, 1], not {threshold}")
    given = {name: part for name, part in parts.items() if part is not None}
    if len(given) < 2:
        raise ConfigError("leakage is between parts; give two or more by name, as in check_leakage(train=…, test=…)")
    sizes, indexes, leaks = dict.fromkeys(given, 0), dict[str, _Index](), list[Leak]()
    first = next(iter(given))
    for name, part in reversed(given.items()):
        kept: list[_Words] = []
        documents = map(_Words.of, part)
        while batch := list(islice(documents, _BATCH)):
            sizes[name] += len(batch)
            for other, index in indexes.items():
                leaks += index.leaks(name, batch, other, threshold)
            if name != first:
                kept += batch
        indexes[name] = _Index(kept)
    order = list(given)
    leaks.sort(
        key=lambda leak: (order.index(leak.part), order.index(leak.other_part), not leak.exact, -leak.similarity)
    )
    leakage = Leakage(sizes, tuple(leaks))
    if leakage:
        _log.warning("documents stand in more than one part, so that scores will flatter:\n%s", leakage)
    return leakage


@dataclass(frozen=True, slots=True)
class _Words:
    """A document as hashes: of all its words, and of its passages, each once."""

    id: str
    whole: int | None
    passages: Hashes

    @classmethod
    def of(cls, document: Document) -> _Words:
        words = _WORD.findall(document.text.lower())
        hashes = np.fromiter(map(hash, words), np.int64, len(words)).view(np.uint64)
        passages = np.zeros(max(len(words) - _WORDS + 1, 0), np.uint64)
        for offset in range(_WORDS):
            passages = passages * np.uint64(0x9E3779B97F4A7C15) + hashes[offset : offset + len(passages)]
        return cls(document.id, hash(tuple(words)) if words else None, np.unique(passages))


class _Index:
    """Where passages and whole texts of a part stand."""

    def __init__(self, documents: list[_Words]):
        self.ids = [document.id for document in documents]
        self.wholes: dict[int, list[int]] = defaultdict(list)
        for number, document in enumerate(documents):
            if document.whole is not None and len(self.wholes[document.whole]) < _COMMON:
                self.wholes[document.whole].append(number)
        passages, numbers = _joined(documents)
        order = np.argsort(passages, kind="stable")
        self.numbers = numbers[order]
        self.passages, self.starts, self.counts = np.unique(passages[order], return_index=True, return_counts=True)
        rare = np.repeat(self.counts <= _COMMON, self.counts)
        self.sizes = np.bincount(self.numbers[rare], minlength=len(documents))

    def leaks(self, part: str, documents: list[_Words], other_part: str, threshold: float) -> Iterator[Leak]:
        """The pairs of the documents, of another part, and those in here."""
        found = self._near(documents, threshold)
        for number, document in enumerate(documents):
            alike = [] if document.whole is None else self.wholes.get(document.whole, [])
            for other in dict.fromkeys([*alike, *found[number]]):
                similarity = found[number].get(other, 1.0)
                yield Leak(part, document.id, other_part, self.ids[other], similarity, other in alike)

    def _near(self, documents: list[_Words], threshold: float) -> dict[int, dict[int, float]]:
        """Similarities of at least `threshold`: document → document in here → how near."""
        found: dict[int, dict[int, float]] = defaultdict(dict)
        passages, numbers = _joined(documents)
        if not len(self.passages) or not len(passages):
            return found
        at = np.minimum(np.searchsorted(self.passages, passages), len(self.passages) - 1)
        here = self.passages[at] == passages
        common = here & (self.counts[at] > _COMMON)
        sizes = np.bincount(numbers[~common], minlength=len(documents))
        rare = here & ~common
        at, numbers = at[rare], numbers[rare]
        # Each hit, once for every document in here that has the passage.
        counts = self.counts[at]
        steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        others = self.numbers[np.repeat(self.starts[at], counts) + steps]
        pairs, shared = np.unique(np.repeat(numbers, counts) * len(self.ids) + others, return_counts=True)
        ones, others = np.divmod(pairs, len(self.ids))
        similarity = shared / np.minimum(sizes[ones], self.sizes[others])
        near = (similarity >= threshold) & (shared >= _LEAST)
        for one, other, value in zip(ones[near], others[near], similarity[near], strict=True):
            found[int(one)][int(other)] = float(value)
        return found


def _joined(documents: list[_Words]) -> tuple[Hashes, Numbers]:
    """All passages, and the number of the document that each stands in."""
    passages = np.concatenate([np.zeros(0, np.uint64), *(document.passages for document in documents)])
    numbers = np.repeat(np.arange(len(documents)), [len(document.passages) for document in documents])
    return passages, numbers

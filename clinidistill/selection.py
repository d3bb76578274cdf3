"""Which notes to send to a paid teacher next: those from which most can be learnt for the money.

Each word of a note has a weight in bits: how unsure the student is of it, and how far free teachers disagree on it
(with neither, every word weighs the same). A choice of notes is worth the sum over all different words of the square
root of the bits that they gather in it, so that what was chosen makes like notes worth less. That is a submodular
function of features (Wei, Liu, Kirchhoff & Bilmes, *Unsupervised Submodular Subset Selection for Speech Data*, ICASSP
2014; Wei, Iyer & Bilmes, ICML 2015, with a model's uncertainty). It is maximised greedily by gain a dollar, evaluated
lazily (Leskovec et al., *Cost-effective Outbreak Detection in Networks*, KDD 2007).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clinidistill.aggregation.review import review_queue
from clinidistill.datasets.base import MemoryDataset, as_dataset
from clinidistill.errors import ConfigError
from clinidistill.labels import Labels
from clinidistill.students.base import Student
from clinidistill.students.decoding import WORD
from clinidistill.teachers import Teacher
from clinidistill.types import Document

__all__ = ["Price", "Selection", "select"]

Price = Callable[[Document], float]
_INSTRUCTIONS = 2000  # characters that go along with each note, where no price is told

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Selection(MemoryDataset):
    """The chosen notes, the best buy first.

    Attributes:
        usd: about what they cost together; None where no price is known.
        gains: what each added, in the units of the module's function.
    """

    def __init__(self, documents: Iterable[Document], usd: float | None, gains: Sequence[float]):
        super().__init__(documents)
        self.usd, self.gains = usd, tuple(gains)

    def __repr__(self) -> str:
        price = "unknown" if self.usd is None else f"{self.usd:.4g}"
        return f"Selection({len(self)} notes, usd={price})"


def select(
    pool: Iterable[Document],
    student: Student | None = None,
    labels: Labels | None = None,
    *,
    n: int | None = None,
    budget_usd: float | None = None,
    price: Teacher | Price | None = None,
) -> Selection:
    """Choose the notes that a paid teacher should label next.

    Args:
        pool: notes without labels; those that have them already should not be among them.
        student: a trained student; where it is unsure there is something to learn.
        labels: what free teachers say of the pool; so is where they disagree. Other documents in it are passed over.
        n: how many notes at most.
        budget_usd: how many dollars they may cost; needs `price`.
        price: the paid teacher, whose estimate is taken, or dollars by document. None takes it that the price grows
            with the length of the note and of instructions that go along (2,000 characters).

    Returns:
        The notes, the best buy first, with their spans taken off.

    Raises:
        ConfigError: if neither `n` nor `budget_usd` is given, one is negative, or the price is unknown.

    >>> pool = [Document("a", "No fever, no fever."), Document("b", "Fever, on metformin."), Document("c", "Fever.")]
    >>> [note.id for note in select(pool, n=1)]
    ['b']
    """
    if n is None and budget_usd is None:
        raise ConfigError("say how many notes (n=) or how many dollars (budget_usd=)")
    if (n is not None and n < 0) or (budget_usd is not None and budget_usd < 0):
        raise ConfigError(f"n and budget_usd cannot be below 0, not {n=}, {budget_usd=}")
    if budget_usd is not None and price is None:
        raise ConfigError("budget_usd needs the price of a note: price=teacher, or price=lambda note: dollars")
    dataset = as_dataset(pool)
    notes = [document.without_spans() for document in dataset]
    prices = _prices(notes, price)
    weights = _weights(notes, student, labels)
    most = len(notes) if n is None else min(n, len(notes))
    budget = float("inf") if budget_usd is None else budget_usd
    found = _greedy(weights, prices, prices, most, budget)
    if budget_usd is not None:  # by gain a dollar alone, one good dear note could be missed for ever
        found = max(found, _greedy(weights, np.ones(len(notes)), prices, most, budget), key=lambda way: sum(way[1]))
    chosen, gains = found
    usd = None if price is None else float(prices[chosen].sum())
    selection = Selection((notes[row] for row in chosen), usd, gains)
    selection.is_deidentified = dataset.is_deidentified
    return selection


@dataclass(frozen=True, slots=True, eq=False)
class _Weights:
    """Bits by note and different word: of row `n` those at ``begins[n]:begins[n + 1]``."""

    begins: Ints
    words: Ints
    bits: Floats

    def row(self, number: int) -> tuple[Ints, Floats]:
        place = slice(self.begins[number], self.begins[number + 1])
        return self.words[place], self.bits[place]


def _weights(notes: Sequence[Document], student: Student | None, labels: Labels | None) -> _Weights:
    doubts = None if student is None else student.doubts(notes)
    contested = None if labels is None else _contested(labels)
    number: dict[str, int] = {}
    begins, words, bits = [0], list[Ints](), list[Floats]()
    for note in notes:
        places = [match.span() for match in WORD.finditer(note.text)]
        own = [number.setdefault(note.text[start:end].casefold(), len(number)) for start, end in places]
        starts = np.array([start for start, _ in places], dtype=np.int64)
        weight = np.zeros(len(places))
        if doubts is not None:
            doubt = next(doubts)
            if places:
                np.add.at(weight, np.maximum(np.searchsorted(starts, doubt.starts, side="right") - 1, 0), doubt.bits)
        if contested is not None:
            for start, end, amount in contested.get(note.id, ()):
                first, last = np.searchsorted(starts, (start, end))
                weight[first:last] += amount / max(last - first, 1)
        if doubts is None and contested is None:
            weight[:] = 1.0
        row, of = np.unique(np.array(own, dtype=np.int64), return_inverse=True)
        begins.append(begins[-1] + len(row))
        words.append(row)
        total = np.zeros(len(row))
        np.add.at(total, of, weight)
        bits.append(total)
    return _Weights(np.array(begins), np.concatenate([*words, []]).astype(np.int64), np.concatenate([*bits, []]))


def _contested(labels: Labels) -> dict[str, list[tuple[int, int, float]]]:
    """Places where teachers disagree, with bits, by document."""
    return {
        note.id: [(span["start"], span["end"], span["disagreement"]) for span in _objects(note.meta["contested"])]
        for note in review_queue(labels)
    }


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    yield from value


def _prices(notes: Sequence[Document], price: Teacher | Price | None) -> Floats:
    if price is None:
        return np.array([_INSTRUCTIONS + len(note.text) for note in notes], dtype=np.float64)
    if isinstance(price, Teacher):
        told = [price.estimate([note]).cost_usd for note in notes]
        if None in told:
            raise ConfigError(f"what a note costs teacher {price.name!r} is unknown; give price=lambda note: dollars")
    else:
        told = [price(note) for note in notes]
    found = np.array(told, dtype=np.float64)
    if not np.isfinite(found).all() or (found < 0).any():
        raise ConfigError("price must give dollars of 0 or more for each note")
    return found


def _greedy(
    weights: _Weights, share: Floats, prices: Floats, most: int, budget: float
) -> tuple[list[int], list[float]]:
    """Rows in the order in which they were chosen by gain for `share`, and what each gained."""
    gathered = np.zeros(int(weights.words.max(initial=-1)) + 1)

    def gain(number: int) -> float:
        words, bits = weights.row(number)
        return float((np.sqrt(gathered[words] + bits) - np.sqrt(gathered[words])).sum())

    worth = [gain(number) for number in range(len(prices))]
    tiny = 1e-12
    heap = [(-value / (share[number] + tiny), number) for number, value in enumerate(worth)]
    heapq.heapify(heap)
    chosen, gains, fresh = list[int](), list[float](), [True] * len(prices)
    while heap and len(chosen) < most:
        _, number = heapq.heappop(heap)
        if prices[number] > budget * (1 + 1e-9):
            continue
        if not fresh[number]:  # what was chosen since made it worth less: look whether it is still the first
            worth[number], fresh[number] = gain(number), True
            heapq.heappush(heap, (-worth[number] / (share[number] + tiny), number))
            continue
        words, bits = weights.row(number)
        gathered[words] += bits
        chosen.append(number)
        gains.append(worth[number])
        budget -= prices[number]
        fresh = [False] * len(prices)
    return chosen, gains

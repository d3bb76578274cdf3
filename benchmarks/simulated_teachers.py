"""Documents with known mentions, and teachers that miss, invent, move and confuse them.

Some mentions are hard for all teachers, and some places tempt all of them, so that their mistakes go together as real
ones do. Words are drawn at random: nothing in a text says where its mentions are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import clinidistill as cd
from clinidistill import Document, Labels, Span

LABELS = ("disease", "medication", "symptom")
TOKENS = 200
_MENTIONS, _TEMPTING = 8, 8  # a document


@dataclass(frozen=True)
class Simulated:
    """How a teacher errs.

    Args:
        finds: the share of mentions it finds.
        invents: the share of the places that look like mentions it falls for.
        moves: the share of its spans that have an edge a word off.
        confuses: the share of its spans that have another label.
        knows: its labels.
    """

    finds: float
    invents: float = 0.2
    moves: float = 0.1
    confuses: float = 0.03
    knows: tuple[str, ...] = LABELS


PANELS = {
    "five alike": tuple(Simulated(finds, 0.2) for finds in (0.7, 0.75, 0.75, 0.8, 0.8)),
    "one good, five poor": (
        Simulated(0.93, 0.05, 0.03, 0.01),
        *(Simulated(finds, 0.5, 0.3, 0.1) for finds in (0.6, 0.55, 0.5, 0.5, 0.45)),
    ),
    "two general, seven of one label": (
        Simulated(0.7, 0.3, 0.15, 0.08),
        Simulated(0.8, 0.2),
        *(Simulated(0.85, 0.15, knows=("medication",)), Simulated(0.6, 0.05, knows=("medication",))),
        *(Simulated(0.8, 0.15, knows=("disease",)), Simulated(0.65, 0.4, 0.25, knows=("disease",))),
        *(Simulated(0.7, 0.1, knows=("disease",)), Simulated(0.75, 0.3, knows=("symptom",))),
        Simulated(0.5, 0.1, knows=("symptom",)),
    ),
    "seven of one label": (
        *(Simulated(0.85, 0.15, knows=("medication",)), Simulated(0.7, 0.1, knows=("medication",))),
        *(Simulated(0.6, 0.3, knows=("medication",)), Simulated(0.8, 0.2, knows=("disease",))),
        *(Simulated(0.7, 0.4, 0.25, knows=("disease",)), Simulated(0.75, 0.1, knows=("disease",))),
        Simulated(0.75, 0.2, knows=("symptom",)),
    ),
}


def simulate(teachers: Sequence[Simulated], documents: int, seed: int) -> tuple[list[Document], Labels]:
    """Gold, and what the teachers say of it."""
    draw = np.random.default_rng(seed)
    words = np.array(["".join(draw.choice(list("abcdefgh"), draw.integers(2, 10))) for _ in range(3000)])
    gold: list[Document] = []
    said: dict[str, dict[str, list[Span]]] = {f"teacher {n}": {} for n in range(len(teachers))}
    for number in range(documents):
        chosen = words[draw.integers(len(words), size=TOKENS)].tolist()
        starts = np.cumsum([0, *(len(word) + 1 for word in chosen)])
        # Mentions and tempting places of one to four words, each in a field of its own.
        fields = np.linspace(1, TOKENS - 8, _MENTIONS + _TEMPTING).astype(int)
        first = fields + draw.integers(0, 4, size=len(fields))
        last = first + draw.choice([1, 2, 3, 4], size=len(fields), p=[0.4, 0.3, 0.2, 0.1])
        label = draw.integers(len(LABELS), size=len(fields))
        real = draw.permutation(len(fields)) < _MENTIONS
        # How hard a place is, on the scale of a teacher's chance: most are as hard as average, some much harder.
        strain = draw.normal(0, 1, size=len(fields))
        document = Document(f"n{number:05}", " ".join(chosen))
        places = [
            Span(int(starts[a]), int(starts[b] - 1), LABELS[k]) for a, b, k in zip(first, last, label, strict=True)
        ]
        gold.append(document.with_spans([place for place, is_real in zip(places, real, strict=True) if is_real]))
        for name, teacher in zip(said, teachers, strict=True):
            chance = np.where(real, teacher.finds, teacher.invents)
            odds = np.log(chance / (1 - chance)) + strain
            marks = draw.random(len(fields)) < 1 / (1 + np.exp(-odds))
            spans = said[name][document.id] = []
            for place in np.flatnonzero(marks).tolist():
                a, b, k = int(first[place]), int(last[place]), int(label[place])
                if draw.random() < teacher.confuses:
                    k = (k + 1) % len(LABELS)
                if draw.random() < teacher.moves:
                    edges = [(a - 1, b), (a, b + 1), (a + 1, b), (a, b - 1)]
                    a, b = edges[draw.integers(4 if b - a > 1 else 2)]
                if LABELS[k] in teacher.knows:
                    spans.append(Span(int(starts[a]), int(starts[b] - 1), LABELS[k]))
    covers = {name: teacher.knows for name, teacher in zip(said, teachers, strict=True)}
    return gold, cd.Labels.from_annotations(gold, said, covers=covers)

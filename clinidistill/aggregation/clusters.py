"""Clusters: the spans of one label that overlap, and what each teacher answers there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clinidistill.aggregation.mentions import Bools, Candidates, Ints

__all__ = ["Clusters"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Spans of one label in one document, joined where they overlap, directly or through others.

    A teacher's *answer* to a cluster is the set of its spans there; an empty set where it had a vote and marked
    nothing. Teachers without a vote on the label in the document abstain.

    Args:
        candidates: the spans.
        of_candidate: the number of each candidate's cluster; clusters are in order of document, label and place.
        document, label, start, end: of each cluster, shape ``(clusters,)``; offsets enclose its spans.
        spans: number of spans of each teacher, shape ``(clusters, teachers)``.
        voters: whether a teacher has a vote, same shape.
        answer: equal where two teachers of one cluster give the same answer, 0 for nothing; same shape.
    """

    candidates: Candidates
    of_candidate: Ints
    document: Ints
    label: Ints
    start: Ints
    end: Ints
    spans: Ints
    voters: Bools
    answer: NDArray[np.uint64]

    @classmethod
    def of(cls, candidates: Candidates) -> Clusters:
        """The clusters of all documents at once."""
        c = candidates
        order = np.lexsort((c.end, c.start, c.label, c.document))
        group = c.document[order] * len(c.labels) + c.label[order]
        width = int(c.end.max(initial=0)) + 1
        start, end = group * width + c.start[order], group * width + c.end[order]
        new = np.ones(len(order), dtype=bool)
        new[1:] = start[1:] >= np.maximum.accumulate(end)[:-1]
        first, number = np.flatnonzero(new), np.cumsum(new) - 1
        of_candidate = np.empty(len(order), dtype=np.int64)
        of_candidate[order] = number
        # A set of spans is known by the sum of random numbers, one a span: 64 bits, so that no two sets collide.
        names = np.random.default_rng(0).integers(1, 1 << 64, len(order), dtype=np.uint64)
        shape = len(first), len(c.teachers)
        spans, answer = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.uint64)
        row, teacher = np.nonzero(c.marks)
        np.add.at(spans, (of_candidate[row], teacher), 1)
        np.add.at(answer, (of_candidate[row], teacher), names[row])
        document, label = c.document[order][first], c.label[order][first]
        last = np.maximum.reduceat(c.end[order], first) if len(first) else first
        voters = c.knows[document, :, label]
        return cls(c, of_candidate, document, label, c.start[order][first], last, spans, voters, answer)

    def __len__(self) -> int:
        return len(self.document)

    def alike(self) -> Ints:
        """How many voters give each teacher's answer, itself among them; 0 where it abstains."""
        counts = np.zeros(self.answer.shape, dtype=np.int64)
        for teacher in range(self.answer.shape[1]):
            same = (self.answer == self.answer[:, [teacher]]) & self.voters
            counts[:, teacher] = same.sum(axis=1) * self.voters[:, teacher]
        return counts

    def entropy(self) -> Floats:
        """Vote entropy of each cluster in bits: ``-sum p log2 p`` over answers, `p` the share of voters that give it.

        0 where all agree, 1 where two answers have half of the votes each. After Dagan and Engelson, Committee-Based
        Sampling for Training Probabilistic Classifiers (ICML 1995), pages 150-157.
        """
        voters = self.voters.sum(axis=1)
        share = self.alike() / np.maximum(voters, 1)[:, None]
        bits = -np.log2(share, where=share > 0, out=np.zeros_like(share)).sum(axis=1)
        entropy: Floats = bits / np.maximum(voters, 1) + 0.0  # no negative zeros
        return entropy

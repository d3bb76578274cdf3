"""Opinions as arrays: the mentions of many documents, who marked them, as what, and with which edges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clinidistill.labels import Opinions

__all__ = ["ABSTAINS", "Candidates", "Mentions", "first_of_each", "overlap_groups", "told_apart"]

ABSTAINS = -1
"""The vote of a teacher that failed on the document, has not seen it, or knows no label."""

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Extra = tuple[str | None, tuple[tuple[int, int], ...]]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Distinct spans (document, offsets, label), sorted by place, and who marked exactly them.

    Args:
        labels: the labels' names; elsewhere label ``k`` is ``labels[k]``.
        teachers: the teachers' names.
        texts: the documents' texts.
        document, start, end, label: of each candidate, shape ``(candidates,)``.
        marks: whether a teacher marked exactly this span with this label, shape ``(candidates, teachers)``.
        knows: whether a teacher has a vote on a label in a document, shape ``(documents, teachers, labels)``.
        extras: codes and fragments of the few candidates that have any, by ``(document, start, end, label)``.
    """

    labels: tuple[str, ...]
    teachers: tuple[str, ...]
    texts: tuple[str, ...]
    document: Ints
    start: Ints
    end: Ints
    label: Ints
    marks: Bools
    knows: Bools
    extras: Mapping[tuple[int, int, int, int], Extra] = field(default_factory=dict)

    @classmethod
    def of(cls, opinions: Iterable[Opinions], teachers: Sequence[str], labels: Iterable[str] = ()) -> Candidates:
        """Every span that a teacher with a vote on its label marked.

        Args:
            opinions: one a document.
            teachers: whose opinions count, in this order.
            labels: labels that come first, whether they occur or not; others follow by name.
        """
        number = {label: n for n, label in enumerate(labels)}
        spoken: list[tuple[int, int, frozenset[str] | None]] = []  # document, teacher, covers
        columns: tuple[list[int], list[int], list[int]] = ([], [], [])
        starts, ends, names = columns[0], columns[1], list[str]()
        owners: list[tuple[int, int, int]] = []  # document, teacher, number of spans
        extras: dict[tuple[int, int, int, str], Extra] = {}
        texts: list[str] = []
        for document, each in enumerate(opinions):
            texts.append(each.document.text)
            for teacher, name in enumerate(teachers):
                said = each.annotations.get(name)
                if said is None or said.failed:
                    continue
                covers, spans = said.covers, said.spans
                spoken.append((document, teacher, covers))
                if covers is not None:
                    spans = tuple(span for span in spans if span.label in covers)
                if not spans:
                    continue
                owners.append((document, teacher, len(spans)))
                starts.extend([span.start for span in spans])
                ends.extend([span.end for span in spans])
                names.extend([span.label for span in spans])
                for span in spans:
                    if span.code is not None or span.fragments:
                        key = (document, span.start, span.end, span.label)
                        code, fragments = extras.get(key, (None, ()))
                        extras[key] = (code if code is not None else span.code, fragments or span.fragments)
        known = {label for covers in {covers for *_, covers in spoken} for label in covers or ()}
        for label in sorted(known | set(names)):
            number.setdefault(label, len(number))
        knows = np.zeros((len(texts), len(teachers), len(number)), dtype=bool)
        for at, teacher, covers in spoken:
            knows[at, teacher, slice(None) if covers is None else [number[label] for label in covers]] = True
        owner = np.array(owners, dtype=np.int64).reshape(-1, 3)
        keys = np.stack(
            [
                np.repeat(owner[:, 0], owner[:, 2]),
                np.array(starts, dtype=np.int64),
                np.array(ends, dtype=np.int64),
                np.array([number[name] for name in names], dtype=np.int64),
            ]
        )
        by = np.repeat(owner[:, 1], owner[:, 2])
        order = np.lexsort(keys[::-1])
        keys = keys[:, order]
        new = np.ones(len(order), dtype=bool)
        new[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
        marks = np.zeros((int(new.sum()), len(teachers)), dtype=bool)
        marks[np.cumsum(new) - 1, by[order]] = True
        place = {(d, start, end, number[label]): extra for (d, start, end, label), extra in extras.items()}
        return cls(
            tuple(number),
            tuple(teachers),
            tuple(texts),
            keys[0, new],
            keys[1, new],
            keys[2, new],
            keys[3, new],
            marks,
            knows,
            place,
        )

    @cached_property
    def mentions(self) -> Mentions:
        """The candidates that mean the same mention, put together."""
        return Mentions.of(self)

    @cached_property
    def cover_kinds(self) -> tuple[Bools, Ints]:
        """What teachers know in a document: one of each kind, shape as `knows`, and each document's kind."""
        flat = self.knows.reshape(self.documents, len(self.teachers) * len(self.labels))
        _, first, kind = np.unique(flat, axis=0, return_index=True, return_inverse=True)
        return self.knows[first], kind.reshape(-1)

    def among_documents(self, documents: Bools) -> Candidates:
        """The same documents, as if nobody had said anything of some of them.

        Args:
            documents: which to keep opinions of.
        """
        kept = documents[self.document]
        return Candidates(
            self.labels,
            self.teachers,
            self.texts,
            self.document[kept],
            self.start[kept],
            self.end[kept],
            self.label[kept],
            self.marks[kept],
            self.knows & documents[:, None, None],
            self.extras,
        )

    def without(self, teacher: int) -> Candidates:
        """The same candidates with one teacher abstaining from all."""
        marks, knows = self.marks.copy(), self.knows.copy()
        marks[:, teacher] = knows[:, teacher] = False
        return replace(self, marks=marks, knows=knows)

    @property
    def documents(self) -> int:
        """The number of documents."""
        return len(self.texts)

    def only(self, teachers: Sequence[int]) -> Candidates:
        """The same documents and labels with some of the teachers, by their numbers."""
        marks = self.marks[:, teachers]
        kept = marks.any(axis=1)
        return Candidates(
            self.labels,
            tuple(self.teachers[teacher] for teacher in teachers),
            self.texts,
            self.document[kept],
            self.start[kept],
            self.end[kept],
            self.label[kept],
            marks[kept],
            self.knows[:, teachers],
            self.extras,
        )


@dataclass(frozen=True, eq=False)
class Mentions:
    """Candidates that mean the same mention, put together.

    Of a group of overlapping candidates, the one that most teachers marked (of these the longest) is the anchor of a
    mention. It takes all that overlap it, but for those that a teacher marked beside it (nested mentions); what is left
    makes further mentions in the same way. Teachers that agree on a mention but not on its edges or label so vote for
    one mention.

    Args:
        candidates: the spans.
        mention: the number of the mention that each candidate belongs to, shape ``(candidates,)``.
        anchor: the candidate at the heart of each mention, shape ``(mentions,)``.
        votes: by mention and teacher: 0 for no mark, ``k + 1`` for a mark with label ``k``, or :data:`ABSTAINS`.
            A teacher's span may be a vote for every mention that it reaches over.
    """

    candidates: Candidates
    mention: Ints
    anchor: Ints
    votes: NDArray[np.int16]

    @classmethod
    def of(cls, candidates: Candidates) -> Mentions:
        """Mentions of all documents at once."""
        group = overlap_groups(candidates)
        mention, anchor = _stars(candidates, group)
        return cls(candidates, mention, anchor, _votes(candidates, anchor))

    def __len__(self) -> int:
        return len(self.anchor)

    @property
    def document(self) -> Ints:
        """The document of each mention."""
        return self.candidates.document[self.anchor]

    @property
    def knows(self) -> Bools:
        """Whether a teacher has a vote on a label at a mention, shape ``(mentions, teachers, labels)``."""
        return self.candidates.knows[self.document]

    @cached_property
    def members(self) -> Ints:
        """The candidates, those of a mention side by side, the longest first."""
        return np.lexsort((self.candidates.start - self.candidates.end, self.mention))

    @cached_property
    def patterns(self) -> tuple[Ints, Ints]:
        """Mentions with the same votes by teachers that know the same labels: one of each kind, and each one's kind."""
        key = self.candidates.cover_kinds[1][self.document]
        base = len(self.candidates.labels) + 2
        for votes in self.votes.T:
            if key.max(initial=0) > 2**62 // base:
                key = np.unique(key, return_inverse=True)[1].reshape(-1)
            key = key * base + votes + 1
        _, first, kind = np.unique(key, return_index=True, return_inverse=True)
        return first, kind.reshape(-1)

    @cached_property
    def _edges(self) -> tuple[Ints, Ints]:
        """Candidates of a mention and label that begin at the same place have a number in common; likewise ends."""
        c = self.candidates
        of = self.mention * max(len(c.labels), 1) + c.label
        size = int(c.end.max(initial=0)) + 1
        starts, ends = (np.unique(of * size + edge, return_inverse=True)[1].reshape(-1) for edge in (c.start, c.end))
        return starts, ends

    def edge_support(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The vote on the edges of each candidate: the weight of those who gave both, its start, and its end.

        Args:
            weights: of each teacher's vote, by label, shape ``(teachers, labels)``.
        """
        both = (self.candidates.marks @ weights)[np.arange(len(self.mention)), self.candidates.label]
        starts, ends = (np.bincount(kind, both)[kind] for kind in self._edges)
        support: NDArray[np.float64] = both + starts + ends
        return support

    def best(self, rank: NDArray[np.float64]) -> Ints:
        """The candidate of each mention with the highest rank, of equal ones the longest; none where all are -inf."""
        if not len(rank):
            return np.zeros(0, dtype=np.int64)
        ordered, mention = rank[self.members], self.mention[self.members]
        starts = np.flatnonzero(np.diff(mention, prepend=-1))
        highest = np.maximum.reduceat(ordered, starts)
        at = np.flatnonzero((ordered == highest[mention]) & (ordered > -np.inf))
        return self.members[at[np.flatnonzero(np.diff(mention[at], prepend=-1))]]


def first_of_each(group: NDArray[Any], order: Ints) -> Ints:
    """Of each group, the member that comes first in `order`, which must have groups side by side."""
    sorted_group = group[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = sorted_group[1:] != sorted_group[:-1]
    picked: Ints = order[first]
    return picked


def overlap_groups(c: Candidates) -> Ints:
    """The number of the group of overlapping candidates that each belongs to; candidates are sorted by place."""
    if not len(c.start):
        return np.zeros(0, dtype=np.int64)
    size = int(c.end.max()) + 1
    start, end = c.document * size + c.start, c.document * size + c.end
    new = np.ones(len(start), dtype=bool)
    new[1:] = start[1:] >= np.maximum.accumulate(end)[:-1]
    group: Ints = np.cumsum(new) - 1
    return group


def _stars(c: Candidates, group: Ints) -> tuple[Ints, Ints]:
    """The mention of each candidate and the anchor of each mention, mentions by place of their anchors."""
    support = c.marks.sum(axis=1)
    owner = np.full(len(group), -1, dtype=np.int64)  # the anchor of each candidate
    left = np.arange(len(group))
    while len(left):
        order = left[
            np.lexsort((c.label[left], c.start[left], c.start[left] - c.end[left], -support[left], group[left]))
        ]
        anchors = first_of_each(group, order)
        anchor = anchors[np.searchsorted(group[anchors], group[left])]
        joins = _is_one_mention(c, anchor, left)
        owner[left[joins]] = anchor[joins]
        left = left[~joins]
    anchors, mention = np.unique(owner, return_inverse=True)
    return mention.reshape(-1), anchors


def _is_one_mention(c: Candidates, one: Ints, other: Ints) -> Bools:
    overlap = (c.start[one] < c.end[other]) & (c.start[other] < c.end[one])
    found: Bools = overlap & ((one == other) | ~told_apart(c, one, other))
    return found


def told_apart(candidates: Candidates, one: Ints, other: Ints) -> Bools:
    """Whether a teacher marked both: to it they are two mentions, nested or crossing."""
    marks = candidates.marks
    apart: Bools = np.any(marks[one] & marks[other], axis=1)
    return apart


def _votes(c: Candidates, anchor: Ints) -> NDArray[np.int16]:
    """What each teacher says of each mention: the label of its span there, if several the nearest to the anchor's."""
    votes = np.where(c.knows.any(axis=2), 0, ABSTAINS).astype(np.int16)[c.document[anchor]]
    # Pair every anchor with the candidates that may overlap it: none before the first that reaches beyond its start.
    line = c.document * (int(c.end.max(initial=0)) + 1)
    first = np.searchsorted(np.maximum.accumulate(line + c.end), (line + c.start)[anchor], side="right")
    sizes = np.searchsorted(line + c.start, (line + c.end)[anchor]) - first
    mention = np.repeat(np.arange(len(anchor)), sizes)
    within = np.arange(len(mention)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    candidate = np.repeat(first, sizes) + within
    paired = _is_one_mention(c, anchor[mention], candidate)
    mention, candidate = mention[paired], candidate[paired]
    # Those that differ most from the anchor first, so that nearer ones of the same teacher overwrite them.
    far = np.abs(c.start[candidate] - c.start[anchor[mention]]) + np.abs(c.end[candidate] - c.end[anchor[mention]])
    order = np.lexsort((-far, c.label[candidate] == c.label[anchor[mention]]))
    row, teacher = np.nonzero(c.marks[candidate[order]])
    votes[mention[order][row], teacher] = c.label[candidate[order]][row] + 1
    return votes

"""Which documents the teachers disagree on most: a queue for people to review."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import fsum
from typing import Any

import numpy as np

from clinidistill.aggregation.base import covered
from clinidistill.aggregation.clusters import Clusters
from clinidistill.aggregation.mentions import Candidates
from clinidistill.datasets.base import Dataset, MemoryDataset
from clinidistill.errors import ConfigError
from clinidistill.labels import Labels
from clinidistill.types import Document, Span

__all__ = ["ContestedSpan", "DocumentDisagreement", "disagreements", "review_queue"]

SOURCE = "teachers"
"""Whose the spans of a review queue are."""


@dataclass(frozen=True, slots=True)
class ContestedSpan:
    """A place where teachers with a vote on a label answer differently: a mention or none, or other edges.

    Args:
        start: offset of the first character that any of them marked.
        end: offset after the last one.
        label: the label.
        marked_by: who marked something there, in the order of the teachers.
        voters: number of teachers with a vote on the label.
        disagreement: vote entropy of their answers in bits.
    """

    start: int
    end: int
    label: str
    marked_by: tuple[str, ...]
    voters: int
    disagreement: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "start": self.start,
            "end": self.end,
            "label": self.label,
            "marked_by": list(self.marked_by),
            "voters": self.voters,
            "disagreement": self.disagreement,
        }


@dataclass(frozen=True, slots=True)
class DocumentDisagreement:
    """How much the teachers disagree on one document.

    Args:
        document_id: the document's id.
        disagreement: sum of the vote entropies of its contested spans, in bits.
        contested: these, by place.
    """

    document_id: str
    disagreement: float
    contested: tuple[ContestedSpan, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "id": self.document_id,
            "disagreement": self.disagreement,
            "contested": [span.to_dict() for span in self.contested],
        }


def disagreements(clusters: Clusters, ids: Iterable[str]) -> list[DocumentDisagreement]:
    """The disagreement on each document, in the order of `ids`, the documents' ids."""
    c, entropy = clusters.candidates, clusters.entropy()
    found: list[list[ContestedSpan]] = [[] for _ in range(c.documents)]
    contested = np.flatnonzero(entropy > 0)
    place = np.lexsort((clusters.label[contested], clusters.end[contested], clusters.start[contested]))
    for n in contested[place].tolist():
        marked = tuple(c.teachers[teacher] for teacher in np.flatnonzero(clusters.spans[n]))
        span = ContestedSpan(
            int(clusters.start[n]),
            int(clusters.end[n]),
            c.labels[clusters.label[n]],
            marked,
            int(clusters.voters[n].sum()),
            float(entropy[n]),
        )
        found[clusters.document[n]].append(span)
    return [
        DocumentDisagreement(key, fsum(span.disagreement for span in spans), tuple(spans))
        for key, spans in zip(ids, found, strict=True)
    ]


def review_queue(labels: Labels, limit: int | None = None) -> Dataset:
    """The documents with a merged pre-annotation, those that the teachers disagree on most first.

    Spans of one label that overlap are one cluster; a teacher's answer to it is the set of its spans there, empty if it
    looked for the label and marked none. The disagreement on a document is the sum over its clusters of the entropy,
    in bits, of the answers of those with a vote: two teachers of whom one marks a mention give 1 bit, ten that all
    agree give none. Long documents so come before short ones with as large a share of contested mentions; there is
    more in them to review. Equal ones stay in their order, and documents without disagreement come last.

    Each cluster is pre-annotated with the most frequent answer of those who marked anything (of equally frequent ones
    the first teacher's), its score the share of voters that did. Discontinuous mentions become their enclosing span.
    ``meta["disagreement"]`` holds the number of bits, ``meta["contested"]`` the :class:`ContestedSpan`\\ s as objects;
    ``covers`` is what at least one teacher looked for.

    Args:
        labels: the teachers' opinions.
        limit: how many documents; None takes all.

    Returns:
        The documents, in memory. ``queue.save("review.json", "label-studio")`` and ``queue.save("review.jsonl",
        "doccano")`` make pre-annotated projects of them; what people then export is read with the same formats.

    Raises:
        ConfigError: if `limit` is below 0.

    >>> notes = [Document("n1", "On aspirin."), Document("n2", "On aspirin.")]
    >>> aspirin = Span(3, 10, "medication")
    >>> said = {"a": {"n1": [aspirin], "n2": [aspirin]}, "b": {"n1": [aspirin], "n2": []}}
    >>> labels = Labels.from_annotations(notes, said)
    >>> [(note.id, note.meta["disagreement"]) for note in review_queue(labels)]
    [('n2', 1.0), ('n1', 0.0)]
    """
    if limit is not None and limit < 0:
        raise ConfigError(f"limit must be 0 or more documents, or None for all, not {limit}")
    ids: list[str] = []

    def seen() -> Iterator[Any]:
        for opinions in labels:
            ids.append(opinions.document.id)
            yield opinions

    clusters = Clusters.of(Candidates.of(seen(), labels.teachers))
    ranked = disagreements(clusters, ids)
    order = sorted(range(len(ranked)), key=lambda n: -ranked[n].disagreement)[:limit]
    rank = {number: place for place, number in enumerate(order)}
    merged = _merged(clusters)
    queue: list[tuple[int, Document]] = []
    for number, opinions in enumerate(labels):
        if number not in rank:
            continue
        note = opinions.document.with_spans(merged.get(number, ()), covered(opinions))
        about = ranked[number].to_dict()
        meta = {**note.meta, "disagreement": about["disagreement"], "contested": about["contested"]}
        queue.append((rank[number], replace(note, meta=meta)))
    view = MemoryDataset(document for _, document in sorted(queue, key=lambda each: each[0]))
    view.is_deidentified = labels.documents.is_deidentified
    return view


def _merged(clusters: Clusters) -> dict[int, list[Span]]:
    """The spans of each cluster's most frequent answer that is not empty, by document."""
    c = clusters.candidates
    alike = np.where(clusters.spans > 0, clusters.alike(), 0)
    winner, share = alike.argmax(axis=1), (clusters.spans > 0).sum(axis=1) / clusters.voters.sum(axis=1)
    merged: dict[int, list[Span]] = {}
    for row in np.flatnonzero(c.marks[np.arange(len(c.start)), winner[clusters.of_candidate]]):
        score = float(share[clusters.of_candidate[row]])
        span = Span(int(c.start[row]), int(c.end[row]), c.labels[c.label[row]], score, SOURCE)
        merged.setdefault(int(c.document[row]), []).append(span)
    return merged

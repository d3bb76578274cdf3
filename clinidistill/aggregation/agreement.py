"""How far teachers agree: pairwise F1, Krippendorff's alpha, coverage, conflicts, and who finds what alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clinidistill.aggregation.clusters import Clusters
from clinidistill.aggregation.mentions import Bools, Candidates, Ints
from clinidistill.aggregation.pairwise import found_alone, pairwise_f1
from clinidistill.aggregation.reliability import Tokens, coincidences, krippendorff_alpha
from clinidistill.aggregation.review import DocumentDisagreement, disagreements
from clinidistill.errors import ConfigError
from clinidistill.evaluation.tables import SpanTable, overlapping_pairs
from clinidistill.evaluation.text_table import text_table
from clinidistill.labels import Labels

__all__ = ["Agreement", "LabelConflicts", "PairAgreement", "TeacherCoverage", "agreement"]

_LISTED = 5  # documents in the printed form

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """F1 between two teachers, over the documents and labels on which both have a vote.

    Neither is gold: F1 is the same either way. None where neither marked anything, which leaves it undefined.

    Args:
        first, second: the teachers' names.
        documents: number of documents in which both have a vote on some label.
        strict: F1 of mentions with equal offsets and label, all labels together.
        lenient: F1 of mentions that overlap and have equal labels, each used once, all labels together.
        per_label: the two for each label, strict first.
    """

    first: str
    second: str
    documents: int
    strict: float | None
    lenient: float | None
    per_label: Mapping[str, tuple[float | None, float | None]]


@dataclass(frozen=True, slots=True)
class TeacherCoverage:
    """What one teacher says of one label.

    Args:
        teacher: the teacher's name.
        label: the label.
        documents: number of documents in which it has a vote on the label.
        coverage: these as a share of all documents.
        mentions: number of mentions it marked, by distinct offsets.
        alone: number of these that no other teacher's mention of the label overlaps, though another has a vote.
    """

    teacher: str
    label: str
    documents: int
    coverage: float
    mentions: int
    alone: int

    @property
    def per_document(self) -> float:
        """Mean mentions in a document in which it has a vote; 0 where it has none."""
        return self.mentions / self.documents if self.documents else 0.0

    @property
    def alone_share(self) -> float:
        """Share of its mentions that nobody else marks."""
        return self.alone / self.mentions if self.mentions else 0.0


@dataclass(frozen=True, slots=True)
class LabelConflicts:
    """How teachers differ on one label, counted in clusters: mentions of the label joined where they overlap.

    Only clusters on which at least two teachers have a vote count. One may be in `edges` and in `partial`.

    Args:
        label: the label.
        clusters: number of clusters.
        agreed: those in which all that have a vote marked the same mentions.
        edges: those in which two teachers marked mentions with different edges.
        partial: those in which some with a vote marked mentions and others none.
        other_labels: by other label, in how many clusters of this one somebody marked a cluster of the other that
            overlaps it, and not this one, where somebody else marked this one and not the other.
    """

    label: str
    clusters: int
    agreed: int
    edges: int
    partial: int
    other_labels: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far teachers agree. Printed, it is tables; :meth:`to_dict` is for programs. Holds no note text.

    Args:
        teachers: the teachers' names.
        pairs: every two teachers.
        alpha: Krippendorff's alpha of each label; None where it is undefined, since all who voted said the same.
        overall_alpha: alpha over all labels, each token counting once for every label.
        coverage: every teacher with every label.
        conflicts: every label.
        documents: the documents, those with most disagreement first.
    """

    teachers: tuple[str, ...]
    pairs: tuple[PairAgreement, ...]
    alpha: Mapping[str, float | None]
    overall_alpha: float | None
    coverage: tuple[TeacherCoverage, ...]
    conflicts: tuple[LabelConflicts, ...]
    documents: tuple[DocumentDisagreement, ...]

    def pair(self, one: str, other: str) -> PairAgreement:
        """The agreement between two teachers, in either order.

        Raises:
            ConfigError: if they are not two of the teachers.
        """
        for each in self.pairs:
            if {each.first, each.second} == {one, other}:
                return each
        raise ConfigError(f"no two teachers are called {one!r} and {other!r}; teachers: {', '.join(self.teachers)}")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "teachers": list(self.teachers),
            "pairs": [
                {
                    "teachers": [pair.first, pair.second],
                    "documents": pair.documents,
                    "strict": pair.strict,
                    "lenient": pair.lenient,
                    "per_label": {
                        label: {"strict": strict, "lenient": lenient}
                        for label, (strict, lenient) in pair.per_label.items()
                    },
                }
                for pair in self.pairs
            ],
            "alpha": {"overall": self.overall_alpha, "per_label": dict(self.alpha)},
            "coverage": [
                {
                    "teacher": each.teacher,
                    "label": each.label,
                    "documents": each.documents,
                    "coverage": each.coverage,
                    "mentions": each.mentions,
                    "per_document": each.per_document,
                    "alone": each.alone,
                    "alone_share": each.alone_share,
                }
                for each in self.coverage
            ],
            "conflicts": [
                {
                    "label": each.label,
                    "clusters": each.clusters,
                    "agreed": each.agreed,
                    "edges": each.edges,
                    "partial": each.partial,
                    "other_labels": dict(each.other_labels),
                }
                for each in self.conflicts
            ],
            "documents": [document.to_dict() for document in self.documents],
        }

    def __str__(self) -> str:
        return "\n\n".join(f"{title}\n{table}" for title, table in self._tables())

    def _tables(self) -> Iterator[tuple[str, str]]:
        number = {teacher: n for n, teacher in enumerate(self.teachers, 1)}
        cells = {(each.first, each.second): (each.strict, each.lenient) for each in self.pairs}
        yield (
            "F1 between teachers, strict above the diagonal, lenient below",
            text_table(
                ["", *number.values()],
                [
                    [
                        f"{number[one]} {one}",
                        *(
                            "" if one == other else _shown(cells[one, other][0] if n < m else cells[other, one][1])
                            for m, other in enumerate(self.teachers)
                        ),
                    ]
                    for n, one in enumerate(self.teachers)
                ],
            ),
        )
        yield (
            "By label: Krippendorff's alpha over tokens, mean F1 of the pairs, clusters of overlapping mentions",
            text_table(
                ["", "alpha", "strict", "lenient", "clusters", "agreed", "other edges", "by some only", "other label"],
                [
                    [
                        each.label,
                        _shown(self.alpha[each.label]),
                        *(_shown(_mean(pair.per_label[each.label][n] for pair in self.pairs)) for n in (0, 1)),
                        *(each.clusters, each.agreed, each.edges, each.partial),
                        ", ".join(f"{other} {count}" for other, count in each.other_labels.items()) or "-",
                    ]
                    for each in self.conflicts
                ]
                + [["all", _shown(self.overall_alpha), *map(_shown, _overall(self.pairs)), *[""] * 5]],
            ),
        )
        yield (
            "What each teacher says: share of documents with a vote, mentions a document, found by no other",
            text_table(
                ["", "label", "vote", "mentions", "a document", "alone", "share"],
                [
                    [
                        *(each.teacher, each.label, each.coverage, each.mentions, f"{each.per_document:.1f}"),
                        *(each.alone, each.alone_share),
                    ]
                    for each in self.coverage
                ],
            ),
        )
        if worst := [each for each in self.documents[:_LISTED] if each.disagreement]:
            yield (
                "Documents with most disagreement, in bits",
                text_table(
                    ["", "bits", "contested"],
                    [[each.document_id, f"{each.disagreement:.1f}", len(each.contested)] for each in worst],
                ),
            )


def agreement(labels: Labels) -> Agreement:
    """How far the teachers agree with one another; no gold is needed.

    A teacher abstains on labels outside its ``covers``, and on documents on which it failed or that it has not seen.
    Mentions stand at their enclosing offsets, as in :func:`clinidistill.evaluate`.

    Krippendorff's alpha takes tokens (``\\w+|[^\\w\\s]``) as units and "marked with the label" or "not" as nominal
    values; a teacher that abstains has no value. Overall, every token with every label is a unit. The fragments of
    discontinuous mentions count, their gaps do not. After Krippendorff, Computing Krippendorff's Alpha-Reliability
    (2011), https://repository.upenn.edu/asc_papers/43

    Args:
        labels: the opinions of at least two teachers.

    Raises:
        ConfigError: if there are fewer.

    >>> from clinidistill.types import Document, Span
    >>> note = Document("n1", "Aspirin for chest pain.")
    >>> said = {"a": [Span(0, 7, "medication"), Span(12, 22, "symptom")], "b": [Span(18, 22, "symptom")]}
    >>> labels = Labels.from_annotations([note], {teacher: {"n1": spans} for teacher, spans in said.items()})
    >>> pair = agreement(labels).pair("a", "b")  # b is taken to know symptoms only
    >>> pair.strict, pair.lenient
    (0.0, 1.0)
    """
    if len(labels.teachers) < 2:
        raise ConfigError("agreement is between at least two teachers")
    tokens = Tokens()
    c = Candidates.of(tokens.watch(labels), labels.teachers)
    clusters = Clusters.of(c)
    table = SpanTable(c.document, c.start, c.end, c.label, documents=c.documents, labels=c.labels)
    one, other = overlapping_pairs(table, table)
    counts = coincidences(c, tokens)
    ranked = disagreements(clusters, tokens.ids)
    return Agreement(
        c.teachers,
        tuple(_pairs(c, *pairwise_f1(clusters))),
        {label: krippendorff_alpha(*each) for label, each in zip(c.labels, counts, strict=True)},
        krippendorff_alpha(*counts.sum(axis=0)),
        tuple(_coverage(c, found_alone(c, one, other))),
        tuple(_conflicts(clusters, one, other)),
        tuple(sorted(ranked, key=lambda each: -each.disagreement)),
    )


def _pairs(c: Candidates, strict: Floats, lenient: Floats) -> Iterator[PairAgreement]:
    """Pairs from F1 of shape ``(labels + 1, teachers, teachers)``, all labels together last."""
    for one, other in combinations(range(len(c.teachers)), 2):
        both = int((c.knows[:, one] & c.knows[:, other]).any(axis=1).sum())
        *of_labels, overall = [
            (_known(strict[n, one, other]), _known(lenient[n, one, other])) for n in range(len(strict))
        ]
        per_label = dict(zip(c.labels, of_labels, strict=True))
        yield PairAgreement(c.teachers[one], c.teachers[other], both, *overall, per_label)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _coverage(c: Candidates, alone: Bools) -> Iterator[TeacherCoverage]:
    for teacher, name in enumerate(c.teachers):
        for label, label_name in enumerate(c.labels):
            voted, its = int(c.knows[:, teacher, label].sum()), c.label == label
            mentions = int(c.marks[its, teacher].sum())
            share = voted / max(c.documents, 1)
            yield TeacherCoverage(name, label_name, voted, share, mentions, int(alone[its, teacher].sum()))


def _conflicts(clusters: Clusters, one: Ints, other: Ints) -> Iterator[LabelConflicts]:
    labels, marked = clusters.candidates.labels, clusters.spans > 0
    asked = clusters.voters.sum(axis=1) > 1
    first = np.where(marked, clusters.answer, 0).max(axis=1, keepdims=True)
    edges = (marked & (clusters.answer != first)).any(axis=1)
    partial = (clusters.voters & ~marked).any(axis=1)
    crossing = np.unique(np.stack([clusters.of_candidate[one], clusters.of_candidate[other]]), axis=1)
    mine, theirs = crossing[:, clusters.label[crossing[0]] != clusters.label[crossing[1]]]
    opposed = (marked[mine] & ~marked[theirs]).any(axis=1) & (marked[theirs] & ~marked[mine]).any(axis=1)
    # A cluster that overlaps two of another label counts once.
    found = np.unique(np.stack([mine[opposed], clusters.label[theirs[opposed]]]), axis=1)
    confused = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(confused, (clusters.label[found[0]], found[1]), 1)
    for label, name in enumerate(labels):
        its = asked & (clusters.label == label)
        agreed, other_edges, by_some = (int((its & each).sum()) for each in (~edges & ~partial, edges, partial))
        others = {labels[n]: int(confused[label, n]) for n in np.flatnonzero(confused[label])}
        yield LabelConflicts(name, int(its.sum()), agreed, other_edges, by_some, others)


def _overall(pairs: Sequence[PairAgreement]) -> list[float | None]:
    return [_mean(pair.strict for pair in pairs), _mean(pair.lenient for pair in pairs)]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _shown(value: float | None) -> float | str:
    return "-" if value is None else value

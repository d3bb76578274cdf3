"""Every two teachers' mentions against each other, for all documents at once."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from clinidistill.aggregation.clusters import Clusters
from clinidistill.aggregation.mentions import Bools, Candidates, Ints
from clinidistill.evaluation.matching import count_overlap_matches

__all__ = ["found_alone", "pairwise_f1"]

Floats = NDArray[np.float64]


def pairwise_f1(clusters: Clusters) -> tuple[Floats, Floats]:
    """Strict and lenient F1 between every two teachers where both have a vote, NaN where neither marked anything.

    Returns:
        Two arrays of shape ``(labels + 1, teachers, teachers)``, all labels together last.
    """
    c = clusters.candidates
    lenient, strict = _overlap_matches(clusters), np.zeros((len(c.labels), len(c.teachers), len(c.teachers)))
    mentions = strict.copy()  # of the first teacher, where the second has a vote
    for label in range(len(c.labels)):
        its = c.label == label
        marks = c.marks[its].astype(np.float64)
        strict[label] = marks.T @ marks
        mentions[label] = marks.T @ c.knows[c.document[its], :, label].astype(np.float64)
    both = _with_total(mentions + mentions.transpose(0, 2, 1))
    strict, lenient = (
        np.divide(2 * _with_total(each), both, where=both > 0, out=np.full_like(both, np.nan))
        for each in (strict, lenient)
    )
    return strict, lenient


def found_alone(c: Candidates, one: Ints, other: Ints) -> Bools:
    """Whether a teacher's span overlaps no span of the same label by others, though another has a vote.

    Args:
        c: the spans.
        one, other: the rows of all spans that overlap each other, in both orders, each span with itself too.

    Returns:
        An array of shape ``(candidates, teachers)``.
    """
    same = c.label[one] == c.label[other]
    one, other = one[same], other[same]
    near = np.zeros(c.marks.shape, dtype=np.int64)  # spans of each teacher that overlap the row's
    row, teacher = np.nonzero(c.marks[other])
    np.add.at(near, (one[row], teacher), 1)
    by_others = near.sum(axis=1, keepdims=True) - near
    asked = c.knows[c.document, :, c.label].sum(axis=1, keepdims=True) > 1
    alone: Bools = c.marks & (by_others == 0) & asked
    return alone


def _with_total(counts: Floats) -> Floats:
    return np.concatenate([counts, counts.sum(axis=0, keepdims=True)])


def _overlap_matches(clusters: Clusters) -> Floats:
    """The most pairs of overlapping mentions of two teachers, each used once, by label and teachers.

    The diagonal means nothing.
    """
    c, several = clusters.candidates, clusters.spans > 1
    matches = np.zeros((len(c.labels), len(c.teachers), len(c.teachers)))
    # Where both have one span in a cluster, it is a pair if the two overlap.
    start, end = (np.zeros(clusters.spans.shape, dtype=np.int64) for _ in range(2))
    row, teacher = np.nonzero(c.marks)
    for column, places in ((start, c.start), (end, c.end)):
        column[clusters.of_candidate[row], teacher] = places[row]
    single = clusters.spans == 1
    one_hot = (clusters.label == np.arange(len(c.labels))[:, None]).astype(np.float64)
    for one in range(len(c.teachers)):
        meets = single & single[:, [one]] & (start < end[:, [one]]) & (start[:, [one]] < end)
        matches[:, one] += one_hot @ meets.astype(np.float64)
    # Elsewhere, which is rare, they are matched.
    order = np.argsort(clusters.of_candidate, kind="stable")
    first = np.searchsorted(clusters.of_candidate[order], np.arange(len(clusters) + 1))
    for cluster in np.flatnonzero(several.any(axis=1)).tolist():
        rows = order[first[cluster] : first[cluster + 1]]
        extents = list(zip(c.start[rows].tolist(), c.end[rows].tolist(), strict=True))
        marked = np.flatnonzero(clusters.spans[cluster]).tolist()
        of = {teacher: [extents[n] for n in np.flatnonzero(c.marks[rows, teacher])] for teacher in marked}
        for one, other in combinations(marked, 2):
            if several[cluster, one] or several[cluster, other]:
                matches[clusters.label[cluster], [one, other], [other, one]] += count_overlap_matches(
                    of[one], of[other]
                )
    return matches

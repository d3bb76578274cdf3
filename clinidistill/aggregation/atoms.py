"""Groups of overlapping candidates as short sequences of tags, one for each teacher."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clinidistill.aggregation.mentions import ABSTAINS, Candidates, overlap_groups
from clinidistill.evaluation.tokens import overlapped_tokens

__all__ = ["Atoms", "Bucket"]

Ints = NDArray[np.int64]
_LENGTHS = np.array([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256])


@dataclass(frozen=True, slots=True)
class Bucket:
    """Sequences of about the same length; equal ones are kept once.

    Args:
        tags: shape ``(sequences, length, teachers)``: 0 outside, ``2k + 1`` begins and ``2k + 2`` goes on with label
            ``k``; :data:`ABSTAINS` for a teacher without a vote.
        length: the true length of each sequence; what follows is padding.
        knows: which labels each teacher has a vote on, shape ``(sequences, teachers, labels)``.
        count: how many groups look like this.
        sequence: the sequence that each group of the bucket looks like.
        groups: the groups' numbers.
    """

    tags: NDArray[np.int16]
    length: Ints
    knows: NDArray[np.bool_]
    count: Ints
    sequence: Ints
    groups: Ints


@dataclass(frozen=True, slots=True)
class Atoms:
    """The tokens of text that candidates cover, cut further where a candidate begins or ends within one.

    Args:
        group: the group of overlapping candidates that each candidate belongs to.
        first, last: the candidate's atoms within its group, half-open.
        buckets: all groups, by length.
    """

    group: Ints
    first: Ints
    last: Ints
    buckets: list[Bucket]

    @classmethod
    def of(cls, c: Candidates) -> Atoms:
        """The atoms of all documents."""
        group = overlap_groups(c)
        if not len(group):
            return cls(group, group, group, [])
        size = int(c.end.max()) + 1
        opening = np.searchsorted(group, np.arange(group[-1] + 1))
        final = np.maximum.reduceat(c.end, opening)
        texts = [c.texts[n] for n in c.document[opening].tolist()]
        owner, token = overlapped_tokens(texts, c.start[opening], final)
        inner = token >= c.start[opening][owner]  # all but a word that begins before its group
        cuts = (group * size + c.start, group * size + _ends(c, group, final), (owner * size + token)[inner])
        points = np.sort(np.concatenate(cuts))
        points = points[np.diff(points, prepend=-1) > 0]
        offset = np.searchsorted(points, np.arange(group[-1] + 2) * size)
        first = np.searchsorted(points, group * size + c.start)
        last = np.searchsorted(points, group * size + c.end)
        length = offset[1:] - offset[:-1] - 1
        # Longer spans last, so that of a teacher's overlapping spans the longest counts.
        candidate, teacher = np.nonzero(c.marks)
        order = np.argsort((last - first)[candidate], kind="stable")
        candidate, teacher = candidate[order], teacher[order]
        sizes = (last - first)[candidate]
        pair = np.repeat(np.arange(len(candidate)), sizes)
        within = np.arange(len(pair)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        document = np.empty(len(length), dtype=np.int64)
        document[group] = c.document
        silent = np.where(c.knows.any(axis=2), 0, ABSTAINS).astype(np.int16)
        tags = silent[np.repeat(document, length + 1)]  # a row a point; the last of a group is no atom
        tags[first[candidate][pair] + within, teacher[pair]] = 2 * c.label[candidate][pair] + 1 + (within > 0)
        covers, kind = c.cover_kinds
        buckets = []
        for at, longest in enumerate(_LENGTHS):
            shortest = _LENGTHS[at - 1] if at else 0
            is_last = at == len(_LENGTHS) - 1
            groups = np.flatnonzero((length > shortest) & ((length <= longest) | is_last))
            if not len(groups):
                continue
            width = int(length[groups].max())
            rows = offset[groups][:, None] + np.minimum(np.arange(width), length[groups][:, None])
            padded = tags[rows]
            padded[np.arange(width) >= length[groups][:, None]] = ABSTAINS
            keys = np.concatenate(
                [
                    padded.reshape(len(groups), -1),
                    kind[document[groups]][:, None],
                    length[groups][:, None],
                ],
                axis=1,
            ).astype(np.int32)
            view = np.ascontiguousarray(keys).view(np.dtype((np.void, keys.itemsize * keys.shape[1]))).reshape(-1)
            _, chosen, sequence, count = np.unique(view, return_index=True, return_inverse=True, return_counts=True)
            knows = covers[keys[chosen, -2]]
            buckets.append(Bucket(padded[chosen], length[groups][chosen], knows, count, sequence.reshape(-1), groups))
        start = offset[group]
        return cls(group, first - start, last - start, buckets)


def _ends(c: Candidates, group: Ints, final: Ints) -> Ints:
    """Where each candidate's last atom ends: at its end within a word, else where its group ends (a point anyway)."""
    ends = c.end.copy()
    inside = np.flatnonzero(c.end < final[group])
    after = [
        c.texts[n][end : end + 1] for n, end in zip(c.document[inside].tolist(), c.end[inside].tolist(), strict=True)
    ]
    spaced = inside[[character.isspace() for character in after]]
    ends[spaced] = final[group[spaced]]
    return ends

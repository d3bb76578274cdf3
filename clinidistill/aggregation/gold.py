"""What people marked in documents that teachers marked, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clinidistill.aggregation.mentions import ABSTAINS, Candidates, Mentions
from clinidistill.errors import ConfigError
from clinidistill.evaluation.tables import SpanTable, overlapping_pairs
from clinidistill.labels import Opinions
from clinidistill.types import Document

__all__ = ["Gold"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Gold:
    """Human labels beside candidates, as arrays.

    Args:
        truth: of each candidate 1 if people marked exactly it, 0 if not, -1 if they did not look.
        looked: whether people looked for a label in a document, shape ``(documents, labels)``.
        spans: people's spans, rows of document, start, end and label, sorted; shape ``(spans, 4)``.
    """

    truth: NDArray[np.int8]
    looked: Bools
    spans: Ints

    @classmethod
    def of(cls, candidates: Candidates, opinions: Sequence[Opinions], dev: Mapping[str, Document], who: str) -> Gold:
        """Gold for the documents of `opinions` that are in `dev`, by id.

        Raises:
            ConfigError: if there are none, or the texts of one differ.
        """
        known = [dev.get(each.document.id) for each in opinions]
        if not any(document is not None for document in known):
            raise ConfigError(
                f"{who}: none of the {len(dev)} dev documents is among the labels; let the teachers label them, too, "
                "and give fit the labels of both"
            )
        number = {label: n for n, label in enumerate(candidates.labels)}
        looked = np.zeros((len(known), len(number)), dtype=bool)
        rows: set[tuple[int, int, int, int]] = set()
        for n, (document, each) in enumerate(zip(known, opinions, strict=True)):
            if document is None:
                continue
            if document.text != each.document.text:
                raise ConfigError(f"{who}: the dev document {document.id!r} has another text than its labels")
            looked[n] = [document.covers_label(label) for label in candidates.labels]
            spans = [span for span in document.spans if span.label in number and document.covers_label(span.label)]
            rows.update((n, span.start, span.end, number[span.label]) for span in spans)
        c = candidates
        truth = looked[c.document, c.label].astype(np.int8) - 1
        columns = (c.document.tolist(), c.start.tolist(), c.end.tolist(), c.label.tolist())
        truth[[n for n, row in enumerate(zip(*columns, strict=True)) if row in rows]] = 1
        return cls(truth, looked, np.array(sorted(rows), dtype=np.int64).reshape(-1, 4))

    def within(self, candidates: Candidates, documents: Bools) -> Gold:
        """The same for some of the documents; people have not looked at the others."""
        return Gold(
            np.where(documents[candidates.document], self.truth, -1).astype(np.int8),
            self.looked & documents[:, None],
            self.spans[documents[self.spans[:, 0]]],
        )

    def only(self, kept: Bools) -> Gold:
        """The same for some of the candidates."""
        return Gold(self.truth[kept], self.looked, self.spans)

    def parts(self, number: int, seed: int) -> list[Bools]:
        """The documents that people looked at, in so many random parts of about the same size, each as a mask."""
        documents = np.flatnonzero(self.looked.any(axis=1))
        shuffled = np.random.default_rng(seed).permutation(documents)
        masks = []
        for part in np.array_split(shuffled, min(number, len(shuffled))) if len(shuffled) else []:
            mask = np.zeros(len(self.looked), dtype=bool)
            mask[part] = True
            masks.append(mask)
        return masks

    def strict_f1(self, kept: Ints) -> float:
        """Strict micro F1 of kept candidates, where people looked."""
        judged = self.truth[kept]
        found = int((judged >= 0).sum())
        return 2 * int((judged == 1).sum()) / max(found + len(self.spans), 1)

    def classes(self, mentions: Mentions) -> Ints:
        """The true class of each mention: 0 for none, ``k + 1`` for label ``k``, below 0 where people did not look.

        A mention is what people call a mention that overlaps its anchor, of its own label if there is one.
        """
        c, anchor = mentions.candidates, mentions.anchor
        looked = self.looked[c.document[anchor]]
        classes = np.where(looked.all(axis=1), 0, ABSTAINS)
        document, start, end, label = self.spans.T
        wanted, found = (
            SpanTable(*columns, documents=c.documents, labels=c.labels)
            for columns in (
                (document, start, end, label),
                (c.document[anchor], c.start[anchor], c.end[anchor], c.label[anchor]),
            )
        )
        span, mention = overlapping_pairs(wanted, found)  # both are sorted already: rows keep their places
        shared = np.minimum(wanted.end[span], found.end[mention]) - np.maximum(wanted.start[span], found.start[mention])
        order = np.lexsort((shared, wanted.label[span] == found.label[mention]))  # the best last: it overwrites
        classes[mention[order]] = wanted.label[span[order]] + 1
        return classes

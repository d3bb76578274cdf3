"""What label models share: from opinions to mentions, from what is believed of mentions to silver spans."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from clinidistill.aggregation.base import Aggregator
from clinidistill.aggregation.gold import Gold
from clinidistill.aggregation.mentions import Candidates, Mentions, told_apart
from clinidistill.errors import ConfigError, OptionError
from clinidistill.labels import Labels, Opinions
from clinidistill.types import Document, Span, flatten

__all__ = ["Beliefs", "Floats", "LabelModel"]

Floats = NDArray[np.float64]


class Beliefs:
    """What a label model believes: how likely each candidate is a mention, and which candidates it would keep.

    Args:
        score: between 0 and 1 for each candidate: the silver span's score if it is kept.
        rank: a number for each candidate; of the candidates of a mention the highest is kept.
        mentions: which candidates exclude each other; None: none do.
    """

    __slots__ = ("mentions", "rank", "score")

    def __init__(self, score: Floats, rank: Floats, mentions: Mentions | None):
        self.score, self.rank, self.mentions = score, rank, mentions

    @classmethod
    def of_mentions(cls, mentions: Mentions, posterior: Floats, weights: Floats) -> Beliefs:
        """Beliefs about mentions and a vote on their edges.

        Args:
            mentions: the mentions.
            posterior: how likely each is a mention with a label, shape ``(mentions, labels)``.
            weights: of each teacher's vote on the edges, by label, shape ``(teachers, labels)``.
        """
        score = posterior[mentions.mention, mentions.candidates.label]
        support = mentions.edge_support(weights)
        most = 3 * float(weights.sum(axis=0).max(initial=0))
        return cls(score, score + 1e-6 * support / max(most, 1e-12), mentions)

    def best_threshold(self, candidates: Candidates, gold: Gold) -> tuple[float, float]:
        """The threshold that gives the best strict F1 where people looked, and that F1, overlaps of mentions aside."""
        top = np.arange(len(self.score)) if self.mentions is None else self.mentions.best(self.rank)
        top = top[gold.truth[top] >= 0]
        top = top[np.argsort(-self.score[top], kind="stable")]
        if not len(top):
            return 0.5, 0.0
        score = self.score[top]
        f1 = 2 * np.cumsum(gold.truth[top] == 1) / (np.arange(1, len(top) + 1) + len(gold.spans))
        f1[:-1][score[1:] == score[:-1]] = -1.0  # no threshold lies between equal scores
        best = int(np.argmax(f1))
        lower = score[best + 1] if best + 1 < len(top) else 0.0
        return float(np.clip((score[best] + lower) / 2, 0.0, 1 - 1e-9)), float(f1[best])

    def keep(self, candidates: Candidates, threshold: float) -> NDArray[np.int64]:
        """The candidates to keep, by place: one a mention, above the threshold, nested only where a teacher nests."""
        likely = self.score > threshold
        if self.mentions is None:
            return np.flatnonzero(likely)
        best = self.mentions.best(np.where(likely, self.rank, -np.inf))
        best.sort()
        return _without_overlaps(candidates, best, self.score)


class LabelModel(Aggregator):
    """An aggregator that believes of each mention what it learned of the teachers.

    A label model overrides :meth:`learn` and :meth:`believe`; both see the whole corpus as arrays.

    Attributes:
        tells_teachers_apart: whether it believes one teacher more than another.
        threshold: keep candidates whose score is above it, in ``[0, 1)``.
        flat: of silver spans that overlap keep one, whatever their labels: the longest, then the likeliest.
    """

    tells_teachers_apart: ClassVar[bool] = True
    threshold: float = 0.5
    flat: bool = False
    _fitted_labels: tuple[str, ...] | None = None
    _fitted_teachers: tuple[str, ...] = ()

    @abstractmethod
    def learn(self, candidates: Candidates, gold: Gold | None) -> None:
        """Learn from opinions, and from what people marked in some of the documents, if they did."""

    @abstractmethod
    def believe(self, candidates: Candidates) -> Beliefs:
        """What the model believes of candidates of these or other documents.

        Labels that it learned of come first among the candidates', and in the same order.
        """

    def fit(self, labels: Labels, dev: Iterable[Document] | None = None) -> Self:
        """Learn from the labels, and from human-labelled documents among them.

        Args:
            labels: what the teachers said. Documents of `dev` must be among them if the model learns from them.
            dev: human-labelled documents.

        Raises:
            ConfigError: if no document of `dev` is among the labels, or the texts of one differ.
        """
        opinions = list(labels)
        candidates = Candidates.of(opinions, labels.teachers)
        gold = None
        if dev is not None and self.learns_from_dev:
            gold = Gold.of(candidates, opinions, {document.id: document for document in dev}, self._title)
        return self.learn_from(candidates, gold)

    def learn_from(self, candidates: Candidates, gold: Gold | None) -> Self:
        """:meth:`fit` for opinions that are arrays already."""
        self._fitted_labels, self._fitted_teachers = candidates.labels, candidates.teachers
        self.learn(candidates, gold)
        return self

    def combine_documents(self, opinions: Sequence[Opinions], teachers: Sequence[str]) -> Sequence[list[Span]]:
        if self._fitted_labels is None:
            raise ConfigError(f"{self._title}: has learned nothing yet; call fit(labels) before combine(labels)")
        candidates = Candidates.of(opinions, teachers, self._fitted_labels)
        beliefs = self.believe(candidates)
        spans = _spans(candidates, beliefs, beliefs.keep(candidates, self.threshold))
        return [flatten(each) for each in spans] if self.flat else spans

    def combine_document(self, opinions: Opinions) -> list[Span]:
        (spans,) = self.combine_documents([opinions], tuple(opinions.annotations))
        return spans

    @property
    def _title(self) -> str:
        return type(self).registered_name or type(self).__name__

    def _check_threshold(self, threshold: float) -> float:
        if not 0 <= threshold < 1:
            raise OptionError(f"{self._title}: threshold {threshold} must be at least 0 and below 1")
        return threshold


def _without_overlaps(c: Candidates, kept: NDArray[np.int64], score: Floats) -> NDArray[np.int64]:
    """`kept` (by place) without candidates that overlap a likelier one of their label, unless a teacher marked both."""
    if len(kept) < 2:
        return kept
    size = int(c.end[kept].max()) + 1
    lane = (c.label[kept] * c.documents + c.document[kept]) * size  # each label of each document on a line of its own
    order = np.argsort(c.label[kept].astype(np.int16), kind="stable")  # within a label they are by place already
    start, end = (lane + c.start[kept])[order], (lane + c.end[kept])[order]
    reach = np.maximum.accumulate(end)
    clash = start[1:] < reach[:-1]
    if not clash.any():
        return kept
    group = np.concatenate([[0], np.cumsum(~clash)])
    crowded = np.flatnonzero(np.bincount(group) > 1)
    first = np.searchsorted(group, np.stack([crowded, crowded + 1]))
    dropped: list[int] = []
    for begin, stop in first.T.tolist():
        rows = kept[order[begin:stop]]
        rows = rows[np.lexsort((c.start[rows] - c.end[rows], -score[rows]))]
        start, end, taken = c.start[rows], c.end[rows], np.zeros(len(rows), dtype=bool)
        for n, row in enumerate(rows.tolist()):
            rivals = rows[:n][taken[:n] & (start[:n] < end[n]) & (start[n] < end[:n])]
            taken[n] = told_apart(c, np.broadcast_to(row, rivals.shape), rivals).all()
        dropped.extend(rows[~taken].tolist())
    return np.setdiff1d(kept, dropped)


def _spans(c: Candidates, beliefs: Beliefs, kept: NDArray[np.int64]) -> list[list[Span]]:
    """Kept candidates as spans, one list a document; a code comes from the likeliest candidate of the mention."""
    spans: list[list[Span]] = [[] for _ in range(c.documents)]
    columns = (c.document, c.start, c.end, c.label, beliefs.score)
    rows = zip(kept.tolist(), *(column[kept].tolist() for column in columns), strict=True)
    if not c.extras:
        for _, document, start, end, label, score in rows:
            spans[document].append(Span(start, end, c.labels[label], min(score, 1.0)))
        return spans
    of = np.arange(len(c.start)) if beliefs.mentions is None else beliefs.mentions.mention
    codes = _codes(c, beliefs.rank, of)
    for row, document, start, end, label, score in rows:
        code, fragments = c.extras.get((document, start, end, label), (None, ()))
        if code is None:
            code = codes.get((int(of[row]), label))
        spans[document].append(Span(start, end, c.labels[label], min(score, 1.0), code=code, fragments=fragments))
    return spans


def _codes(c: Candidates, rank: Floats, of: NDArray[np.int64]) -> dict[tuple[int, int], str]:
    """The code of the likeliest candidate that has one, by mention and label."""
    codes: dict[tuple[int, int], str] = {}
    place = {key: extra[0] for key, extra in c.extras.items() if extra[0] is not None}
    for row in np.argsort(-rank, kind="stable").tolist():
        code = place.get((int(c.document[row]), int(c.start[row]), int(c.end[row]), int(c.label[row])))
        if code is not None:
            codes.setdefault((int(of[row]), int(c.label[row])), code)
    return codes

"""Which teachers together are best: every subset of them with every aggregator, scored on human-labelled documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any, cast, overload

import numpy as np
from numpy.typing import NDArray

from clinidistill.aggregation.auto import cross_validated
from clinidistill.aggregation.base import Aggregator
from clinidistill.aggregation.gold import Gold
from clinidistill.aggregation.label_model import LabelModel
from clinidistill.aggregation.mentions import Candidates
from clinidistill.errors import ConfigError
from clinidistill.evaluation.bootstrap import draw_weights, f1_of
from clinidistill.evaluation.counting import mention_counts
from clinidistill.evaluation.tables import SpanTable
from clinidistill.evaluation.tokens import overlapped_tokens
from clinidistill.labels import Labels, Opinions
from clinidistill.progress import track
from clinidistill.registry import registry
from clinidistill.types import Document, Metrics, SchemeScores, Scores

__all__ = ["AGGREGATORS", "Combination", "Search", "out_of_fold", "search_teachers"]

AGGREGATORS = ("union", "majority", "weighted", "dawid-skene")
"""What is tried unless others are named."""

_SCHEMES = ("strict", "lenient", "token")
_MOST_SUBSETS = 4095
Ints = NDArray[np.int64]
Outcomes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Combination:
    """Some of the teachers with an aggregator, and how good they are together.

    Args:
        teachers: their names.
        aggregator: the aggregator's name.
        scores: strict, lenient and token-level scores on the dev documents; the micro averages with intervals.
    """

    teachers: tuple[str, ...]
    aggregator: str
    scores: Scores

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"teachers": list(self.teachers), "aggregator": self.aggregator, "scores": self.scores.to_dict()}


class Search(Sequence[Combination]):
    """Combinations, the best first; printed, a table of the first twenty."""

    def __init__(self, rows: Sequence[Combination], scheme: str):
        self._rows, self.scheme = tuple(rows), scheme

    @overload
    def __getitem__(self, index: int) -> Combination: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Combination]: ...
    def __getitem__(self, index: int | slice) -> Combination | Sequence[Combination]:
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form: ``{"scheme": ..., "rows": [...]}``."""
        return {"scheme": self.scheme, "rows": [row.to_dict() for row in self]}

    def __str__(self) -> str:
        shown = self._rows[:20]
        width = max([len(row.aggregator) for row in shown] + [10])
        head = "".join(f"  {name:^22}" for name in _SCHEMES)
        lines = [f"{'aggregator':{width}}{head}  teachers"]
        for row in shown:
            cells = ""
            for name in _SCHEMES:
                micro = getattr(row.scores, name).micro
                interval = "[{:.3f}, {:.3f}]".format(*micro.f1_interval) if micro.f1_interval else ""
                cells += f"  {f'{micro.f1:.3f} {interval}':22}"
            lines.append(f"{row.aggregator:{width}}{cells}  {', '.join(row.teachers)}")
        if len(self) > len(shown):
            lines.append(f"… and {len(self) - len(shown)} more")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"Search({len(self)} combinations, by {self.scheme} F1)"


def search_teachers(
    labels: Labels,
    dev: Iterable[Document],
    *,
    aggregators: Sequence[str | Aggregator] | Mapping[str, Aggregator] = AGGREGATORS,
    supervised: bool = True,
    scheme: str = "strict",
    bootstrap: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    folds: int = 5,
    smallest: int = 1,
    largest: int | None = None,
    progress: bool | None = None,
) -> Search:
    """Every non-empty subset of the teachers with every aggregator, ranked by F1 on human-labelled documents.

    The paper does this with five labellers, hence 31 subsets (Vedula et al., arXiv 2501.00031). Label models learn from
    all of `labels`; those that learn from people do so by cross-validation within `dev`, so that no document's own gold
    has a part in its score. The best of many is partly luck: its score is too high, the more so the fewer documents.
    The intervals hold for each combination by itself; see :func:`clinidistill.compare` for two of them.

    Args:
        labels: what the teachers said of documents, those of `dev` among them.
        dev: human-labelled documents.
        aggregators: names, or aggregators with options of their own, which a mapping gives names of their own.
        supervised: whether aggregators that can learn from people do; otherwise `dev` only scores them, as it should
            where a student is to learn from the silver labels of those very documents.
        scheme: rank by micro F1 in this scheme: ``"strict"``, ``"lenient"`` or ``"token"``.
        bootstrap: resamples of the documents for intervals of F1; 0 gives none.
        seed: of the resampling and of the parts.
        confidence: of the intervals.
        folds: parts for cross-validation.
        smallest, largest: how many teachers a subset has; by default any number.
        progress: a bar on stderr; None: if it is a terminal.

    Raises:
        ConfigError: if no document of `dev` is among the labels, an aggregator is unknown, or there are more than
            4,095 subsets.

    >>> import clinidistill as cd
    >>> note = cd.Document("n1", "On metformin.", [cd.Span(3, 12, "medication")])
    >>> other = [cd.Span(0, 2, "medication")]
    >>> labels = cd.Labels.from_annotations([note], {"a": {"n1": note.spans}, "b": {"n1": other}})
    >>> best = search_teachers(labels, [note], aggregators=["union"])[0]
    >>> best.teachers, best.scores.strict.micro.f1
    (('a',), 1.0)
    """
    if scheme not in _SCHEMES:
        raise ConfigError(f"scheme {scheme!r} is none of {', '.join(_SCHEMES)}")
    if bootstrap < 0 or not 0 < confidence < 1:
        raise ConfigError("bootstrap must be 0 or more resamples, and confidence between 0 and 1")
    chosen = list(aggregators.items()) if isinstance(aggregators, Mapping) else list(map(_named, aggregators))
    notes = {document.id: document for document in dev}
    opinions = list(labels)
    _check_dev(notes, opinions)
    candidates = Candidates.of(opinions, labels.teachers, sorted({s.label for d in notes.values() for s in d.spans}))
    gold = Gold.of(candidates, opinions, notes, "search_teachers")
    subsets = list(_subsets(len(labels.teachers), smallest, largest))
    judge = _Judge(
        candidates, gold, {n: each.document.id for n, each in enumerate(opinions) if each.document.id in notes}
    )
    place = {each.document.id: n for n, each in enumerate(opinions)}
    found: list[tuple[tuple[str, ...], str, Outcomes]] = []
    with track("searching", len(subsets) * len(chosen), show=progress) as bar:
        for subset in subsets:
            marked = np.any(candidates.marks[:, subset], axis=1)
            number, some, of_some = np.flatnonzero(marked), candidates.only(subset), gold.only(marked)
            for name, aggregator in chosen:
                if isinstance(aggregator, LabelModel):
                    kept = cross_validated(aggregator, some, of_some, folds, seed, supervised=supervised)
                    outcomes = judge.of_candidates(number[kept[of_some.truth[kept] >= 0]])
                else:
                    chosen_labels = labels.select(*some.teachers)
                    silver = out_of_fold(
                        aggregator, chosen_labels, notes.values(), folds=folds, seed=seed, supervised=supervised
                    )
                    outcomes = judge.of_spans(_rows(silver, place, candidates.labels, gold))
                found.append((some.teachers, name, outcomes))
                bar.advance()
    intervals = judge.intervals([outcomes for *_, outcomes in found], bootstrap, seed, confidence)
    rows = [
        Combination(teachers, name, judge.scores(outcomes, of_row))
        for (teachers, name, outcomes), of_row in zip(found, intervals, strict=True)
    ]
    rows.sort(key=lambda row: (-getattr(row.scores, scheme).micro.f1, len(row.teachers)))
    return Search(rows, scheme)


def out_of_fold(
    aggregator: Aggregator,
    labels: Labels,
    dev: Iterable[Document],
    *,
    folds: int = 5,
    seed: int = 0,
    supervised: bool = True,
) -> list[Document]:
    """The dev documents as an aggregator combines them; one that learns from people does not see their own gold.

    Args:
        aggregator: any; it is fitted.
        labels: what the teachers said of documents, those of `dev` among them.
        dev: human-labelled documents.
        folds: parts for cross-validation.
        seed: of the parts.
        supervised: whether an aggregator that can learn from people does.

    Raises:
        ConfigError: if there are fewer than two documents to learn from in turns.
    """
    notes = {document.id: document for document in dev}
    if not (supervised and aggregator.learns_from_dev):
        silver = aggregator.fit(labels).combine(labels)
        return [document for document in silver if document.id in notes]
    ids = list(notes)
    if len(ids) < 2:
        raise ConfigError("cross-validation needs at least two dev documents; label more, or do without dev")
    found = []
    for part in np.array_split(np.random.default_rng(seed).permutation(len(ids)), min(folds, len(ids))):
        held_out = {ids[n] for n in part}
        aggregator.fit(labels, [document for id, document in notes.items() if id not in held_out])
        found += [document for document in aggregator.combine(labels) if document.id in held_out]
    return found


def _named(aggregator: str | Aggregator) -> tuple[str, Aggregator]:
    if isinstance(aggregator, str):
        return aggregator, cast(Aggregator, registry("aggregators").create(aggregator))
    return aggregator.registered_name or type(aggregator).__name__, aggregator


def _check_dev(dev: dict[str, Document], opinions: Sequence[Opinions]) -> None:
    known = {each.document.id for each in opinions}
    if missing := [id for id in dev if id not in known]:
        raise ConfigError(
            f"search_teachers: {len(missing)} of {len(dev)} dev documents are not among the labels, {missing[0]!r} for "
            "one; let the teachers label them, too"
        )


def _subsets(teachers: int, smallest: int, largest: int | None) -> Iterator[list[int]]:
    """Numbers of teachers, single ones first."""
    sizes = range(max(smallest, 1), min(teachers if largest is None else largest, teachers) + 1)
    number = sum(comb(teachers, size) for size in sizes)
    if not 0 < number <= _MOST_SUBSETS:
        raise ConfigError(
            f"search_teachers: {number:,} subsets of {teachers} teachers; give 1 to {_MOST_SUBSETS:,}: select fewer "
            "teachers, or set smallest= and largest="
        )
    return (list(subset) for size in sizes for subset in combinations(range(teachers), size))


def _rows(silver: Iterable[Document], place: dict[str, int], labels: Sequence[str], gold: Gold) -> Ints:
    """Spans that people looked for, as columns of document, start, end and label."""
    number = {label: n for n, label in enumerate(labels)}
    rows = [
        (place[document.id], span.start, span.end, number[span.label])
        for document in silver
        for span in document.spans
        if span.label in number and gold.looked[place[document.id], number[span.label]]
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, 4).T


def _metrics(outcome: Outcomes, interval: tuple[float, float] | None = None) -> Metrics:
    tp, fp, fn = outcome.tolist()
    return Metrics.from_counts(tp, fp, fn, interval)


class _Judge:
    """Counts and scores silver spans of the dev documents; everything that does not depend on them is done once."""

    def __init__(self, candidates: Candidates, gold: Gold, dev: dict[int, str]):
        ordered = sorted(dev, key=dev.__getitem__)  # by id, as evaluate does: the same draws for the intervals
        self._dev = np.zeros(candidates.documents, dtype=np.int64)
        self._dev[ordered] = np.arange(len(ordered))
        self._texts = [candidates.texts[n] for n in ordered]
        self.labels = candidates.labels
        self._reach = 1 + max(map(len, self._texts), default=0)
        self._gold = self._table(gold.spans.T)
        tokens, _ = self._tokens(self._gold)
        self._gold_tokens = tokens[np.diff(tokens, prepend=-1) > 0]
        c, judged = candidates, np.flatnonzero(gold.truth >= 0)
        columns = np.stack([c.document[judged], c.start[judged], c.end[judged], c.label[judged]])
        order = np.lexsort((*columns[:0:-1], self._dev[columns[0]]))
        self._table_of_all = self._table(columns[:, order])
        self._row = np.zeros(len(gold.truth), dtype=np.int64)  # of each candidate in the table
        self._row[judged[order]] = np.arange(len(judged))
        self._tokens_of_all, self._owners = self._tokens(self._table_of_all)

    def of_candidates(self, kept: Ints) -> Outcomes:
        """``(tp, fp, fn)`` of candidates by number, shape ``(documents, labels, schemes, 3)``."""
        chosen = np.zeros(len(self._table_of_all), dtype=bool)
        chosen[self._row[kept]] = True
        every = self._table_of_all
        table = SpanTable(
            every.document[chosen],
            every.start[chosen],
            every.end[chosen],
            every.label[chosen],
            documents=every.documents,
            labels=every.labels,
        )
        tokens = self._tokens_of_all[chosen[self._owners]]
        return self._outcomes(table, tokens[np.diff(tokens, prepend=-1) > 0])

    def of_spans(self, columns: Ints) -> Outcomes:
        """The same for any spans, as columns of document, start, end and label."""
        table = self._table(columns)
        tokens, _ = self._tokens(table)
        return self._outcomes(table, tokens[np.diff(tokens, prepend=-1) > 0])

    def _outcomes(self, table: SpanTable, tokens: Ints) -> Outcomes:
        width = len(self._texts) * len(self.labels)
        sides = [np.bincount(each // self._reach, minlength=width) for each in (tokens, self._gold_tokens)]
        both = np.intersect1d(tokens, self._gold_tokens, assume_unique=True)
        shared = np.bincount(both // self._reach, minlength=width)
        of_tokens = np.stack([shared, sides[0] - shared, sides[1] - shared], axis=-1)
        mentions = mention_counts(self._gold, table)
        return np.concatenate([mentions, of_tokens.reshape(*mentions.shape[:2], 1, 3)], axis=2)

    def intervals(
        self, outcomes: Sequence[Outcomes], resamples: int, seed: int, confidence: float
    ) -> list[list[tuple[float, float] | None]]:
        """Percentile intervals of micro F1, for each row and scheme, over resamples of the documents; all the same."""
        if not resamples:
            return [[None] * len(_SCHEMES) for _ in outcomes]
        tails = ((1 - confidence) / 2, (1 + confidence) / 2)
        weights = np.concatenate(list(draw_weights(len(self._texts), resamples, seed)))
        found: list[list[tuple[float, float] | None]] = []
        for each in outcomes:
            counts = each.sum(axis=1).astype(np.float64)  # documents, schemes, 3
            tp, fp, fn = np.moveaxis(counts, -1, 0)
            f1 = f1_of(2 * (weights @ tp), weights @ (2 * tp + fp + fn))
            low, high = np.quantile(f1, tails, axis=0)
            found.append(list(zip(low.tolist(), high.tolist(), strict=True)))
        return found

    def scores(self, outcomes: Outcomes, intervals: Sequence[tuple[float, float] | None]) -> Scores:
        """Scores with the intervals of the micro averages."""
        totals = outcomes.sum(axis=0)
        occurs = [n for n in range(len(self.labels)) if totals[n, 0].any()]
        schemes = []
        for scheme, interval in enumerate(intervals):
            of_labels = {self.labels[n]: _metrics(totals[n, scheme]) for n in occurs}
            micro = _metrics(totals[:, scheme].sum(axis=0), interval)
            precision, recall, f1 = (
                float(np.mean([getattr(each, name) for each in of_labels.values()] or [0.0]))
                for name in ("precision", "recall", "f1")
            )
            schemes.append(SchemeScores(micro, Metrics(precision, recall, f1), of_labels))
        strict, lenient, token = schemes
        return Scores(strict, lenient, token, len(self._texts))

    def _table(self, columns: Ints) -> SpanTable:
        document, start, end, label = columns
        return SpanTable(self._dev[document], start, end, label, documents=len(self._texts), labels=self.labels)

    def _tokens(self, table: SpanTable) -> tuple[Ints, Ints]:
        """Tokens under mentions, sorted, each as one number of document, label and place; and whose each is."""
        texts = [self._texts[document] for document in table.document.tolist()]
        mention, token = overlapped_tokens(texts, table.start, table.end)
        tokens = table.cell[mention] * self._reach + token
        order = np.argsort(tokens)
        return tokens[order], mention[order]

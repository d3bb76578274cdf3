"""What kinds of errors a system makes, and where."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clinidistill.errors import ConfigError
from clinidistill.evaluation.alignment import align
from clinidistill.evaluation.breakdown import Breakdown
from clinidistill.evaluation.finding import KINDS, Finding
from clinidistill.evaluation.pairing import pair
from clinidistill.evaluation.scoring import Predictor
from clinidistill.evaluation.text_table import text_table
from clinidistill.evaluation.traits import Traits, TraitsOf
from clinidistill.types import Document, Metrics, Span

__all__ = ["DocumentErrors", "ErrorAnalysis", "analyse_errors"]

_NONE, _OTHER = "(none)", "(other)"
_MOST_LABELS = 8  # of a printed table of confusions


@dataclass(frozen=True, slots=True)
class DocumentErrors:
    """How one document fared.

    Args:
        document_id: its id.
        errors: number of findings that are not correct.
        metrics: strict precision, recall and F1.
    """

    document_id: str
    errors: int
    metrics: Metrics


@dataclass(frozen=True, slots=True, repr=False)
class ErrorAnalysis:
    """Every mention of every document, and what became of it; printed, tables of kinds and of confusions.

    Neither the repr nor the printed tables hold note text; :meth:`to_csv` and :meth:`to_html` do, and so do the buckets
    of ``by("section")`` where a heading has no common name.

    Args:
        findings: by document, then by place.
        documents: the gold documents by id.
        traits_of: finds what a mention is like.
    """

    findings: Sequence[Finding]
    documents: Mapping[str, Document]
    traits_of: TraitsOf = field(compare=False)

    @property
    def confusion(self) -> dict[str, dict[str, int]]:
        """How many: ``{gold label: {predicted label: number}}``; ``"(none)"`` where one of the two is not there."""
        table: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for finding in self.findings:
            table[_label(finding.gold)][_label(finding.predicted)] += 1
        return {label: dict(sorted(table[label].items())) for label in sorted(table)}

    def by(self, what: str | Callable[[Document, Span], object]) -> Breakdown:
        """Scores and kinds of errors of mentions that have something in common.

        Args:
            what: ``"label"``; ``"length"`` in tokens; ``"frequency"`` of the string in the training data, or in the
                gold data where there is none; ``"seen"`` in the training data or not; ``"section"`` of the note; or a
                function of a document and one of its spans that names a bucket, e.g.
                ``lambda document, span: document.meta["hospital"]``.

        Raises:
            ConfigError: if there is no such division, or ``"seen"`` lacks training data.
        """
        order, bucket_of = self._division(what)
        tp, fp, fn = Counter[str](), Counter[str](), Counter[str]()
        kinds: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for finding in self.findings:
            document = self.documents[finding.document_id]
            kinds[bucket_of(document, finding.span)][finding.kind] += 1
            if finding.kind == "correct":
                tp[bucket_of(document, finding.span)] += 1
                continue
            for span, errors in ((finding.gold, fn), (finding.predicted, fp)):
                if span is not None:
                    errors[bucket_of(document, span)] += 1
        found = {*tp, *fp, *fn}
        if order is None:
            order = sorted(found, key=lambda bucket: (-tp[bucket] - fn[bucket], bucket))
        metrics = {
            bucket: Metrics.from_counts(tp[bucket], fp[bucket], fn[bucket]) for bucket in order if bucket in found
        }
        return Breakdown(what if isinstance(what, str) else "bucket", metrics, kinds)

    def _division(
        self, what: str | Callable[[Document, Span], object]
    ) -> tuple[Iterable[str] | None, Callable[[Document, Span], str]]:
        """The order of the buckets, None for the most frequent first, and the bucket of a span."""
        if not isinstance(what, str):
            return None, lambda document, span: str(what(document, span))
        if what not in _DIVISIONS:
            raise ConfigError(
                f"there is no breakdown by {what!r}; there are {', '.join(_DIVISIONS)}, or pass a function"
            )
        if what == "seen" and not self.traits_of.trained:
            raise ConfigError(
                "whether a mention was seen in training needs the training data: analyse_errors(…, train=…)"
            )
        order, name = _DIVISIONS[what]
        return order, lambda document, span: name(self.traits_of(document, span))

    @property
    def divisions(self) -> tuple[str, ...]:
        """What :meth:`by` can divide by here."""
        return tuple(name for name in _DIVISIONS if name != "seen" or self.traits_of.trained)

    def worst(self, n: int = 10) -> list[DocumentErrors]:
        """The `n` documents with most errors, most first, then by strict F1; documents without errors are left out."""
        documents = self.by(lambda document, _: document.id)
        found = [DocumentErrors(id, sum(documents.kinds[id].values()) - round(m.tp), m) for id, m in documents.items()]
        return sorted(
            (each for each in found if each.errors), key=lambda each: (-each.errors, each.metrics.f1, each.document_id)
        )[:n]

    def to_csv(self, path: str | Path) -> None:
        """Write a row for each finding, with the mentions and 40 characters of context either side.

        The file holds note text: it is created for its owner alone (mode 0600). A cell that a spreadsheet would take
        for a formula, as it begins with ``=``, ``+``, ``-`` or ``@``, gets an apostrophe before it
        (https://owasp.org/www-community/attacks/CSV_Injection).

        Raises:
            DataError: if it cannot be written.
        """
        from clinidistill.evaluation.error_csv import write_csv

        write_csv(self, path)

    def to_html(self, path: str | Path, n: int = 20) -> None:
        """Write one HTML page: tables, and the `n` worst documents with what became of each mention highlighted.

        The file holds note text: it is created for its owner alone (mode 0600). It needs no script and no network.

        Raises:
            DataError: if it cannot be written.
        """
        from clinidistill.evaluation.error_html import write_html

        write_html(self, path, n)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready summary without note text: kinds by label, and confusions."""
        return {
            "documents": len(self.documents),
            "kinds": dict(Counter(finding.kind for finding in self.findings)),
            "by_label": self.by("label").to_dict(),
            "confusion": self.confusion,
        }

    def tables(self) -> list[tuple[list[str], list[list[Any]]]]:
        """Heads and rows of the tables that are printed: kinds of findings by label, and confusions of labels."""
        kinds = self.by("label").kinds
        rows: list[list[Any]] = [[label, *(counts.get(kind, 0) for kind in KINDS)] for label, counts in kinds.items()]
        total = Counter(finding.kind for finding in self.findings)
        if len(rows) > 1:
            rows.append(["all", *(total[kind] for kind in KINDS)])
        return [(["label", *KINDS], rows), *([self._confusions()] if len(kinds) > 1 else [])]

    def _confusions(self) -> tuple[list[str], list[list[Any]]]:
        """Labels beyond a table's width, those least in confusions with others, are taken together."""
        pairs = Counter((_label(finding.gold), _label(finding.predicted)) for finding in self.findings)
        confused, all_ = Counter[str](), Counter[str]()
        for one, other in pairs:
            for label in {one, other} - {_NONE}:
                all_[label] += pairs[one, other]
                confused[label] += pairs[one, other] * len({one, other} - {label, _NONE})
        ranked = sorted(all_, key=lambda label: (-confused[label], -all_[label], label))
        shown = sorted(ranked[:_MOST_LABELS])
        name = dict.fromkeys(ranked, _OTHER) | {label: label for label in [*shown, _NONE]}
        cells = Counter[tuple[str, str]]()
        for (one, other), number in pairs.items():
            cells[name[one], name[other]] += number
        labels = [*shown, *([_OTHER] if len(ranked) > len(shown) else []), _NONE]
        rows: list[list[Any]] = [[one, *(cells[one, other] for other in labels)] for one in labels]
        return ["gold \\ predicted", *labels], rows

    def __str__(self) -> str:
        return "\n\n".join(text_table(*table) for table in self.tables())

    def __repr__(self) -> str:
        wrong = sum(finding.kind != "correct" for finding in self.findings)
        return f"ErrorAnalysis({len(self.documents)} documents, {len(self.findings)} findings, {wrong} errors)"


def analyse_errors(
    gold: Iterable[Document] | Predictor,
    predicted: Iterable[Document],
    /,
    *,
    train: Iterable[Document] | None = None,
    labels: Iterable[str] | None = None,
) -> ErrorAnalysis:
    """What became of each mention: ``analyse_errors(gold, predicted)`` or ``analyse_errors(system, dataset)``.

    Documents are paired, and ``covers`` is honoured, as in :func:`~clinidistill.evaluate`. Each mention is paired with
    at most one of the other side (:func:`~clinidistill.evaluation.alignment.align`); the correct ones are the true
    positives of strict scores. See ``docs/error_analysis.md``.

    Args:
        gold: the documents with the right spans, or a system with a ``predict`` method.
        predicted: the same documents with the spans to be judged, or the dataset that the system is judged on.
        train: labelled documents that the system learned from; tells seen mentions from unseen ones.
        labels: look at only these labels; None looks at all.

    Raises:
        ConfigError: if gold and predicted are not the same documents, or an option cannot work.

    >>> note = Document("n1", "Type 2 diabetes, on metformin.", [Span(0, 15, "disease"), Span(20, 29, "medication")])
    >>> analysis = analyse_errors([note], [note.with_spans([Span(7, 15, "disease")])])
    >>> [(finding.kind, finding.traits.length) for finding in analysis.findings]
    [('boundary', 3), ('missed', 1)]
    """
    if isinstance(labels, str):
        raise ConfigError(f"labels must be several names, not one string; write labels=[{labels!r}]")
    if isinstance(predicted, Predictor):
        raise ConfigError("the system comes first: analyse_errors(system, dataset)")
    if isinstance(gold, Predictor):
        dataset = list(predicted)
        pairs = pair(dataset, gold.predict(document.without_spans() for document in dataset))
    else:
        pairs = pair(gold, predicted)
    wanted = None if labels is None else frozenset(labels)
    traits_of = TraitsOf((document for document, _ in pairs), train)
    findings = []
    for document, other in pairs:
        sides = (
            [
                span
                for span in side.spans
                if document.covers_label(span.label) and (wanted is None or span.label in wanted)
            ]
            for side in (document, other)
        )
        for one, two in align(*sides):
            traits = traits_of(document, next(filter(None, (one, two))))
            findings.append(Finding(document.id, _kind(one, two), one, two, traits))
    return ErrorAnalysis(tuple(findings), {document.id: document for document, _ in pairs}, traits_of)


def _kind(gold: Span | None, predicted: Span | None) -> str:
    if predicted is None:
        return "missed"
    if gold is None:
        return "spurious"
    boundary, type_ = gold.key[:2] != predicted.key[:2], gold.label != predicted.label
    return {(False, False): "correct", (True, False): "boundary", (False, True): "type"}.get(
        (boundary, type_), "type+boundary"
    )


def _label(span: Span | None) -> str:
    return _NONE if span is None else span.label


def _length(traits: Traits) -> str:
    return "4+" if traits.length > 3 else str(traits.length)


def _frequency(traits: Traits) -> str:
    return next(name for most, name in _FREQUENCIES if traits.frequency <= most)


_FREQUENCIES = ((0, "0"), (1, "1"), (4, "2-4"), (9, "5-9"), (float("inf"), "10+"))
_DIVISIONS: dict[str, tuple[tuple[str, ...] | None, Callable[[Traits], str]]] = {
    "label": (None, lambda traits: traits.label),
    "length": (("0", "1", "2", "3", "4+"), _length),
    "frequency": (tuple(name for _, name in _FREQUENCIES), _frequency),
    "seen": (("seen", "unseen"), lambda traits: "seen" if traits.seen else "unseen"),
    "section": (None, lambda traits: traits.section),
}

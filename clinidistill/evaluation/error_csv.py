"""Findings as a table for spreadsheets."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from clinidistill.datasets.atomic import private_file

if TYPE_CHECKING:
    from clinidistill.evaluation.error_analysis import ErrorAnalysis
    from clinidistill.evaluation.finding import Finding
    from clinidistill.types import Document, Span

__all__ = ["write_csv"]

_CONTEXT = 40  # characters either side
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")  # full-width ones count in East Asian spreadsheets
_SPAN = ("start", "end", "label", "text")
_HEAD = (
    *("document", "kind"),
    *(f"gold_{column}" for column in _SPAN),
    *(f"predicted_{column}" for column in _SPAN),
    *("length", "frequency", "seen", "section", "context"),
)


def write_csv(analysis: ErrorAnalysis, path: str | Path) -> None:
    """Write what :meth:`~clinidistill.evaluation.error_analysis.ErrorAnalysis.to_csv` promises.

    Raises:
        DataError: if it cannot be written.
    """
    with private_file(path) as file:
        table = csv.writer(file)
        table.writerow(_HEAD)
        for finding in analysis.findings:
            table.writerow(map(_harmless, _cells(finding, analysis.documents[finding.document_id])))


def _cells(finding: Finding, document: Document) -> Iterator[object]:
    yield finding.document_id
    yield finding.kind
    yield from _span_cells(document, finding.gold)
    yield from _span_cells(document, finding.predicted)
    traits = finding.traits
    yield from (traits.length, traits.frequency, traits.seen, traits.section)
    spans = [span for span in (finding.gold, finding.predicted) if span is not None]
    start, end = min(span.start for span in spans), max(span.end for span in spans)
    yield " ".join(document.text[max(start - _CONTEXT, 0) : end + _CONTEXT].split())


def _span_cells(document: Document, span: Span | None) -> tuple[object, ...]:
    return (None,) * len(_SPAN) if span is None else (span.start, span.end, span.label, document.mention(span))


def _harmless(cell: object) -> object:
    """A text that a spreadsheet would compute gets an apostrophe, which makes it a text again."""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell

"""Findings as one HTML page: tables, and documents with their mentions highlighted."""

from __future__ import annotations

import html
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from clinidistill.datasets.atomic import private_file

if TYPE_CHECKING:
    from clinidistill.evaluation.error_analysis import DocumentErrors, ErrorAnalysis
    from clinidistill.evaluation.finding import Finding
    from clinidistill.types import Document, Span

__all__ = ["write_html"]


@dataclass(frozen=True, slots=True)
class _Mark:
    """A highlighted mention: its class names, what stands behind it, and what it says when pointed at."""

    style: str
    tag: str
    title: str
    parts: tuple[tuple[int, int], ...]

    @property
    def place(self) -> tuple[int, int]:
        return self.parts[0][0], -self.parts[-1][1]


def write_html(analysis: ErrorAnalysis, path: str | Path, n: int = 20) -> None:
    """Write what :meth:`~clinidistill.evaluation.error_analysis.ErrorAnalysis.to_html` promises.

    Raises:
        DataError: if it cannot be written.
    """
    with private_file(path) as file:
        file.writelines(_page(analysis, n))


def _page(analysis: ErrorAnalysis, n: int) -> Iterator[str]:
    worst = analysis.worst(n)
    findings: defaultdict[str, list[Finding]] = defaultdict(list)
    for finding in analysis.findings:
        findings[finding.document_id].append(finding)
    yield _HEAD
    yield f"<p>{len(analysis.documents)} documents, {len(analysis.findings)} findings.</p>\n"
    for title, table in zip(("Kinds of findings", "Labels confused"), analysis.tables(), strict=False):
        yield f"<h2>{title}</h2>\n{_table(*table)}"
    for name in analysis.divisions:
        yield f"<h2>Strict scores by {name}</h2>\n{_table(*analysis.by(name).table)}"
    if worst:
        yield f"<h2>Documents with most errors</h2>\n{_index(worst)}{_LEGEND}"
    for number, each in enumerate(worst):
        yield f'<article id="d{number}">\n<h3>{_escape(each.document_id)}: {_summary(each)}</h3>\n'
        note = _highlight(analysis.documents[each.document_id], findings[each.document_id])
        yield f'<div class="note" dir="auto">{note}</div>\n</article>\n'
    yield "</main>\n</body>\n</html>\n"


def _table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    lines = ["".join(f'<th scope="col">{_escape(str(cell))}</th>' for cell in head)]
    for first, *rest in rows:
        cells = (f"{cell:.3f}" if isinstance(cell, float) else _escape(str(cell)) for cell in rest)
        lines.append(f'<th scope="row">{_escape(str(first))}</th>' + "".join(f"<td>{cell}</td>" for cell in cells))
    return '<div class="wide"><table>\n' + "".join(f"<tr>{line}</tr>\n" for line in lines) + "</table></div>\n"


def _index(worst: Iterable[DocumentErrors]) -> str:
    items = (
        f'<li><a href="#d{number}">{_escape(each.document_id)}</a>: {_summary(each)}</li>\n'
        for number, each in enumerate(worst)
    )
    return f"<ol>\n{''.join(items)}</ol>\n"


def _summary(document: DocumentErrors) -> str:
    return f"{document.errors} error{'' if document.errors == 1 else 's'}, strict F1 {document.metrics.f1:.3f}"


def _highlight(document: Document, findings: Iterable[Finding]) -> str:
    """The text, escaped, with marks around mentions; marks that cross are cut where they do."""
    marks = sorted((mark for finding in findings for mark in _marks(finding)), key=lambda mark: mark.place)
    levels = _levels(marks)
    cuts = sorted({0, len(document.text), *(offset for mark in marks for part in mark.parts for offset in part)})
    beginning: defaultdict[int, list[int]] = defaultdict(list)
    for number, mark in enumerate(marks):
        for start, _ in mark.parts:
            beginning[start].append(number)
    out, ends = [], dict[int, int]()  # where the part of each open mark ends
    for start, end in pairwise(cuts):
        ends = {number: until for number, until in ends.items() if until > start}
        for number in beginning[start]:
            ends[number] = next(until for begin, until in marks[number].parts if begin == start)
        nested = sorted(ends, key=lambda number: -levels[number])
        out += [_opening(marks[number], levels[number], end == marks[number].parts[-1][1]) for number in nested]
        out += [_escape(document.text[start:end]), "</mark>" * len(nested)]
    return "".join(out)


def _levels(marks: Sequence[_Mark]) -> list[int]:
    """How far below the text each mark's line is drawn, so that no two lines meet; what is within others is nearer."""
    levels = [0] * len(marks)
    placed: list[int] = []
    for number in sorted(range(len(marks)), key=lambda n: (-marks[n].place[1] - marks[n].place[0], marks[n].place)):
        start, end = marks[number].place[0], -marks[number].place[1]
        taken = {levels[n] for n in placed if marks[n].place[0] < end and start < -marks[n].place[1]}
        levels[number] = next(level for level in count() if level not in taken)
        placed.append(number)
    return levels


def _opening(mark: _Mark, level: int, last: bool) -> str:
    tag = f' data-tag="{_escape(mark.tag)}"' if last else ""
    return f'<mark class="{mark.style}" style="--level:{level}" title="{_escape(mark.title)}"{tag}>'


def _marks(finding: Finding) -> Iterator[_Mark]:
    sign, name = _SIGNS[finding.kind], finding.kind.replace("+", "-")
    gold, predicted = finding.gold, finding.predicted
    if gold is None or predicted is None or finding.kind in ("correct", "type"):
        labels = " → ".join(dict.fromkeys(span.label for span in (gold, predicted) if span is not None))
        side = "gold" if predicted is None else "found" if gold is None else "both"
        yield _Mark(f"{name} {side}", f"{sign} {labels}", f"{finding.kind}: {labels}", _parts(finding.span))
        return
    for side, span in (("gold", gold), ("found", predicted)):
        tag = f"{sign} {side}: {span.label}"
        yield _Mark(f"{name} {side}", tag, f"{finding.kind}, {side}: {span.label}", _parts(span))


def _parts(span: Span) -> tuple[tuple[int, int], ...]:
    return span.fragments or ((span.start, span.end),)


def _escape(text: str) -> str:
    """Text as HTML. A bare carriage return would be read as a line feed; NUL cannot stand in HTML at all."""
    return html.escape(text).replace("\r", "&#13;").replace("\0", "\N{REPLACEMENT CHARACTER}")


_SIGNS = {"correct": "✓", "boundary": "↔", "type": "≠", "type+boundary": "≠↔", "missed": "−", "spurious": "+"}
_STYLE = """\
:root { color-scheme: light dark; --ink: #1f2328; --paper: #ffffff; --faint: #d0d7de; --correct: #1a7f37;
  --missed: #cf222e; --spurious: #9a6700; --boundary: #0550ae; --type: #8250df; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --faint: #30363d; --correct: #3fb950;
  --missed: #ff7b72; --spurious: #d29922; --boundary: #79c0ff; --type: #d2a8ff; } }
body { color: var(--ink); background: var(--paper); font: 16px/1.5 system-ui, sans-serif; margin: 0; }
main { max-width: 60rem; margin: 0 auto; padding: 1rem; }
a { color: inherit; }
.warning { border-left: 4px solid var(--missed); padding-left: .75rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid var(--faint); text-align: right; }
th:first-child { text-align: left; }
article { border-top: 1px solid var(--faint); margin-top: 2rem; }
.note { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 2.6; }
mark { color: inherit; background: none; --kind: var(--correct); border-bottom: 2px solid var(--kind);
  padding-bottom: calc(var(--level) * 4px); }
mark::after { content: attr(data-tag); color: var(--kind); font-size: .7em; font-weight: 600; margin: 0 .2em; }
mark:not([data-tag])::after { content: none; }
.gold { border-bottom-style: solid; } .found { border-bottom-style: dashed; }
.both { border-bottom-style: double; border-bottom-width: 4px; }
.missed { --kind: var(--missed); } .spurious { --kind: var(--spurious); }
.boundary { --kind: var(--boundary); } .type, .type-boundary { --kind: var(--type); }
"""
_HEAD = f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Error analysis</title>
<style>
{_STYLE}</style>
</head>
<body>
<main>
<h1>Error analysis</h1>
<p class="warning">This file holds text of notes. Keep it as carefully as the notes themselves.</p>
"""
_MEANINGS = {
    "correct both": "label: correct",
    "boundary gold": "gold: label: right label, other edges; what the gold data has",
    "boundary found": "found: label: what the system has in its place",
    "type both": "label → label: same place; the gold label and the system's",
    "type-boundary gold": "gold: label: other edges and another label; what the gold data has",
    "type-boundary found": "found: label: what the system has in its place",
    "missed gold": "label: missed by the system",
    "spurious found": "label: found by the system alone",
}
_LEGEND = (
    "<p>A line below the text marks a mention: solid in the gold data, dashed in the system's, double in both.</p>\n"
    "<ul>\n"
    + "".join(
        f'<li><mark class="{style}" style="--level:0" data-tag="{_SIGNS[style.split()[0].replace("-", "+")]}">mention'
        f"</mark> {_escape(meaning)}</li>\n"
        for style, meaning in _MEANINGS.items()
    )
    + "</ul>\n"
)

"""The data of the error browser: notes, what each system says of them, and what became of each mention.

It is compact, since a page may hold thousands of notes; `report.js` draws a few of them at a time. A document is
``{"i": id, "t": text, "g": gold, "p": [predictions of each system], "k": [kinds of each system]}``. Spans are flat:
offset, length and number of the label, in UTF-16 units, which JavaScript counts in. Kinds are a letter for each gold
span and then for each of the system's: what became of it.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from clinidistill.evaluation import analyse_errors
from clinidistill.types import Document, Span

__all__ = ["KIND_LETTERS", "browser_data", "embedded"]

KIND_LETTERS = {"correct": "c", "boundary": "b", "type": "t", "type+boundary": "x", "missed": "m", "spurious": "s"}


def browser_data(
    documents: Iterable[tuple[Document, dict[str, list[Span]]]], systems: Mapping[str, Collection[str]]
) -> dict[str, Any]:
    """What the browser shows.

    Args:
        documents: with the right spans, each with the spans of every system.
        systems: the labels that each knows, by name, in order; it is judged on these alone.
    """
    rows = list(documents)
    labels = sorted({label for known in systems.values() for label in known})
    labels += sorted({span.label for document, _ in rows for span in document.spans} - set(labels))
    number = {label: n for n, label in enumerate(labels)}
    became = [_became(rows, name, known) for name, known in systems.items()]
    return {
        "systems": list(systems),
        "labels": labels,
        "documents": [_row(document, [spans[name] for name in systems], number, became) for document, spans in rows],
    }


def embedded(data: Any) -> str:
    """JSON that can stand in a script element: nothing in it can end the element, or begin another."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    text = text.encode("utf-8", "replace").decode("utf-8")  # lone surrogates
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _place(span: Span) -> tuple[int, int, str]:
    return span.start, span.end, span.label


def _row(
    document: Document, said: Sequence[Sequence[Span]], number: Mapping[str, int], became: Sequence[Mapping[Any, str]]
) -> dict[str, Any]:
    wide = [n for n, character in enumerate(document.text) if ord(character) > 0xFFFF]
    gold = sorted(document.spans, key=_place)
    found = [sorted((span for span in spans if span.label in number), key=_place) for spans in said]

    def kinds(side: str, spans: Iterable[Span], of: Mapping[Any, str]) -> str:
        # What is not judged is of a label that the system does not know, or that nobody looked for.
        return "".join(of.get((document.id, side, *_place(span)), "n") for span in spans)

    return {
        "i": document.id,
        "t": document.text,
        "g": _flat(gold, number, wide),
        "p": [_flat(spans, number, wide) for spans in found],
        "k": [kinds("g", gold, of) + kinds("p", spans, of) for spans, of in zip(found, became, strict=True)],
    }


def _flat(spans: Iterable[Span], number: Mapping[str, int], wide: Sequence[int]) -> list[int]:
    flat = []
    for span in spans:
        start, end = (offset + bisect_left(wide, offset) for offset in (span.start, span.end))
        flat += [start, end - start, number[span.label]]
    return flat


def _became(
    rows: Sequence[tuple[Document, dict[str, list[Span]]]], name: str, known: Collection[str]
) -> dict[Any, str]:
    """A letter for each span, by document, side and place."""
    gold = [document for document, _ in rows]
    analysis = analyse_errors(gold, [document.with_spans(spans[name]) for document, spans in rows], labels=known)
    letters = {}
    for finding in analysis.findings:
        for side, span in (("g", finding.gold), ("p", finding.predicted)):
            if span is not None:
                letters[finding.document_id, side, *_place(span)] = KIND_LETTERS[finding.kind]
    return letters

"""What notebooks show: notes with their mentions marked, and tables. All text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from zlib import crc32

from clinidistill.types.span import Span

__all__ = ["html_note", "html_table"]

_HUES = 360


def html_note(text: str, spans: Iterable[Span]) -> str:
    """A note with its mentions marked, each followed by its labels; where mentions overlap, the marks are nested.

    >>> html_note("On aspirin.", [Span(3, 10, "medication")]).count("<mark")
    1
    """
    marked = sorted({(start, end, span.label) for span in spans for start, end in _parts(span)})
    cuts = sorted({0, len(text), *(edge for start, end, _ in marked for edge in (start, end))})
    pieces = []
    for start, end in pairwise(cuts):
        piece = escape(text[start:end])
        here = [mark for mark in marked if mark[0] <= start and end <= mark[1]]
        for first, last, label in reversed(here):
            hue = crc32(label.encode()) % _HUES
            name = escape(label)
            tag = f' <small style="opacity:.7">{name}</small>' if last == end else ""
            style = f"background:hsl({hue} 70% 60% / .3);color:inherit;padding:.1em 0"
            piece = f'<mark style="{style}" title="{name} [{first}, {last})">{piece}{tag}</mark>'
        pieces.append(piece)
    return f'<div dir="auto" style="white-space:pre-wrap;line-height:1.8">{"".join(pieces)}</div>'


def html_table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table; fractions have three digits."""

    def line(cells: Iterable[object], tag: str) -> str:
        shown = (f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells)
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in shown) + "</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table><thead>{line(head, 'th')}</thead><tbody>{body}</tbody></table>"


def _parts(span: Span) -> Iterable[tuple[int, int]]:
    return span.fragments or ((span.start, span.end),)

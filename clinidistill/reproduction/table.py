"""A table of figures, as Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clinidistill.datasets.atomic import replacing_file

__all__ = ["Column", "Kind", "Table", "latex"]

Kind = Literal["text", "count", "f1", "difference", "interval", "p", "figure", "times"]
Cell = str | int | float | tuple[float, float] | None

_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "^": r"\textasciicircum{}",
    "_": r"\_", "~": r"\textasciitilde{}", "%": r"\%", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    '"': "''", "[": "{[}", "]": "{]}", "–": "--", "—": "---", "±": r"$\pm$", "×": r"$\times$",
    "−": "$-$", "†": r"\textdagger{}", "µ": r"$\mu$", "…": r"\ldots{}", "\n": " ",
}  # fmt: skip
_UNKNOWN = "\u0180"  # the first letter that LaTeX knows nothing of by itself


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Args:
        head: its head.
        kind: what stands in it.
        of: of what, in a column of intervals.
    """

    head: str
    kind: Kind = "text"
    of: Kind = "f1"


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows; a cell is a value, None where there is none.

    Args:
        name: of its files.
        title: what it shows.
        columns: what stands where.
        rows: one cell a column.
        notes: what to know of it.
        printed: how many rows of each group (by the first cell) the LaTeX has; None: all.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    printed: int | None = None

    def save(self, folder: Path) -> None:
        """Write ``NAME.md``, ``NAME.csv`` and ``NAME.tex``, each whole or not at all."""
        for suffix, text in ((".md", self.markdown()), (".csv", self.csv()), (".tex", self.latex())):
            with replacing_file(folder / f"{self.name}{suffix}") as file:
                file.write(text.encode())

    def markdown(self) -> str:
        """Title, table, notes."""
        rule = ["---" if column.kind == "text" else "---:" for column in self.columns]
        rows = [[_markdown(cell) for cell in row] for row in (self._head, *self._shown(self.rows))]
        lines = ["| " + " | ".join(cells) + " |" for cells in (rows[0], rule, *rows[1:])]
        return (
            "\n".join([f"**{_markdown(self.title)}**", "", *lines, *(f"\n{_markdown(note)}" for note in self.notes)])
            + "\n"
        )

    def csv(self) -> str:
        """Heads and figures, unrounded; an interval is two columns, and what is unknown is empty."""
        head = [f"{c.head} {end}" if end else c.head for c in self.columns for end in _ends(c)]
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(head)
        for row in self.rows:
            cells: list[Cell] = []
            for column, cell in zip(self.columns, row, strict=True):
                if column.kind != "interval":
                    cells.append(cell)
                else:
                    cells += cell if isinstance(cell, tuple) else (None, None)
            writer.writerow("" if cell is None else cell for cell in cells)
        return out.getvalue()

    def latex(self) -> str:
        r"""A ``table`` that needs ``\usepackage{booktabs}`` and nothing else."""
        align = "".join("l" if column.kind == "text" else "r" for column in self.columns)
        rows: list[str] = []
        before = None
        for row, cells in zip(self._printed, self._shown(self._printed), strict=True):
            if before is not None and row[0] != before:
                rows.append(r"\midrule")
            before = row[0]
            rows.append(" & ".join(map(latex, cells)) + r" \\")
        lines = [
            r"\begin{table}",
            r"\centering\small",
            rf"\caption{{{latex(self.title)}}}",
            rf"\begin{{tabular}}{{{align}}}",
            r"\toprule",
            " & ".join(map(latex, self._head)) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            *(rf"\par\footnotesize {latex(note)}" for note in self.notes),
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"

    @property
    def _head(self) -> list[str]:
        return [column.head for column in self.columns]

    @property
    def _printed(self) -> list[tuple[Cell, ...]]:
        seen: dict[Cell, int] = {}
        kept = []
        for row in self.rows:
            seen[row[0]] = seen.get(row[0], 0) + 1
            if self.printed is None or seen[row[0]] <= self.printed:
                kept.append(row)
        return kept

    def _shown(self, rows: Sequence[tuple[Cell, ...]]) -> list[list[str]]:
        return [
            [
                _shown(cell, c.of if isinstance(cell, tuple) else c.kind)
                for c, cell in zip(self.columns, row, strict=True)
            ]
            for row in rows
        ]


def latex(text: str) -> str:
    r"""Text as LaTeX prints it, whatever stands in it.

    >>> latex("50% of o1_mini & [x]")
    '50\\% of o1\\_mini \\& {[}x{]}'
    """
    return "".join(_LATEX.get(letter, letter if letter < _UNKNOWN else "?") for letter in text)


def _markdown(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _ends(column: Column) -> tuple[str, ...]:
    return ("low", "high") if column.kind == "interval" else ("",)


def _shown(cell: Cell, kind: Kind) -> str:
    """A cell as people read it: F1 with three digits, other figures with three that count."""
    if cell is None:
        return "–"
    if isinstance(cell, str):
        return cell
    if isinstance(cell, tuple):
        return "[" + ", ".join(_shown(end, kind) for end in cell) + "]"
    if kind == "f1":
        return f"{cell:.3f}".replace("0.", ".", 1)
    if kind == "difference":
        return f"{cell:+.3f}".replace("0.", ".", 1)
    if kind == "p":
        return f"{cell:.2g}"
    if kind == "times":
        return f"{cell:,.3g}" if cell < 1000 else f"{cell:,.0f}"
    if kind == "figure":
        return f"{cell:,.2f}" if cell >= 10 or cell == 0 else f"{cell:.3g}"
    return f"{cell:,}"

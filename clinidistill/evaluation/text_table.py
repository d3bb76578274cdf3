"""Tables of plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["text_table"]


def text_table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Aligned columns, the first to the left, the others to the right; fractions have three digits.

    >>> print(text_table(["kind", "F1"], [["missed", 0.5], ["spurious", 1.0]]))
    kind         F1
    missed    0.500
    spurious  1.000
    """
    lines = [[f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )

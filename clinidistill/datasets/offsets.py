"""Offsets as other programs count them: UTF-16 code units in a browser, bytes or grapheme clusters elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Literal

from clinidistill.errors import DataError, OptionError, SpanError

__all__ = ["OffsetMap", "OffsetUnit", "check_unit", "length", "refuse_shifted"]

OffsetUnit = Literal["code-points", "utf-8", "utf-16", "graphemes"]
"""What offsets count. Python counts code points, JavaScript UTF-16 code units (two for an emoji), C bytes of UTF-8."""

_UNITS: tuple[OffsetUnit, ...] = ("code-points", "utf-8", "utf-16", "graphemes")
_LAST_OF_ONE_UNIT = {"utf-8": "\x7f", "utf-16": "\uffff"}


def check_unit(unit: str) -> None:
    """Refuse what is no :data:`OffsetUnit`.

    Raises:
        OptionError: if it is none.
    """
    if unit not in _UNITS:
        raise OptionError(f"offsets must be one of {', '.join(map(repr, _UNITS))}, not {unit!r}")


class OffsetMap:
    """Turns code-point offsets into one text into another program's, and back.

    Grapheme clusters are the extended ones of https://unicode.org/reports/tr29/, in which CR LF is one.

    Args:
        text: the text.
        unit: what the other program counts.

    >>> offsets = OffsetMap("🙂 pain", "utf-16")
    >>> offsets.outward(2), offsets.inward(3)
    (3, 2)
    """

    def __init__(self, text: str, unit: OffsetUnit):
        self._size = len(text)  # in both, where there are no tables
        self._outward: dict[int, int] | None = None
        self._inward: dict[int, int] | None = None
        if unit == "code-points" or not text or max(text) <= _LAST_OF_ONE_UNIT.get(unit, ""):
            return
        if unit == "graphemes":
            theirs = {ours: number for number, ours in enumerate(accumulate(_cluster_sizes(text), initial=0))}
        else:
            theirs = dict(enumerate(accumulate((length(each, unit) for each in text), initial=0)))
        self._outward, self._inward = theirs, {other: ours for ours, other in theirs.items()}

    def outward(self, offset: int) -> int:
        """The other program's offset for one of ours.

        Raises:
            SpanError: if ours lies inside what the other program counts as one, or outside the text.
        """
        return self._converted(self._outward, offset)

    def inward(self, offset: int) -> int:
        """Our offset for the other program's.

        Raises:
            SpanError: if theirs lies inside a character, or outside the text.
        """
        return self._converted(self._inward, offset)

    def _converted(self, table: dict[int, int] | None, offset: int) -> int:
        if table is None and 0 <= offset <= self._size:
            return offset
        if table is None or offset not in table:
            raise SpanError(
                f"offset {offset} lies inside a character or outside the text; check what offsets count here "
                f"({', '.join(_UNITS)})"
            )
        return table[offset]


def refuse_shifted(text: str, places: Sequence[tuple[int, int]], unit: OffsetUnit) -> None:
    """Refuse offsets that begin or end inside words, or in white space, and would not if they counted something else.

    This finds a file whose offsets count something else than one thinks, where it quotes no mentions.

    Args:
        text: the text.
        places: begins and ends, as the file has them.
        unit: what they are thought to count.

    Raises:
        DataError: if they do.

    >>> refuse_shifted("🙂 chest pain", [(3, 13)], "utf-16")
    >>> refuse_shifted("🙂 chest pain", [(2, 12)], "utf-16")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    clinidistill.errors.DataError: spans begin or end inside words, and would not if offsets counted code-points; ...
    """
    if not _cuts(text, places, unit):
        return
    for other in _UNITS:
        try:
            fits = other != unit and not _cuts(text, places, other)
        except SpanError:
            continue
        if fits:
            raise DataError(
                f"spans begin or end inside words, and would not if offsets counted {other}; say offsets={other!r}, "
                "or check=False if they are meant so"
            )


def _cuts(text: str, places: Sequence[tuple[int, int]], unit: OffsetUnit) -> bool:
    offsets = OffsetMap(text, unit)
    ours = [(offsets.inward(start), offsets.inward(end)) for start, end in places]
    return any(
        text[start : start + 1].isspace()
        or text[end - 1 : end].isspace()
        or any(text[at - 1 : at].isalnum() and text[at : at + 1].isalnum() for at in (start, end))
        for start, end in ours
    )


def length(text: str, unit: OffsetUnit) -> int:
    """How long another program finds a text.

    >>> length("🙂", "utf-8"), length("🙂", "utf-16"), length("🙂", "graphemes")
    (4, 2, 1)
    """
    if unit == "utf-8":
        return len(text.encode("utf-8", "surrogatepass"))
    if unit == "utf-16":
        return len(text) + sum(each > _LAST_OF_ONE_UNIT[unit] for each in text)
    return sum(1 for _ in _cluster_sizes(text)) if unit == "graphemes" else len(text)


def _cluster_sizes(text: str) -> Iterable[int]:
    import regex

    return (len(cluster) for cluster in regex.findall(r"\X", text))

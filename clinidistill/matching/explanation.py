"""Why a name that a note holds was marked, or was not."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Explanation"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """One place in a note where a name stands, and what became of it. It holds nothing of the note's text.

    Args:
        start: where it begins, in code points of the note's text.
        end: where it ends.
        code: its concept's code.
        name: the name as the terminology has it, or the variant of it that a rule made.
        rule: the rule that made the variant, an option of the teacher; empty for the terminology's own names.
        kept: whether it is a span.
        reason: why, or why not.

    >>> print(Explanation(0, 6, "C34", "lung tumors", "plurals", False, "no evidence"))
    0-6: dropped 'lung tumors' [C34], by plurals: no evidence
    """

    start: int
    end: int
    code: str
    name: str
    rule: str
    kept: bool
    reason: str

    def __str__(self) -> str:
        made = f", by {self.rule}" if self.rule else ""
        verdict = "kept" if self.kept else "dropped"
        return f"{self.start}-{self.end}: {verdict} {self.name!r} [{self.code}]{made}: {self.reason}"

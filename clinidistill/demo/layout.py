"""What the demo notes look like: which sections a kind of note has, how they are headed, listed and typed."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterator, Sequence

from clinidistill.demo.patient import Piece
from clinidistill.demo.templates import Section

__all__ = ["Layout", "note_plan"]

# Section, then how many of its sentences, then "?" where not every note has it.
_KINDS = {
    "admission": "complaint opening course:1-2 denial history:2-4 medications:2-4 allergies? social? family? ros? "
    "vitals exam labs? plan:2-3",
    "discharge": "opening diagnoses:2-3 hospital:2-3 medications:2-4 allergies? instructions:1-2",
    "emergency": "triage:1-2 complaint? course:2 denial history:1-3? vitals? exam labs? mdm:1-2 instructions?",
    "clinic": "subjective:1-2 history:2-3? medications:2-4 social? family? vitals? exam:1-2 assessment? plan:2-3",
    "progress": "interval:1-2 denial? vitals exam:1-2 labs assessment plan:2-3",
    "nursing": "nursing:6-9",
    "phone": "phone:5-8",
    "consult": "greeting letter:4-6 exam? closing:1-2",
    "reconciliation": "reconciliation:6-8 allergies recon_comment:2-3",
    "radiology": "indication:2 findings:4-5 impression:2-3",
    "walk_in": "complaint opening course:1-2 denial allergies social? vitals? exam:1-2 plan:2",
}
_WEIGHTS = {"admission": 3, "discharge": 3, "emergency": 3, "clinic": 4, "nursing": 3, "phone": 3, "reconciliation": 2,
            "consult": 2, "progress": 3, "radiology": 2, "walk_in": 2}  # fmt: skip
_INPATIENT = {"admission", "discharge", "progress"}
_OUTPATIENT_DOMAINS = {"skin", "eye_ear"}
_NOT_IMAGED = {"psych", "skin", "eye_ear", "endocrine"}

_LETTERS = string.ascii_letters
_CASES = {
    "lower": str.maketrans(string.ascii_uppercase, string.ascii_lowercase),
    "upper": str.maketrans(string.ascii_lowercase, string.ascii_uppercase),
}


def note_plan(domain: str, rng: random.Random) -> tuple[str, list[tuple[str, int]]]:
    """A kind of note that suits the domain, and its sections with a number of sentences for each."""
    kinds = [
        kind
        for kind in _WEIGHTS
        if not (kind in _INPATIENT and domain in _OUTPATIENT_DOMAINS)
        and not (kind == "radiology" and domain in _NOT_IMAGED)
    ]
    kind = rng.choices(kinds, [_WEIGHTS[kind] for kind in kinds])[0]
    plan = []
    for item in _KINDS[kind].split():
        title, low, high, optional = re.fullmatch(r"(\w+)(?::(\d+)(?:-(\d+))?)?(\?)?", item).groups()  # type: ignore[union-attr]
        if not optional or rng.random() < 0.65:
            plan.append((title, rng.randint(int(low or 1), int(high or low or 1))))
    return kind, plan


class Layout:
    """Lays the sections of one note out in one manner.

    Args:
        rng: source of every choice.
    """

    def __init__(self, rng: random.Random):
        self._rng = rng
        self._heading = rng.choice(("caps", "caps", "title", "title", "line", "none"))
        self._bullet = rng.choice(("- ", "- ", "• ", "1. ", "1) ", "* ", "", ", ", "; "))
        self._gap = rng.choice(("\n", "\n\n"))
        self._case = rng.choices((None, "lower", "upper"), (90, 7, 3))[0]
        self._newline = rng.choices(("\n", "\r\n"), (95, 5))[0]
        self._micro, self._nbsp, self._capital = rng.random() < 0.5, rng.random() < 0.06, rng.random() < 0.5
        self._pieces: list[Piece] = []

    def add(self, section: Section, sentences: Sequence[Sequence[Piece]]) -> None:
        """Put one more section below those that are there."""
        if self._pieces:
            self._pieces.append((self._gap, None))
        inline = self._bullet in (", ", "; ")
        self._head(section, inline or not section.listed)
        for n, sentence in enumerate(sentences):
            if section.listed and not inline:
                mark = re.sub(r"\d", str(n + 1), self._bullet)
                self._pieces.append((("\n" if n else "") + mark, None))
            elif n:
                self._pieces.append((self._bullet if section.listed else self._stop(), None))
            body = list(sentence)
            if not section.listed or (self._capital and not (inline and n)):
                body = _capitalised(body)
            self._pieces += body

    def _head(self, section: Section, inline: bool) -> None:
        if not section.headings or (self._heading == "none" and inline and not section.listed):
            return
        heading = self._rng.choice(section.headings)
        heading = heading.upper() if self._heading == "caps" else heading
        same_line = inline and self._heading != "line"
        self._pieces.append((heading + ("" if self._heading == "line" else ":") + (" " if same_line else "\n"), None))

    def _stop(self) -> str:
        """What stands between two sentences: a full stop if the first has no end of its own."""
        return " " if self._pieces[-1][0].rstrip()[-1:] in ".?!" else ". "

    def pieces(self) -> Iterator[Piece]:
        """The whole note."""
        for text, label in self._pieces:
            shown = text if label else self._typed(text)
            yield shown.translate(_CASES[self._case]) if self._case else shown, label

    def _typed(self, text: str) -> str:
        text = re.sub(r"\bmcg\b", "µg", text) if self._micro else text
        text = re.sub(r"(?<=\d) (?=m[gL]\b)", "\u00a0", text) if self._nbsp else text
        return text.replace("\n", self._newline)


def _capitalised(sentence: Sequence[Piece]) -> list[Piece]:
    """With a capital at the start of each sentence in it."""
    out: list[Piece] = []
    before = ". "
    for text, label in sentence:
        starts = re.search(r"[.?!] $", before) and not re.search(r"\.\w\. $", before)
        out.append((text[:1].upper() + text[1:] if starts else text, label))
        before = (before + text)[-6:]
    return out

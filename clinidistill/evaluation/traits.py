"""What a mention is like: how long, how frequent, seen in training, in which section."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter

from clinidistill.evaluation.sections import Section, find_sections
from clinidistill.types import Document, Span

__all__ = ["Traits", "TraitsOf"]

_TOKEN = re.compile(r"\w+|[^\w\s]")  # as token-level scores count
_start = attrgetter("start")


@dataclass(frozen=True, slots=True)
class Traits:
    """What a mention is like, apart from its place.

    Args:
        label: its label.
        length: number of tokens, words and punctuation marks alike; the gap of a discontinuous mention has none.
        frequency: how often its string is marked in the training data, or in the gold data where there is none;
            whatever the label, case and white space.
        seen: whether the string is marked in the training data; None without training data.
        section: the section of the note that it begins in; may be a heading's own words, so the repr has it not.
    """

    label: str
    length: int
    frequency: int
    seen: bool | None
    section: str = field(repr=False)


class TraitsOf:
    """Finds the traits of a document's spans: ``traits_of(document, span)``.

    Args:
        gold: documents whose mentions are counted for frequency where there is no training data.
        train: training documents.
    """

    def __init__(self, gold: Iterable[Document], train: Iterable[Document] | None = None):
        self.trained = train is not None
        counted = gold if train is None else train
        self._frequency = Counter(_string(document, span) for document in counted for span in document.spans)
        self._sections: tuple[Document | None, list[Section]] = (None, [])

    def __call__(self, document: Document, span: Span) -> Traits:
        """The traits of one span of a document."""
        if self._sections[0] is not document:  # mentions come document by document
            self._sections = (document, find_sections(document.text))
        sections = self._sections[1]
        frequency = self._frequency[_string(document, span)]
        parts = span.fragments or ((span.start, span.end),)
        return Traits(
            span.label,
            sum(1 for start, end in parts for _ in _TOKEN.finditer(document.text, start, end)),
            frequency,
            frequency > 0 if self.trained else None,
            sections[bisect_right(sections, span.start, key=_start) - 1].name,
        )


def _string(document: Document, span: Span) -> str:
    return " ".join(document.mention(span).casefold().split())

"""Notes that components are tried on: ordinary ones, and text that careless code miscounts or chokes on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import islice

from clinidistill.errors import ConfigError
from clinidistill.types import Document

__all__ = ["CANARY", "HOSTILE", "LONE_SURROGATE", "documents_of", "quotes", "sample_documents"]

CANARY = "qzcanaryqz patient Zebulon Quixworth"
"""Stands in notes, and nowhere else."""

HOSTILE = (
    "😀𝒜👩🏽‍⚕️",  # more than one UTF-16 unit each
    "e\u0301a\u0308o\u0302\u0323",  # combining marks, one character when composed
    "naïve Größe µg",  # more than one byte each
    "İİ ßß ﬁﬁ",  # longer or shorter in another case or form
    "שלום \u202eabc\u202c مرحبا",  # right to left, with marks that turn the direction
    "\u200b\u200d\ufeff\u2060\xad",  # no width
    "\x00\x00",
    " \t \x0b\x0c  ",
    "\r\n\r\n",
    "a\x85b\u2028c\u2029d\x1ce",  # what only some call line breaks
)

LONE_SURROGATE = "\ud83d pill \udc8a"
"""Documents may hold these; UTF-8 does not."""


_COMMON = """Diabetes and hypertension, on metformin 500 mg BID, insulin and lisinopril 10 mg daily. Aspirin for
headache, acetaminophen for fever. History of asthma, pneumonia and heart failure.
Denies chest pain, nausea, shortness of breath and rash. Warfarin stopped after a stroke; atorvastatin continued."""


@cache
def sample_documents() -> tuple[Document, ...]:
    """A note of common words, and five of the demo notes, without spans."""
    from clinidistill.demo.dataset import DemoNotes

    return (Document("common", _COMMON), *(note.without_spans() for note in islice(DemoNotes("dev"), 5)))


def documents_of(given: Iterable[Document | str] | None) -> tuple[Document, ...]:
    """What the caller gave as documents without spans; the samples where that is None.

    Raises:
        ConfigError: if they are none, one text in place of several, or two with one id.
    """
    if given is None:
        return sample_documents()
    documents = tuple(
        each.without_spans() if isinstance(each, Document) else Document(str(number), each)
        for number, each in enumerate(given)
    )
    if isinstance(given, str) or not documents or len({each.id for each in documents}) < len(documents):
        raise ConfigError("documents= takes a list of notes, one at least, each with an id of its own")
    return documents


def quotes(message: str, texts: Iterable[str]) -> bool:
    """Whether a message quotes from texts: the canary, or three words in a row, of 12 characters or more."""
    if any(word in message for word in CANARY.split() if word != "patient"):
        return True
    said = set(_triples(message))
    return bool(said) and any(not said.isdisjoint(_triples(text)) for text in texts)


def _triples(text: str) -> Sequence[str]:
    words = re.findall(r"\w+", text)
    triples = (" ".join(three) for three in zip(words, words[1:], words[2:], strict=False))
    return [triple for triple in triples if len(triple) >= 12]

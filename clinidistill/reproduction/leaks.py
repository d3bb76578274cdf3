"""Documents of a task that stand in two of its parts, which flatters scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from clinidistill.datasets import Dataset
from clinidistill.datasets.leakage import check_leakage
from clinidistill.types import Document

__all__ = ["leaks", "overlap"]

_OWN = ("train", "dev", "search", "test")


def leaks(parts: Mapping[str, Dataset], start: Iterable[Document]) -> list[dict[str, Any]]:
    """How many documents of each part stand in another, JSON-ready; a log warning names some.

    Documents to search on that are training documents, to the letter and by id, are so on purpose.

    Args:
        parts: the task's documents by name.
        start: what students begin from.
    """
    named: dict[str, Iterable[Document]] = {"start": list(start)}
    for name in (*_OWN, *(each for each in parts if each not in _OWN)):
        if name in parts and not (name == "search" and overlap(parts["train"], parts["search"])):
            named[name if name in _OWN else f"external {name}"] = parts[name]
    if not named["start"]:
        del named["start"]
    found: dict[tuple[str, str], dict[str, bool]] = {}
    for leak in check_leakage(threshold=0.7, **named).leaks:
        documents = found.setdefault((leak.part, leak.other_part), {})
        documents[leak.other_id] = documents.get(leak.other_id, False) or leak.exact
    return [
        {"part": part, "other": other, "documents": len(documents), "word_for_word": sum(documents.values())}
        for (part, other), documents in found.items()
    ]


def overlap(one: Iterable[Document], other: Iterable[Document]) -> bool:
    """Whether a document is in both, by id and text."""
    there = {(document.id, document.text) for document in one}
    return any((document.id, document.text) in there for document in other)

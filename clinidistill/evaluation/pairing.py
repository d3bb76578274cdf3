"""Which prediction belongs to which gold document."""

from __future__ import annotations

from collections.abc import Iterable

from clinidistill.errors import ConfigError
from clinidistill.types import Document

__all__ = ["pair"]


def pair(gold: Iterable[Document], predicted: Iterable[Document]) -> list[tuple[Document, Document]]:
    """Gold and predicted documents of the same id, in the order of ids.

    Raises:
        ConfigError: if an id occurs twice on one side or is absent from the other, or the texts of a pair differ.
            The message names up to three ids.
    """
    wanted, found = _by_id(gold, "the gold documents"), _by_id(predicted, "the predictions")
    _refuse("documents without a prediction", wanted.keys() - found.keys(), "predict every gold document")
    _refuse("predictions without a gold document", found.keys() - wanted.keys(), "leave them out, or add their gold")
    pairs = [(wanted[id], found[id]) for id in sorted(wanted)]
    differing = [one.id for one, other in pairs if one.text != other.text]
    _refuse("gold and predicted texts differ", differing, "offsets compare only within the same text")
    return pairs


def _by_id(documents: Iterable[Document], what: str) -> dict[str, Document]:
    found: dict[str, Document] = {}
    twice = []
    for document in documents:
        if not isinstance(document, Document):
            raise ConfigError(f"{what} must be Documents; one is a {type(document).__name__}")
        if document.id in found:
            twice.append(document.id)
        found[document.id] = document
    _refuse(f"ids occur twice among {what}", twice, "give each document its own id")
    return found


def _refuse(problem: str, ids: Iterable[str], cure: str) -> None:
    if names := sorted(set(ids)):
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise ConfigError(f"{problem}: {', '.join(map(repr, names[:3]))}{more}; {cure}")

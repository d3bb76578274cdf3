"""Aggregators: many opinions in, one silver label set out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Self

from clinidistill.component import Component
from clinidistill.datasets.base import Dataset
from clinidistill.labels import Labels, Opinions
from clinidistill.types import Document, Span

__all__ = ["Aggregator"]


class Aggregator(Component, ABC):
    """Turns the teachers' opinions on a document into one set of silver spans.

    A simple aggregator overrides :meth:`combine_document`. One that learns from the whole corpus (a label
    model) overrides :meth:`fit` as well.
    """

    def fit(self, labels: Labels, dev: Iterable[Document] | None = None) -> Self:
        """Learn from the labels (and human-labelled `dev` documents, if any); nothing to learn by default."""
        return self

    @abstractmethod
    def combine_document(self, opinions: Opinions) -> Iterable[Span]:
        """The silver spans of one document, in any order."""

    def combine(self, labels: Labels) -> Dataset:
        """The documents with silver spans, in order; lazy, and can be iterated again.

        A document's ``covers`` is the union of what its teachers knew there (None if one knew all labels).
        """
        return _Silver(self, labels)


class _Silver(Dataset):
    def __init__(self, aggregator: Aggregator, labels: Labels):
        self._aggregator, self._labels = aggregator, labels

    def __iter__(self) -> Iterator[Document]:
        for opinions in self._labels:
            yield opinions.document.with_spans(self._aggregator.combine_document(opinions), covered(opinions))

    def __len__(self) -> int:
        return len(self._labels)


def covered(opinions: Opinions) -> frozenset[str] | None:
    """The labels that at least one teacher had a vote on in this document; None means all."""
    voting = [annotation.covers for annotation in opinions.annotations.values() if not annotation.failed]
    if any(covers is None for covers in voting):
        return None
    return frozenset().union(*(covers for covers in voting if covers is not None))

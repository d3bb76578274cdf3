"""Aggregators: many opinions in, one silver label set out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import ClassVar, Self

from clinidistill.component import Component
from clinidistill.datasets.base import Dataset
from clinidistill.labels import Labels, Opinions
from clinidistill.types import Document, Span

__all__ = ["Aggregator"]

_CHUNK = 256


class Aggregator(Component, ABC):
    """Turns the teachers' opinions on a document into one set of silver spans.

    A simple aggregator overrides :meth:`combine_document`. One that learns from the whole corpus (a label
    model) overrides :meth:`fit` as well.

    Class attributes:
        learns_from_dev: whether `fit` makes use of human-labelled documents, which the teachers must then label, too.
    """

    learns_from_dev: ClassVar[bool] = False

    def fit(self, labels: Labels, dev: Iterable[Document] | None = None) -> Self:
        """Learn from the labels (and human-labelled `dev` documents, if any); nothing to learn by default."""
        return self

    @abstractmethod
    def combine_document(self, opinions: Opinions) -> Iterable[Span]:
        """The silver spans of one document, in any order."""

    def combine_documents(self, opinions: Sequence[Opinions], teachers: Sequence[str]) -> Sequence[Iterable[Span]]:
        """The silver spans of several documents; one after the other unless overridden.

        Args:
            opinions: one a document.
            teachers: the names of all teachers, also of those that said nothing of these documents.
        """
        return [self.combine_document(each) for each in opinions]

    def combine(self, labels: Labels) -> Dataset:
        """The documents with silver spans, in order; lazy, and can be iterated again.

        A document's ``covers`` is the union of what its teachers knew there (None if one knew all labels).
        """
        return _Silver(self, labels)


class _Silver(Dataset):
    def __init__(self, aggregator: Aggregator, labels: Labels):
        self._aggregator, self._labels = aggregator, labels

    def __iter__(self) -> Iterator[Document]:
        opinions = iter(self._labels)
        while chunk := list(islice(opinions, _CHUNK)):
            found = self._aggregator.combine_documents(chunk, self._labels.teachers)
            for each, spans in zip(chunk, found, strict=True):
                yield each.document.with_spans(spans, covered(each))

    def __len__(self) -> int:
        return len(self._labels)


def covered(opinions: Opinions) -> frozenset[str] | None:
    """The labels that at least one teacher had a vote on in this document; None means all."""
    voting = [annotation.covers for annotation in opinions.annotations.values() if not annotation.failed]
    if any(covers is None for covers in voting):
        return None
    return frozenset().union(*(covers for covers in voting if covers is not None))

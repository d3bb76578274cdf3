"""Aggregators with one fault each; the rule that finds it stands beside each."""

import itertools
import logging

import clinidistill as cd
from clinidistill.types import Document, Span

log = logging.getLogger(__name__)


class Either(cd.Aggregator):
    """A good one: all spans of teachers with a vote on their labels."""

    def __init__(self, least: float = 0.0, name: str | None = None):
        self.least = least

    def voices(self, opinions):
        return [annotation for annotation in opinions.annotations.values() if not annotation.failed]

    def combine_document(self, opinions):
        keys = {span.key for said in self.voices(opinions) for span in said.spans if said.knows(span.label)}
        return [Span(*key) for key in sorted(keys)]


class Restless(Either):
    def combine(self, labels):
        return iter(list(super().combine(labels)))


class Fitless(Either):
    def fit(self, labels, dev=None):
        return None


class Backwards(Either):
    def combine(self, labels):
        return cd.MemoryDataset(reversed(list(super().combine(labels))))


class Claiming(Either):
    """Says that everything was looked for."""

    def combine(self, labels):
        return super().combine(labels).map(lambda document: document.with_spans(document.spans))


class Inventing(Either):
    def combine_document(self, opinions):
        return [*super().combine_document(opinions), Span(0, 1, "medication")]


class Counting(Either):
    """A teacher that failed is counted among those that said no."""

    def combine_document(self, opinions):
        asked = len(opinions.annotations)
        for key in {span.key for said in opinions.annotations.values() for span in said.spans}:
            votes = sum(any(span.key == key for span in said.spans) for said in opinions.annotations.values())
            if 2 * votes > asked:
                yield Span(*key)


class Streaming(Either):
    """What it says of a document depends on the one before."""

    def combine_documents(self, opinions, teachers):
        found, before = [], 0
        for each in opinions:
            spans = self.combine_document(each)
            found.append(spans[: 1 + before % 2])
            before = len(spans)
        return found


class Tossing(Either):
    tosses = itertools.count()

    def fit(self, labels, dev=None):
        self.toss = next(self.tosses) % 2
        return self

    def combine_document(self, opinions):
        return super().combine_document(opinions)[: 1 + self.toss]


class Peeking(Either):
    """Learns from people and does not say so."""

    gold = ()

    def fit(self, labels, dev=None):
        self.gold = {document.id for document in dev or ()}
        return self

    def combine_document(self, opinions):
        return [] if opinions.document.id in self.gold else super().combine_document(opinions)


class Hungry(Either):
    def fit(self, labels, dev=None):
        self.share = 1 / sum(1 for each in labels for said in each.annotations.values() for _ in said.spans)
        return self


class Eager(Either):
    def combine(self, labels):
        return cd.MemoryDataset(super().combine(labels))


class Meddling(Either):
    def combine_document(self, opinions):
        spans = super().combine_document(opinions)
        opinions.document.meta["silver"] = len(spans)
        return spans


class Logging(Either):
    def combine_document(self, opinions):
        log.debug("combining %s", opinions.document.text)
        return super().combine_document(opinions)


class Forgetting(Either):
    def combine_document(self, opinions):
        return super().combine_document(opinions)[: 1 + (self.least < 0.3)]

    def fingerprint_data(self):
        return {}


FAULTS = {
    Restless: "aggregator/documents",
    Fitless: "aggregator/documents",
    Backwards: "aggregator/documents",
    Claiming: "aggregator/covers",
    Inventing: "aggregator/opinions",
    Counting: "aggregator/abstention",
    Streaming: "aggregator/document-by-document",
    Tossing: "aggregator/determinism",
    Peeking: "aggregator/dev",
    Hungry: "aggregator/little",
    Eager: "aggregator/laziness",
    Meddling: "aggregator/inputs",
    Logging: "aggregator/privacy",
    Forgetting: "component/fingerprint-options",
}
__all__ = ["Document"]

"""What others offer for putting annotators together, on the same opinions: crowd-kit by token, skweak.

Both see tokens, cut further where a span begins or ends within one, so that they lose nothing to tokenization. Making
their inputs, and reading spans off crowd-kit's answer, is apart from what is timed.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from crowdkit.aggregation import DawidSkene, MajorityVote

from clinidistill import Document, Labels, Span
from clinidistill.labels import Opinions

_TOKEN = re.compile(r"\w+|[^\w\s]")
MISSING = -1


class TokenMatrix:
    """IOB2 tags by token and teacher: 0 outside, ``2k + 1`` and ``2k + 2`` for label ``k``, or :data:`MISSING`.

    Args:
        labels: the teachers' opinions.
        unknown: what a teacher says of tokens that it leaves unmarked if it does not know all labels:
            ``"O"``, outside, or ``"missing"``, nothing.
        only: one label, and the teachers that know it; None for all.
    """

    def __init__(self, labels: Labels, unknown: str = "O", only: str | None = None):
        self.opinions: list[Opinions] = list(labels)
        self.documents = [each.document for each in self.opinions]
        known = {a.covers for each in self.opinions for a in each.annotations.values() if a.covers is not None}
        used = {s.label for each in self.opinions for a in each.annotations.values() for s in a.spans}
        self.names = [only] if only is not None else sorted(used.union(*known))
        number = {name: n for n, name in enumerate(self.names)}
        self.teachers = list(labels.teachers)
        self.tokens: list[list[tuple[int, int]]] = []
        rows = []
        for each in self.opinions:
            spans = {name: said.spans for name, said in each.annotations.items()}
            tokens = list(_cut(each.document.text, [span for marked in spans.values() for span in marked]))
            self.tokens.append(tokens)
            tags = np.full((len(tokens), len(self.teachers)), MISSING, dtype=np.int64)
            starts, ends = [start for start, _ in tokens], [end for _, end in tokens]
            for column, name in enumerate(self.teachers):
                said = each.annotations.get(name)
                if said is None or said.failed or not any(said.knows(label) for label in self.names):
                    continue
                if unknown == "O" or all(said.knows(label) for label in self.names):
                    tags[:, column] = 0
                for span in sorted(said.spans, key=lambda span: span.end - span.start):
                    if span.label in number:
                        a, b = np.searchsorted(starts, span.start), np.searchsorted(ends, span.end, side="right")
                        tags[a:b, column] = 2 * number[span.label] + 2
                        tags[a, column] -= 1
            rows.append(tags)
        self.sizes = [len(tags) for tags in rows]
        self.tags = np.concatenate(rows)

    def frame(self) -> pd.DataFrame:
        """As crowd-kit wants it: one row a vote."""
        task, worker = np.nonzero(self.tags != MISSING)
        return pd.DataFrame({"task": task, "worker": worker, "label": self.tags[task, worker]})

    def spans(self, tags: Sequence[int]) -> list[list[Span]]:
        """Tags of all tokens as spans of each document; a tag that goes on with nothing begins."""
        found: list[list[Span]] = []
        offset = 0
        for tokens, size in zip(self.tokens, self.sizes, strict=True):
            spans: list[Span] = []
            open_label = -1
            for (start, end), tag in zip(tokens, tags[offset : offset + size], strict=True):
                label = (tag - 1) // 2
                if tag > 0 and tag % 2 == 0 and label == open_label:
                    spans[-1] = Span(spans[-1].start, end, self.names[label])
                elif tag > 0:
                    spans.append(Span(start, end, self.names[label]))
                open_label = label if tag > 0 else -1
            found.append(spans)
            offset += size
        return found

    def by_token(self, answer: Any) -> list[int]:
        """crowd-kit's answer as a tag for each token, 0 where nobody voted."""
        tags = np.zeros(len(self.tags), dtype=np.int64)
        tags[answer.index.to_numpy()] = answer.to_numpy()
        return tags.tolist()


def _cut(text: str, spans: Sequence[Span]) -> Iterator[tuple[int, int]]:
    edges = sorted({edge for span in spans for edge in (span.start, span.end)})
    for token in _TOKEN.finditer(text):
        inner = [edge for edge in edges if token.start() < edge < token.end()]
        yield from pairwise([token.start(), *inner, token.end()])


def crowdkit(model: Callable[[], Any], labels: Labels, unknown: str) -> list[Document]:
    """Silver documents of a crowd-kit aggregator; `unknown` as in :class:`TokenMatrix`, or ``"apart"``.

    ``"apart"`` runs it for each label by itself, among the teachers that know it.
    """
    everything = TokenMatrix(labels)
    wanted: list[TokenMatrix] = (
        [TokenMatrix(labels, only=name) for name in everything.names]
        if unknown == "apart"
        else [TokenMatrix(labels, unknown)]
    )
    found = [matrix.spans(matrix.by_token(model().fit_predict(matrix.frame()))) for matrix in wanted]
    return [
        document.with_spans([span for spans in of_label for span in spans])
        for document, *of_label in zip(everything.documents, *found, strict=True)
    ]


MODELS: dict[str, Callable[[], Any]] = {"MajorityVote": MajorityVote, "DawidSkene": DawidSkene}


class Skweak:
    """A skweak aggregator over spaCy documents with the teachers' spans."""

    def __init__(self, labels: Labels):
        import spacy
        from spacy.tokens import Doc
        from spacy.tokens import Span as SpacySpan

        self.matrix = TokenMatrix(labels)
        vocabulary = spacy.blank("en").vocab
        self.docs = []
        for each, tokens in zip(self.matrix.opinions, self.matrix.tokens, strict=True):
            doc = Doc(vocabulary, [each.document.text[start:end] for start, end in tokens])
            first = {start: n for n, (start, _) in enumerate(tokens)}
            last = {end: n + 1 for n, (_, end) in enumerate(tokens)}
            for name, said in each.annotations.items():
                if not said.failed:
                    doc.spans[name] = [
                        SpacySpan(doc, first[span.start], last[span.end], span.label)
                        for span in said.spans
                        if span.start in first and span.end in last
                    ]
            self.docs.append(doc)

    def run(self, model: str) -> list[Any]:
        """What is timed: fit and aggregate, without what it prints."""
        import skweak.generative
        import skweak.voting

        module = skweak.generative if hasattr(skweak.generative, model) else skweak.voting
        quiet = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
        with quiet[0], quiet[1], warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = getattr(module, model)("silver", self.matrix.names)
            return list(made.fit_and_aggregate(self.docs))

    def documents(self, model: str) -> list[Document]:
        """Silver documents."""
        silver = []
        for doc, document, tokens in zip(self.run(model), self.matrix.documents, self.matrix.tokens, strict=True):
            places = [(tokens[span.start][0], tokens[span.end - 1][1], span.label_) for span in doc.spans["silver"]]
            silver.append(document.with_spans([Span(*place) for place in places]))
            del doc.spans["silver"]
        return silver

"""A stream of notes through a scorer: one thread tokenises, others compute, and only a few hundred notes are held."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clinidistill.students.encoding import Encoder, Tokens, pad, token_batches
from clinidistill.students.scorer import Scorer
from clinidistill.types import Document

__all__ = ["Scored", "chunks", "scored"]

_CHUNK = 256  # documents
_CHARACTERS = 4_000_000  # after which a chunk takes no more

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """A chunk of documents with the logits of their tokens.

    Args:
        documents: the documents.
        tokens: the tokens of each.
        logits: shape ``(all tokens, tags)``, document after document.
    """

    documents: Sequence[Document]
    tokens: Sequence[Tokens]
    logits: Floats


def scored(documents: Iterable[Document], encoder: Encoder, scorer: Scorer, batch_tokens: int) -> Iterator[Scored]:
    """The documents chunk by chunk, in order; the next chunk is read and tokenised while one is computed.

    Args:
        documents: read in the caller's thread.
        encoder: its windows overlap; where they do, a token's logits are averaged.
        scorer: called in as many threads as it allows.
        batch_tokens: most tokens in a batch, padding included.
    """
    chain = _Chain(encoder, scorer, batch_tokens)
    waiting: deque[Future[_Started]] = deque()
    try:
        for chunk in chunks(documents):
            waiting.append(chain.start(chunk))
            if len(waiting) > 1:
                yield waiting.popleft().result().finish(encoder)
        while waiting:
            yield waiting.popleft().result().finish(encoder)
    finally:  # also where nobody asks for the rest
        chain.close()


def chunks(documents: Iterable[Document], size: int = _CHUNK) -> Iterator[list[Document]]:
    """The documents in lists of `size`, or fewer where they are long: what is sorted by length together."""
    chunk: list[Document] = []
    characters = 0
    for document in documents:
        chunk.append(document)
        characters += len(document.text)
        if len(chunk) == size or characters >= _CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


class _Chain:
    """The threads of one call of predict."""

    def __init__(self, encoder: Encoder, scorer: Scorer, batch_tokens: int):
        self.encoder, self.scorer, self.batch_tokens = encoder, scorer, batch_tokens
        self.tokenizer = ThreadPoolExecutor(1, "clinidistill-tokenizer")
        self.lanes: ThreadPoolExecutor | None = None

    def start(self, chunk: list[Document]) -> Future[_Started]:
        return self.tokenizer.submit(self._start, chunk)

    def close(self) -> None:
        self.tokenizer.shutdown(cancel_futures=True)
        if self.lanes is not None:
            self.lanes.shutdown(cancel_futures=True)

    def _start(self, chunk: list[Document]) -> _Started:
        tokens = self.encoder.tokens([document.text for document in chunk])
        windows = [(n, cut) for n, own in enumerate(tokens) for cut in self.encoder.cuts(len(own))]
        rows = [self.encoder.frame(tokens[n].ids[cut]) for n, cut in windows]
        batches = list(token_batches([len(row) for row in rows], self.batch_tokens))
        if self.lanes is None:  # fewer batches than lanes are a single note, say, on which each may use more cores
            count = min(self.scorer.lanes, len(batches))
            self.lanes = ThreadPoolExecutor(count, "clinidistill-lane", self.scorer.enter, (count,))
        futures = [self.lanes.submit(self._score, [rows[n] for n in batch]) for batch in batches]
        return _Started(chunk, tokens, windows, batches, futures)

    def _score(self, rows: Sequence[Ints]) -> Floats:
        return self.scorer.score(*pad(rows, self.encoder.tokenizer.pad_token_id or 0))


@dataclass(frozen=True, slots=True, eq=False)
class _Started:
    """A chunk whose batches are being computed."""

    documents: list[Document]
    tokens: list[Tokens]
    windows: list[tuple[int, slice]]
    batches: list[list[int]]
    futures: list[Future[Floats]]

    def finish(self, encoder: Encoder) -> Scored:
        """Wait for the batches, and put the windows together."""
        begins = np.cumsum([0, *map(len, self.tokens)])
        logits: Floats | None = None
        seen = np.zeros((begins[-1], 1), dtype=np.float32)
        left = len(encoder.before)
        for batch, future in zip(self.batches, self.futures, strict=True):
            scores = future.result()
            if logits is None:
                logits = np.zeros((len(seen), scores.shape[-1]), dtype=np.float32)
            for row, n in zip(scores, batch, strict=True):
                document, cut = self.windows[n]
                place = slice(begins[document] + cut.start, begins[document] + cut.stop)
                logits[place] += row[left : left + cut.stop - cut.start]
                seen[place] += 1
        assert logits is not None  # a chunk has a document, and a document a window
        logits /= seen
        return Scored(self.documents, self.tokens, logits)

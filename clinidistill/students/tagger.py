"""Students that tag tokens: how a stream of notes becomes a stream of spans.

    notes → chunks → windows (encoding) → batches of like length → logits (the student's scorer)   ── streaming
      → probabilities → spans                                                                      ── decoding

A student of this kind says how likely each IOB2 tag is at each token, and leaves the rest to :class:`Tagger`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from clinidistill.errors import ConfigError
from clinidistill.students.base import Doubts, Student, as_documents, entropy
from clinidistill.students.decoding import Decoder, decode
from clinidistill.students.encoding import Encoder
from clinidistill.students.scorer import Precision, Score, Scorer
from clinidistill.students.streaming import chunks, scored
from clinidistill.students.workers import predict_in_processes
from clinidistill.types import Document

__all__ = ["Precision", "Scorer", "Tagger", "chunks", "softmax"]


class Tagger(Student):
    """A student that says for each token how likely each IOB2 tag is.

    A subclass gives :attr:`labels`, :attr:`encoder` and :meth:`scorer`, sets :attr:`name`, and can be saved and loaded.
    """

    name: str
    """What it signs its spans with."""

    decoder: Decoder = "viterbi"
    """How words' probabilities become tags (:mod:`~clinidistill.students.decoding`)."""

    @property
    @abstractmethod
    def encoder(self) -> Encoder:
        """Its tokenizer with the window settings."""

    @abstractmethod
    def scorer(self, precision: Precision, device: str | None) -> Scorer | Score:
        """What scores the batches of one call of :meth:`predict`; asked for once, when predict is called.

        A plain function is called from one thread, with batches of 8192 tokens.

        Args:
            precision: what to compute in.
            device: where to compute; None takes the fastest there is.

        Raises:
            ConfigError: if it was not trained, or cannot compute so or there.
        """

    def predict(
        self,
        documents: Iterable[Document | str],
        *,
        batch_tokens: int | None = None,
        precision: Precision = "auto",
        device: str | None = None,
        workers: int | None = None,
        **options: Any,
    ) -> Iterator[Document]:
        """The documents with its spans in place of theirs, lazily and in order; strings get ids ``"0"``, ``"1"``, …

        Where windows of a long note overlap, each token's logits are averaged: the mean in log space, so that a window
        that is sure, because it sees more around the token, outweighs one that is not.

        Args:
            documents: notes; at most 512 are held at a time (256 for each of several workers), so that no more are read
                before the first is handed out.
            batch_tokens: most tokens in a batch, padding included; None takes what suits the device.
            precision: ``"fp32"``, ``"bf16"``, or ``"auto"``: bf16 where the hardware computes in it (GPUs, CPUs with
                AVX512-BF16 or AMX), else fp32.
            device: where to compute; None takes the GPU if there is one.
            workers: number of processes, which share the cores; None computes in this one, which keeps up to 8 cores
                busy. Each takes some seconds to start.
            options: none are known.

        Raises:
            ConfigError: if it was not trained, or an option is unknown or out of range.
            ClinidistillError: if memory does not suffice, or a worker dies.
        """
        fine = precision in get_args(Precision) and all(n is None or n >= 1 for n in (batch_tokens, workers))
        if options or not fine:
            raise ConfigError(
                "predict takes batch_tokens and workers (1 or more), precision ('fp32', 'bf16', 'auto') and device; "
                f"got {batch_tokens=}, {workers=}, {precision=}, {', '.join(options) or 'nothing else'}"
            )
        notes, scorer = as_documents(documents), self.scorer(precision, device)
        if workers is not None and workers > 1:
            settings = {"batch_tokens": batch_tokens, "precision": precision, "device": device}
            return predict_in_processes(self, notes, workers, settings)
        if not isinstance(scorer, Scorer):
            scorer = Scorer(scorer)
        return self._stream(notes, scorer, batch_tokens or scorer.batch_tokens)

    def doubts(self, documents: Iterable[Document | str]) -> Iterator[Doubts]:
        """The entropy of the tags of each token."""
        scorer = self.scorer("auto", None)
        if not isinstance(scorer, Scorer):
            scorer = Scorer(scorer)
        for chunk in scored(as_documents(documents), self.encoder, scorer, scorer.batch_tokens):
            bits, begin = entropy(softmax(chunk.logits)), 0
            for tokens in chunk.tokens:
                yield Doubts(np.asarray(tokens.starts), bits[begin : begin + len(tokens)])
                begin += len(tokens)

    def _stream(self, documents: Iterable[Document], scorer: Scorer, batch_tokens: int) -> Iterator[Document]:
        covers = frozenset(self.labels)
        for chunk in scored(documents, self.encoder, scorer, batch_tokens):
            spans = decode(
                [document.text for document in chunk.documents],
                chunk.tokens,
                softmax(chunk.logits),
                self.labels,
                decoder=self.decoder,
                source=self.name,
            )
            for document, found in zip(chunk.documents, spans, strict=True):
                yield document.with_spans(found, covers)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """How likely each tag is, of logits of shape ``(tokens, tags)``."""
    powers: NDArray[np.float32] = np.exp(logits - logits.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers

"""Students that tag tokens: how a stream of notes becomes a stream of spans.

    notes → chunks → windows (encoding) → batches of like length → logits (the student's scorer) → spans (decoding)

A student of this kind says how likely each IOB2 tag is at each token, and leaves the rest to :class:`Tagger`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from clinidistill.errors import ConfigError
from clinidistill.students.base import Student, as_documents
from clinidistill.students.decoding import Decoder, decode
from clinidistill.students.encoding import Encoder, Window, pad, token_batches
from clinidistill.types import Document

__all__ = ["Precision", "Scorer", "Tagger", "chunks"]

Precision = Literal["auto", "fp32", "bf16"]
"""What a scorer computes in; ``"auto"`` is the fastest that leaves the spans as they are."""

Scorer = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]
"""From token ids and attention mask (1 at tokens, 0 at padding), both of shape ``(rows, width)``, to the logits of the
tags in the order of :func:`~clinidistill.students.encoding.iob2_tags`, shape ``(rows, width, tags)``."""

_CHUNK = 256  # documents that are length-sorted together: what predict holds in memory


class Tagger(Student):
    """A student that says for each token how likely each IOB2 tag is.

    A subclass gives :attr:`labels`, :attr:`encoder` and :meth:`scorer`, sets :attr:`name`, and can be saved and loaded.
    """

    name: str
    """What it signs its spans with."""

    decoder: Decoder = "greedy"
    """How words' probabilities become tags (:mod:`~clinidistill.students.decoding`)."""

    @property
    @abstractmethod
    def encoder(self) -> Encoder:
        """Its tokenizer with the window settings."""

    @abstractmethod
    def scorer(self, precision: Precision, device: str | None) -> Scorer:
        """The function that scores the batches of one call of :meth:`predict`; called once, when predict is.

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
        batch_tokens: int = 8192,
        precision: Precision = "auto",
        device: str | None = None,
        **options: Any,
    ) -> Iterator[Document]:
        """The documents with its spans in place of theirs, lazily and in order; strings get ids ``"0"``, ``"1"``, …

        Args:
            documents: notes; read a few hundred at a time, so that memory stays bounded.
            batch_tokens: most tokens in a batch, padding included.
            precision: ``"fp32"``, ``"bf16"``, or ``"auto"``: bf16 on a GPU that has it, else fp32.
            device: where to compute; None takes the GPU if there is one.
            options: none are known.

        Raises:
            ConfigError: if it was not trained, or an option is unknown.
        """
        if options or precision not in get_args(Precision):
            raise ConfigError(
                f"predict takes batch_tokens, precision ('fp32', 'bf16', 'auto') and device; got {precision=}, "
                f"{', '.join(options) or 'nothing else'}"
            )
        return self._predict(as_documents(documents), batch_tokens, self.scorer(precision, device))

    def _predict(self, documents: Iterable[Document], batch_tokens: int, scorer: Scorer) -> Iterator[Document]:
        filler = self.encoder.tokenizer.pad_token_id or 0
        for chunk in chunks(documents):
            windows = self.encoder.windows([document.text for document in chunk])
            probabilities: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(windows)
            for batch in token_batches([len(window) for window in windows], batch_tokens):
                scores = _softmax(scorer(*pad([windows[n].input_ids for n in batch], filler)))
                for row, n in enumerate(batch):
                    probabilities[n] = scores[row, : len(windows[n])]
            yield from self._decode(chunk, windows, probabilities)

    def _decode(
        self, chunk: Sequence[Document], windows: Sequence[Window], probabilities: Sequence[NDArray[np.float32]]
    ) -> Iterator[Document]:
        covers = frozenset(self.labels)
        together = zip(windows, probabilities, strict=True)
        for n, group in groupby(together, key=lambda pair: pair[0].document):
            parts = list(group)
            starts = np.concatenate([window.starts for window, _ in parts])
            ends = np.concatenate([window.ends for window, _ in parts])
            real = ends > starts
            scores = np.concatenate([p for _, p in parts])[real]
            spans = decode(chunk[n].text, starts[real], ends[real], scores, self.labels, decoder=self.decoder)
            yield chunk[n].with_spans((replace(span, source=self.name) for span in spans), covers)


def chunks(documents: Iterable[Document], size: int = _CHUNK) -> Iterator[list[Document]]:
    """The documents in lists of `size`, the last one shorter."""
    stream = iter(documents)
    while chunk := list(islice(stream, size)):
        yield chunk


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers: NDArray[np.float32] = np.exp(logits - logits.max(axis=-1, keepdims=True))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers

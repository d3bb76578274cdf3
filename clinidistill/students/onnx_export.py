"""Token classifiers as ONNX graphs: traced by torch, with ONNX Runtime's attention, checked, and put into 8 bits."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from transformers import masking_utils
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from clinidistill import __version__
from clinidistill.bases import METADATA_FILE, quiet, read_metadata
from clinidistill.errors import ConfigError
from clinidistill.evaluation import evaluate
from clinidistill.students.base import CARD_FILE, as_documents
from clinidistill.students.card import model_card
from clinidistill.students.encoding import iob2_tags
from clinidistill.students.lora import merged
from clinidistill.students.onnx import CRF_FILE, MODEL_FILE, OnnxTokenClassifier
from clinidistill.students.onnx_graph import open_session, read_graph, write_graph
from clinidistill.students.onnx_int8 import activation_ranges, to_int8
from clinidistill.types import Document

if TYPE_CHECKING:
    from clinidistill.students.token_classifier import TokenClassifier

__all__ = ["OPSET", "export_onnx"]

OPSET = 20
"""Version of the ONNX operators: the first with Gelu."""

_LOG = logging.getLogger(__name__)
_ATTENTION = "clinidistill-onnx"
_KIND = "token-classifier-onnx"
_TOLERANCE = 1e-3  # of probabilities, between torch and ONNX Runtime
_AGREEMENT = 0.95  # strict F1 of int8 spans against fp32 spans; F1 on gold moves by far less than what is missing


def export_onnx(
    student: TokenClassifier,
    folder: str | Path,
    *,
    quantize: str | None,
    calibration: Iterable[Document | str] | None,
) -> OnnxTokenClassifier:
    """Write a student as a folder of ``token-classifier-onnx``; see :meth:`TokenClassifier.export`."""
    if quantize not in {None, "int8"}:
        raise ConfigError(f"quantize must be None or 'int8'; got {quantize!r}")
    if calibration is not None and quantize is None:
        raise ConfigError("calibration documents are for quantize='int8'; leave them out, or say so")
    notes = None
    if calibration is not None:
        notes = [Document(str(n), note.text) for n, note in enumerate(as_documents(calibration))]
        if not notes:
            raise ConfigError(
                "there are no calibration documents; give some dozens of notes like those to come, or None"
            )
    if find_spec("onnxscript") is None:
        raise ConfigError("exporting to ONNX needs onnxscript: pip install 'clinidistill[onnx]'")
    if not hasattr(torch.onnx, "ops"):
        raise ConfigError(f"exporting to ONNX needs torch 2.8 or newer; this is {torch.__version__}")
    target = Path(folder)
    if read_metadata(target).get("student", _KIND) != _KIND:
        raise ConfigError(f"{target} holds a student of another form; export to a folder of its own")
    model = copy.deepcopy(merged(student.model)).cpu().float().eval()
    target.mkdir(parents=True, exist_ok=True)
    _write_float(student, model, target / MODEL_FILE)
    if quantize is not None:
        graph = read_graph(target / MODEL_FILE)
        ranges = None if notes is None else activation_ranges(graph, _windows(student, notes))
        to_int8(graph, ranges)
        write_graph(graph, target / MODEL_FILE)
    _write_settings(student, target, quantize, calibrated=notes is not None)
    exported = OnnxTokenClassifier(target)
    if notes is not None:
        _tell_drift(student, exported, notes)
    return exported


def _write_float(student: TokenClassifier, model: Any, file: Path) -> None:
    """Trace the student's `model`, and see that its graph says what it says.

    Raises:
        ConfigError: if it cannot be traced, or its graph says something else.
    """
    name = type(model).__name__
    vocabulary = sorted(
        set(student.encoder.tokenizer.get_vocab().values()) - {*student.encoder.tokenizer.all_special_ids}
    )
    draw = np.random.default_rng(0)
    samples = [draw.choice(vocabulary, size) for size in ((1, min(student.max_length, 128)), (3, 5))]
    with torch.inference_mode():
        expected = [_probabilities(model(input_ids=torch.from_numpy(ids)).logits.numpy()) for ids in samples]
    try:
        graph = _trace(model, torch.from_numpy(samples[1]))
    except Exception as error:
        raise ConfigError(f"{name} cannot be exported to ONNX: {type(error).__name__} while tracing it") from error
    write_graph(graph, file)
    session = open_session(file)
    for ids, theirs in zip(samples, expected, strict=True):
        ours = _probabilities(session.run(None, {"input_ids": ids})[0])
        if (gap := float(np.abs(ours - theirs).max())) > _TOLERANCE:
            raise ConfigError(f"{name} cannot be exported to ONNX: its graph's probabilities are off by {gap:.2g}")


def _trace(model: Any, ids: torch.Tensor) -> Any:
    """The graph (`onnx.ModelProto`) from token ids to logits; `ids` are an example."""

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            return cast(torch.Tensor, self.model(input_ids=input_ids).logits)

    transformers.AttentionInterface.register(_ATTENTION, _attend)
    transformers.AttentionMaskInterface.register(_ATTENTION, _mask)
    with quiet(), _silent_torch():
        model.set_attn_implementation(_ATTENTION)  # of models that cannot, attention is traced as it stands
        program = torch.onnx.export(
            Logits().eval(),
            (ids,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["input_ids"],
            output_names=["logits"],
            dynamic_shapes=({0: "batch", 1: "length"},),
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    for part in (graph.graph, *graph.graph.node, *graph.graph.input, *graph.graph.output, *graph.graph.initializer):
        part.ClearField("metadata_props")  # which tell of this machine's files
    return graph


def _attend(
    module: torch.nn.Module, query: Any, key: Any, value: Any, attention_mask: Any, /, **others: Any
) -> tuple[Any, None]:
    """Attention as one operator of ONNX Runtime; query, key, value: shape ``(rows, heads, tokens, size)``."""
    heads, size = query.shape[1], query.shape[3]
    if attention_mask is not None or key.shape[1] != heads:  # a local window, say
        answer, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **others)
        return answer, None
    flat = [tensor.transpose(1, 2).flatten(2) for tensor in (query, key, value)]
    scale = others.get("scaling")
    attributes: dict[str, Any] = {"num_heads": heads} | ({} if scale is None else {"scale": float(scale)})
    answer = torch.onnx.ops.symbolic(
        "com.microsoft::MultiHeadAttention", flat, attributes, dtype=query.dtype, shape=flat[0].shape, version=1
    )
    return answer.view(*answer.shape[:2], heads, size), None


def _mask(**settings: Any) -> torch.Tensor | None:
    """No mask where every token sees every other: nothing is padded."""
    if settings["mask_function"] is masking_utils.bidirectional_mask_function:
        return None
    settings |= {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
    return cast(torch.Tensor, masking_utils.sdpa_mask(**settings))


@contextmanager
def _silent_torch() -> Iterator[None]:
    """Without what torch has to say about its own exporter."""
    levels = {name: logging.getLogger(name).level for name in ("torch.onnx", "onnxscript", "onnx_ir")}
    try:
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _write_settings(student: TokenClassifier, folder: Path, quantize: str | None, *, calibrated: bool) -> None:
    tags = iob2_tags(student.labels)
    config = copy.deepcopy(cast(Any, student.model).config)
    config.id2label, config.label2id = dict(enumerate(tags)), {tag: n for n, tag in enumerate(tags)}
    with quiet():
        config.save_pretrained(folder)
        cast(Any, student.encoder.tokenizer).backend_tokenizer.no_truncation()
        student.encoder.tokenizer.save_pretrained(folder)
    if (crf := getattr(student.model, "crf", None)) is not None:
        crf.save(folder / CRF_FILE)
    metadata = {
        "student": _KIND,
        "clinidistill": __version__,
        "labels": list(student.labels),
        **{name: getattr(student, name) for name in student.kept_options},
        "stride": student.encoder.stride,  # which a short window may have cut
        "opset": OPSET,
        "quantize": quantize,
        "calibrated": calibrated,
    }
    (folder / METADATA_FILE).write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
    graph = (
        f"In {quantize or 'fp32'}, ONNX opset {OPSET}, and operators of ONNX Runtime. The graph takes `input_ids` "
        "(batch, length) without padding, so run windows of one length together, and answers with `logits` (batch, "
        "length, tags)."
    )
    card = model_card(student.name, student.labels, base=student.name, library="onnx", sections=[("The graph", graph)])
    (folder / CARD_FILE).write_text(card, encoding="utf-8")


def _windows(student: TokenClassifier, notes: Sequence[Document]) -> Iterator[NDArray[np.int64]]:
    for window in student.encoder.windows([note.text for note in notes]):
        if len(window):
            yield window.input_ids[None]


def _probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return cast(NDArray[np.float32], torch.from_numpy(logits).softmax(-1).numpy())


def _tell_drift(student: TokenClassifier, exported: OnnxTokenClassifier, notes: Sequence[Document]) -> None:
    """Warn where 8 bits change the spans of the calibration documents much."""
    before = list(student.predict(notes, precision="fp32"))
    if not any(document.spans for document in before):
        _LOG.warning("the student finds nothing in the calibration documents: nothing says what int8 changes")
        return
    agreement = evaluate(before, exported.predict(notes)).strict.micro.f1
    say = _LOG.warning if agreement < _AGREEMENT else _LOG.info
    say("int8 and fp32 agree on the spans of %d calibration documents with a strict F1 of %.3f", len(notes), agreement)

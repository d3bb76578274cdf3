"""ONNX graphs in files: written, checked before they are trusted, opened by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clinidistill.errors import ConfigError, DataError

try:
    import onnx
    import onnxruntime
except ImportError:
    raise ConfigError("ONNX students need onnx and onnxruntime: pip install 'clinidistill[onnx]'") from None

__all__ = ["DATA_FILE", "open_session", "read_graph", "refuse_strangers", "write_graph"]

DATA_FILE = "model.onnx.data"
"""Where the weights of a model are that is too big for one file (2 GB)."""

_DOMAINS = {"", "ai.onnx", "com.microsoft"}
_ONE_FILE = 2**31 - 2**16  # bytes; protocol buffers end at 2 GB


def write_graph(graph: Any, file: Path) -> None:
    """Write a graph (`onnx.ModelProto`), its weights beside it (:data:`DATA_FILE`) where one file cannot hold them."""
    beside = file.parent / DATA_FILE
    beside.unlink(missing_ok=True)  # onnx would append to it
    big = graph.ByteSize() >= _ONE_FILE
    onnx.save(graph, str(file), save_as_external_data=big, location=DATA_FILE if big else None)


def read_graph(file: Path) -> Any:
    """A graph that :func:`write_graph` wrote, with its weights."""
    return onnx.load(str(file))


def open_session(file: Path) -> Any:
    """An ONNX Runtime session on CPU, whose runs are of one thread each."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # shapes differ from run to run
    options.log_severity_level = 4  # what it has to say, it also raises
    return onnxruntime.InferenceSession(
        str(file),
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=["SkipLayerNormFusion"],  # the fused kernel is several times as slow as its parts
    )


def refuse_strangers(file: Path) -> None:
    """Refuse a graph with operators that others define, or weights outside of its folder.

    Raises:
        DataError: if it has such.
    """
    model = onnx.load(str(file), load_external_data=False)
    domains = {opset.domain for opset in model.opset_import} | {node.domain for node in model.graph.node}
    if strange := domains - _DOMAINS:
        raise DataError(f"has operators of {sorted(strange)}, which are not run", path=file)
    places = {
        entry.value
        for tensor in onnx.external_data_helper._get_all_tensors(model)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    if places - {DATA_FILE} or (file.parent / DATA_FILE).is_symlink():
        raise DataError(f"has weights outside of its folder; they may be in {DATA_FILE} alone", path=file)

"""Matrix products of an ONNX graph in 8 bits.

Weights are signed, with a scale for each output channel; activations are unsigned, with one for the whole tensor. The
scheme is that of Jacob et al., *Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference* (CVPR 2018), which VNNI and AMX instructions compute. Attention, normalisation, embeddings and the head stay
in fp32: they cost little, or precision.

A few channels of a transformer's activations are ten times as wide as the others, which rounding to a common step then
wipes out. Where calibration tells the widths, channels are evened out, and weights take up the difference (Xiao et al.,
*SmoothQuant*, ICML 2023); clipping the wide ones costs far more precision than it gives.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from clinidistill.students.onnx_graph import open_session, write_graph

__all__ = ["Ranges", "activation_ranges", "to_int8"]

Floats = NDArray[np.float32]

Ranges = Mapping[str, tuple[Floats, Floats]]
"""Least and greatest value of each channel of each tensor that a weight is multiplied with."""

_MICROSOFT = "com.microsoft"
_SMALLEST = 16  # output channels; narrower products are heads
_SMOOTHING = 0.85  # how much of the unevenness goes into the weights, measured on MiniLM; SmoothQuant's alpha


def activation_ranges(graph: Any, batches: Iterable[NDArray[np.int64]]) -> Ranges:
    """What the inputs of the products range over on `batches`.

    Args:
        graph: the fp32 graph (`onnx.ModelProto`); input ids in, logits out.
        batches: token ids, each of shape ``(rows, tokens)``.
    """
    probe = onnx.ModelProto()
    probe.CopyFrom(graph)
    watched = list(dict.fromkeys(node.input[0] for node in _products(probe.graph)))
    probe.graph.initializer.append(numpy_helper.from_array(np.array([0, 1]), "rows and tokens"))
    del probe.graph.output[:]
    for name in watched:
        for kind in ("ReduceMin", "ReduceMax"):
            output = f"{name}:{kind}"
            probe.graph.node.append(helper.make_node(kind, [name, "rows and tokens"], [output], keepdims=0))
            probe.graph.output.append(helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, [None]))
    found: list[Floats] = []
    with tempfile.TemporaryDirectory() as folder:
        write_graph(probe, Path(folder) / "probe.onnx")
        session = open_session(Path(folder) / "probe.onnx")
        for ids in batches:
            seen = session.run(None, {"input_ids": ids})
            widen = (np.minimum, np.maximum) * len(watched)
            found = [wider(a, b) for wider, a, b in zip(widen, found or seen, seen, strict=True)]
    return dict(zip(watched, zip(found[0::2], found[1::2], strict=True), strict=True))


def to_int8(graph: Any, ranges: Ranges | None = None) -> None:
    """Put the products of a graph into 8 bits, in place.

    Args:
        graph: the fp32 graph (`onnx.ModelProto`).
        ranges: of the activations, from :func:`activation_ranges`; None measures each batch's, whole tensors', as it
            comes, so that what a note gets depends, a little, on the notes beside it.
    """
    body = graph.graph
    weights = {tensor.name: tensor for tensor in body.initializer}
    products = {node.output[0]: node for node in _products(body)}
    biases = _biases(body, products)
    folded = {id(add) for add, _ in biases.values()}
    nodes: list[Any] = []
    ready: dict[str, tuple[list[str], Floats | None]] = {}  # activations: names in 8 bits, smoothing
    done: dict[tuple[str, str | None], list[str]] = {}  # weights, by the smoothed activation that they are for
    for node in body.node:
        if id(node) in folded:
            continue
        if node.output[0] not in products:
            nodes.append(node)
            continue
        activation, weight = node.input
        if activation not in ready:
            names = [f"{activation}:{part}" for part in ("int8", "scale", "zero")]
            if ranges is None:
                nodes.append(helper.make_node("DynamicQuantizeLinear", [activation], names))
                ready[activation] = names, None
            else:
                users = [product.input[1] for product in products.values() if product.input[0] == activation]
                factor = _smoothing(*ranges[activation], [numpy_helper.to_array(weights[user]) for user in users])
                nodes += _smooth_and_round(body, activation, names, ranges[activation], factor)
                ready[activation] = names, factor
        (x, x_scale, x_zero), smoothing = ready[activation]
        key = weight, None if smoothing is None else activation
        if key not in done:
            done[key] = [":".join(filter(None, (*key, part))) for part in ("int8", "scale", "zero")]
            matrix = numpy_helper.to_array(weights[weight])
            arrays = _round_columns(matrix if smoothing is None else matrix * smoothing[:, None])
            _add_constants(body, arrays, done[key])
        w, w_scale, w_zero = done[key]
        add, bias = biases.get(node.output[0], (node, ""))
        inputs = [x, w, x_scale, w_scale, x_zero, w_zero, *([bias] if bias else [])]
        nodes.append(helper.make_node("MatMulIntegerToFloat", inputs, [add.output[0]], domain=_MICROSOFT))
    del body.node[:], body.value_info[:]
    body.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    for tensor in [tensor for name, tensor in weights.items() if name not in used]:
        body.initializer.remove(tensor)
    if all(opset.domain != _MICROSOFT for opset in graph.opset_import):
        graph.opset_import.append(helper.make_opsetid(_MICROSOFT, 1))


def _products(body: Any) -> list[Any]:
    """Matrix products with a constant matrix, heads left out."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in body.initializer}
    return [
        node
        for node in body.node
        if node.op_type == "MatMul" and len(shape := shapes.get(node.input[1], ())) == 2 and shape[1] >= _SMALLEST
    ]


def _biases(body: Any, products: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    """Of each product that is only used in adding a constant vector: that node, and the vector's name."""
    vectors = {tensor.name for tensor in body.initializer if len(tensor.dims) == 1}
    users: dict[str, list[Any]] = {}
    for node in body.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    found = {}
    for output in products:
        if len(users.get(output, [])) == 1 and (add := users[output][0]).op_type == "Add":
            other = add.input[1] if add.input[0] == output else add.input[0]
            if other in vectors:
                found[output] = add, other
    return found


def _smoothing(low: Floats, high: Floats, matrices: Iterable[Floats]) -> Floats:
    """What to divide each channel of an activation by, and to multiply each row of its matrices with."""
    width = np.maximum(np.maximum(-low, high), 1e-5)
    weight = np.maximum(np.max([np.abs(matrix).max(axis=1) for matrix in matrices], axis=0), 1e-5)
    factor: Floats = width**_SMOOTHING / weight ** (1 - _SMOOTHING)
    factor /= np.exp(np.log(factor).mean())
    return factor


def _smooth_and_round(
    body: Any, name: str, outputs: list[str], ranges: tuple[Floats, Floats], factor: Floats
) -> list[Any]:
    """The nodes that put an activation into 8 bits: its value there, whose scale and zero point are constants."""
    low, high = (float(extreme) for extreme in ((ranges[0] / factor).min(), (ranges[1] / factor).max()))
    low, high = min(low, 0.0), max(high, 0.0)  # zero has to be exact
    scale = max(high - low, 1e-6) / 255
    constants = 1 / factor, np.array(scale, np.float32), np.array(round(-low / scale), np.uint8)
    smoothed = f"{name}:smooth"
    _add_constants(body, constants, [f"{name}:factor", *outputs[1:]])
    return [
        helper.make_node("Mul", [name, f"{name}:factor"], [smoothed]),
        helper.make_node("QuantizeLinear", [smoothed, *outputs[1:]], outputs[:1]),
    ]


def _add_constants(body: Any, arrays: Iterable[NDArray[Any]], names: Iterable[str]) -> None:
    body.initializer.extend(numpy_helper.from_array(array, name) for array, name in zip(arrays, names, strict=True))


def _round_columns(matrix: Floats) -> tuple[NDArray[np.int8], Floats, NDArray[np.int8]]:
    """A matrix in 8 bits, with the scale and zero point (0) of each column."""
    scale = np.maximum(np.abs(matrix).max(axis=0), 1e-9).astype(np.float32) / np.float32(127)
    return np.rint(matrix / scale).astype(np.int8), scale, np.zeros(matrix.shape[1], np.int8)

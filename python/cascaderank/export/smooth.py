"""Smoothing: a few input channels of a product are far larger than the rest, and one int8 scale for the whole tensor
then rounds the rest away. Each channel is divided by a factor and its row of weights multiplied by it, which changes
nothing in exact arithmetic (SmoothQuant, Xiao et al. 2023, arXiv 2211.10438).
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascaderank.export.extras import require

Inputs = Mapping[str, NDArray[Any]]
Float32 = NDArray[np.float32]

HEADS = frozenset({"head", "pooler", "classifier", "pre_classifier"})
"""Parts of a node's name that mean the model's head: small products that decide the score, so they stay in fp32."""

_IN_MEMORY = 1_900_000_000  # bytes; a protobuf message ends at 2 GiB
_SMALLEST = 1e-5  # keeps the factor of a channel that is always zero finite


@dataclass(slots=True)
class _Group:
    """Products that must share one factor, because they share an input or a weight matrix."""

    products: list[Any] = field(default_factory=list)
    inputs: set[str] = field(default_factory=set)
    weights: set[str] = field(default_factory=set)


def encoder_products(model: Any, exact: Collection[str] = ()) -> list[Any]:
    """The MatMul nodes of an ONNX model that are quantised: an activation times a float32 weight matrix of rank 2,
    outside the head. ``exact`` names further nodes that stay in fp32."""
    float32 = require("onnx").TensorProto.FLOAT
    fed = {item.name for item in model.graph.input}  # an initializer that is also an input may be overridden
    stored = {tensor.name for tensor in model.graph.initializer}
    weights = {
        tensor.name
        for tensor in model.graph.initializer
        if len(tensor.dims) == 2 and tensor.data_type == float32 and tensor.name not in fed
    }
    return [
        node
        for node in model.graph.node
        if node.op_type == "MatMul"
        and node.input[1] in weights
        and node.input[0] not in stored
        and node.name not in exact
        and not HEADS & set(node.name.split("/"))
    ]


def smooth(model: Any, inputs: Sequence[Inputs], strength: float, exact: Collection[str] = ()) -> int:
    """Move ``strength`` (0 to 1) of each channel's magnitude from activations into weights, in place.

    ``inputs`` are a few dozen typical inputs of the graph by name, int64 ``[1, length]`` without padding; their largest
    magnitude per channel decides. Returns how many products were smoothed; what is not in ``encoder_products`` is left
    alone. Raises ``ValueError`` for a strength outside 0 to 1, or no inputs.
    """
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"strength {strength}; expected 0 to 1")
    if not inputs:
        raise ValueError("no inputs to find large channels with; give at least one")
    products = encoder_products(model, exact)
    peaks = channel_peaks(model, list(dict.fromkeys(node.input[0] for node in products)), inputs)
    groups = _groups(products)
    for group in groups:
        _smooth_group(model.graph, group, peaks, strength)
    return len(products)


def channel_peaks(model: Any, names: Sequence[str], inputs: Sequence[Inputs]) -> dict[str, Float32]:
    """Largest magnitude per channel (last axis), float32 ``[channels]``, of the named tensors over all inputs."""
    if not names:
        return {}
    onnx, onnxruntime = require("onnx"), require("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    own = len(model.graph.output)
    known = {item.name for item in model.graph.output}
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in known)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "probe.onnx"
            external = model.ByteSize() > _IN_MEMORY
            onnx.save_model(model, str(path), save_as_external_data=external, location="probe.data")
            if external:  # saving took the weights out of the model
                onnx.load_external_data_for_model(model, scratch)
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    finally:
        del model.graph.output[own:]
    wanted = {item.name for item in session.get_inputs()}
    peaks: dict[str, Float32] = {}
    for arrays in inputs:
        values = session.run(list(names), {name: array for name, array in arrays.items() if name in wanted})
        for name, value in zip(names, values, strict=True):
            peak = np.abs(value).max(axis=tuple(range(value.ndim - 1)))
            peaks[name] = np.maximum(peaks[name], peak) if name in peaks else peak
    return peaks


def _groups(products: Sequence[Any]) -> list[_Group]:
    """Products joined by a common input (query, key, value) or a common weight (layers that share it)."""
    groups: list[_Group] = []
    for node in products:
        joined = _Group([node], {node.input[0]}, {node.input[1]})
        apart = []
        for group in groups:
            if group.inputs & joined.inputs or group.weights & joined.weights:
                joined.products = group.products + joined.products
                joined.inputs |= group.inputs
                joined.weights |= group.weights
            else:
                apart.append(group)
        groups = [*apart, joined]
    return groups


def _smooth_group(graph: Any, group: _Group, peaks: Mapping[str, Float32], strength: float) -> None:
    onnx = require("onnx")
    stored = {tensor.name: tensor for tensor in graph.initializer}
    tables = {name: onnx.numpy_helper.to_array(stored[name]) for name in sorted(group.weights)}
    peak = np.max([peaks[name] for name in sorted(group.inputs)], axis=0)
    weight_peak = np.max([np.abs(table).max(axis=1) for table in tables.values()], axis=0)
    factor = np.maximum(peak, _SMALLEST) ** strength / np.maximum(weight_peak, _SMALLEST) ** (1.0 - strength)
    factor = (factor / np.exp(np.log(factor).mean())).astype(np.float32)

    members = {node.output[0] for node in group.products}
    others = set(_names_read(graph, members))
    renamed = {}
    for name, table in tables.items():
        scaled = onnx.numpy_helper.from_array(table * factor[:, None], name)
        if name in others:  # someone else reads the weight as it is: the products get a copy
            scaled.name = renamed[name] = f"{name}.smoothed"
            graph.initializer.append(scaled)
        else:
            stored[name].CopyFrom(scaled)
    for node in group.products:
        node.input[0] = f"{node.input[0]}.smoothed"
        node.input[1] = renamed.get(node.input[1], node.input[1])
    for name in sorted(group.inputs):
        graph.initializer.append(onnx.numpy_helper.from_array(1 / factor, f"{name}.smooth"))
        divided = onnx.helper.make_node("Mul", [name, f"{name}.smooth"], [f"{name}.smoothed"], name=f"{name}/smooth")
        first = next(place for place, node in enumerate(graph.node) if f"{name}.smoothed" in node.input)
        graph.node.insert(first, divided)


def _names_read(graph: Any, but: Collection[str] = ()) -> Iterator[str]:
    """Names of tensors that outputs and nodes read, those inside subgraphs included; ``but`` are nodes to leave out, by
    their first output."""
    yield from (item.name for item in graph.output)
    for node in graph.node:
        if node.output and node.output[0] in but:
            continue
        yield from node.input
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from _names_read(inner)

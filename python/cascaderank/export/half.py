"""fp32 graph -> weights and arithmetic in fp16, but where 11 bits or a range of 65504 are too little.

Those parts stay in fp32: normalisation, softmax, the mask added before it, rotary angles, whatever touches a number out
of range, and all that follows the last product of the encoder (pooling and head). Inputs and outputs are as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cascaderank.errors import ModelError
from cascaderank.export.extras import require
from cascaderank.export.graph import EXTERNAL_OVER
from cascaderank.export.prepare import Made, convert_graph, save_graph
from cascaderank.export.ranges import float_tensors, peaks
from cascaderank.export.smooth import HEADS, Inputs, encoder_products
from cascaderank.export.wiring import Wiring

LARGEST = 65504.0
"""The largest finite fp16 number."""

EXACT = (
    "LayerNormalization", "SimplifiedLayerNormalization", "SkipLayerNormalization", "Softmax", "LogSoftmax", "Pow",
    "ReduceMean", "ReduceSum", "ReduceL2", "Sqrt", "Reciprocal", "Cos", "Sin",
)  # fmt: skip
"""Operators that stay in fp32 wherever they are: sums of squares overflow, epsilons vanish, angles lose their turn."""

_ELEMENTWISE = (
    "Add", "Sub", "Mul", "Div", "Where", "Min", "Max", "Neg", "Cast", "Expand", "Unsqueeze", "Squeeze", "Reshape",
    "Slice", "Concat", "Transpose", "Identity", "Tile", "Clip", "Gather", "ScatterND", "Trilu",
)  # fmt: skip
"""What a mask passes through on its way to the softmax."""


def half_graph(
    source: Path, target: Path, inputs: Sequence[Inputs] = (), *, external_over: int = EXTERNAL_OVER
) -> Made:
    """Write ``target`` in fp16.

    ``inputs`` are typical inputs of the graph (see ``calibration_inputs``). Raises ``ModelError`` where no product
    can be in fp16, and where an activation leaves its range on one of them.
    """
    onnx, float16 = require("onnx"), require("onnxruntime.transformers.float16")

    def change(prepared: Path, changed: Path, external: bool) -> Made:
        model = onnx.load(str(prepared))
        for number, node in enumerate(model.graph.node):
            node.name = node.name or f"unnamed.{number}"  # nodes are kept by name
        large = large_weights(model)
        kept = exact_nodes(model, large)
        products = encoder_products(model)
        if not any(node.name not in kept for node in products):
            raise ModelError(f"{source}: no matrix product can be in fp16; use precision fp32")
        _check_range(model, kept, inputs)
        # The tool would clamp what is out of range without a word; here nothing is left for it to clamp.
        converted = float16.convert_float_to_float16(
            model, keep_io_types=True, disable_shape_infer=True, node_block_list=sorted(kept),
            op_block_list=[*float16.DEFAULT_OP_BLOCK_LIST, *EXACT],
        )  # fmt: skip
        join_casts(converted)
        save_graph(converted, changed, external)
        words = "fp16; norms, softmax, mask, rotary angles and head in fp32"
        if not large:
            return Made(words)
        count = f"{len(large)} weight{'s' if len(large) > 1 else ''} out of fp16's range"
        return Made(f"{words}, {count} too", (f"{count} ({LARGEST:g}) stay in fp32: {', '.join(sorted(large)[:5])}",))

    return convert_graph(source, target, external_over, change, "convert")


def _check_range(model: Any, kept: set[str], inputs: Sequence[Inputs]) -> None:
    exact = kept | {node.name for node in model.graph.node if node.op_type in EXACT}
    found = peaks(model, float_tensors(model, exact), inputs) if inputs else {}
    name = max(found, key=lambda tensor: found[tensor], default="")
    if name and not found[name] <= LARGEST:
        raise ModelError(
            f"fp16 ends at {LARGEST:g}, and {name} is up to {found[name]:.3g} on typical texts; "
            "it is out of range for this model, use int8 or fp32"
        )


def large_weights(model: Any) -> set[str]:
    """Names of float32 tensors of more than one number that hold one fp16 cannot (infinities apart)."""
    onnx = require("onnx")
    return {
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and np.prod(tensor.dims) > 1 and _is_large(onnx, tensor)
    }


def exact_nodes(model: Any, large: Iterable[str] = ()) -> set[str]:
    """Names of the nodes that stay in fp32 beside those of ``EXACT``; ``large`` are weights to be kept."""
    wiring = Wiring(model.graph.node)
    products = {node.name for node in encoder_products(model)}
    # What no product of the encoder comes after: the last norm, pooling, the head.
    kept = {node.name for node in model.graph.node} - wiring.before(products) - products
    kept |= {node.name for node in model.graph.node if HEADS & set(node.name.split("/"))}
    kept |= {node.name for name in large for node in wiring.readers(name)}
    kept |= wiring.before({node.name for node in model.graph.node if node.op_type in ("Cos", "Sin")})
    return kept | _masks(model, wiring) | _norms(model, wiring)


def _masks(model: Any, wiring: Wiring) -> set[str]:
    """Everything between a fill value such as -3.4e38 and the softmax it is for."""
    onnx = require("onnx")
    fills = [
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
        and np.prod(tensor.dims) <= 1
        and _is_large(onnx, tensor, infinite=True)
    ]
    fills += [
        node.output[0]
        for node in model.graph.node
        for attribute in node.attribute
        if attribute.name == "value"
        and attribute.t.data_type == onnx.TensorProto.FLOAT
        and _is_large(onnx, attribute.t, infinite=True)
    ]
    kept = {node.name for node in map(wiring.writer, fills) if node is not None}
    while fills:
        for node in wiring.readers(fills.pop()):
            if node.op_type in _ELEMENTWISE and node.name not in kept:
                kept.add(node.name)
                fills.extend(node.output)
    return kept


def _norms(model: Any, wiring: Wiring) -> set[str]:
    """The rest of a norm that was exported as its arithmetic: x - mean, the epsilon, the division by the root."""
    kept = set()
    for node in model.graph.node:
        if node.op_type == "ReduceMean":
            squared = wiring.writer(node.input[0])
            if squared is not None and squared.op_type in ("Pow", "Mul"):
                centred = wiring.writer(squared.input[0])
                kept |= {squared.name} | ({centred.name} if centred is not None and centred.op_type == "Sub" else set())
        if node.op_type == "Sqrt":
            epsilon = wiring.writer(node.input[0])
            divisions = wiring.readers(node.output[0])
            products = [
                reader
                for division in divisions
                if division.op_type == "Reciprocal" or node.output[0] != division.input[0]
                for reader in wiring.readers(division.output[0])
                if reader.op_type == "Mul"
            ]
            kept |= {other.name for other in (epsilon, *divisions, *products) if other is not None}
    return kept


def join_casts(model: Any) -> None:
    """Let fp32 nodes that follow each other, and outputs, have fp32: the tool rounds to fp16 and back between any two,
    which would make a mask infinite and cost a logit its digits."""
    onnx = require("onnx")
    graph = model.graph
    wiring = Wiring(graph.node)
    outputs = {item.name for item in graph.output}
    exact: dict[str, str] = {}  # a tensor that went through fp16 -> the one it was made from
    written: dict[str, str] = {}  # a tensor that becomes an output -> its name as that
    for node in graph.node:
        rounded = wiring.writer(node.input[0]) if _casts(node, onnx.TensorProto.FLOAT) else None
        # Only the tool's own roundings: what a model casts, it means.
        if rounded is None or not _casts(rounded, onnx.TensorProto.FLOAT16) or not rounded.name.endswith("_fp16_node"):
            continue
        if node.output[0] in outputs:
            written[rounded.input[0]] = node.output[0]
            node.output[0] = ""
        else:
            exact[node.output[0]] = rounded.input[0]
    for node in graph.node:
        node.input[:] = [written.get(exact.get(name, name), exact.get(name, name)) for name in node.input]
        node.output[:] = [written.get(name, name) for name in node.output]
    while unread := _unread_casts(graph, outputs):
        for node in unread:
            graph.node.remove(node)


def _unread_casts(graph: Any, outputs: set[str]) -> list[Any]:
    read = {name for node in graph.node for name in node.input} | outputs
    return [node for node in graph.node if node.op_type == "Cast" and node.output[0] not in read]


def _casts(node: Any, to: int) -> bool:
    return node.op_type == "Cast" and any(item.name == "to" and item.i == to for item in node.attribute)


def _is_large(onnx: Any, tensor: Any, infinite: bool = False) -> bool:
    values = np.abs(onnx.numpy_helper.to_array(tensor))
    return bool(((values > LARGEST) & (infinite | np.isfinite(values))).any())

"""torch to ONNX, and to int8: encoder products dynamic per channel, embeddings in 8 or 4 bits a weight.

Fusing offline first (onnxruntime.transformers.optimizer) was measured and left out: ONNX Runtime fuses the same things
at load, so scores and time came out equal, and the plain graph needs only operators of the ONNX standard.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from pairs import INPUTS, feed
from smooth import encoder_products, smooth
from tables import Table
from torch import nn

OPSET = 17  # IR version 8: every ONNX Runtime from 1.13 reads it
WORDS, POSITIONS = "bert.embeddings.word_embeddings.weight", "bert.embeddings.position_embeddings.weight"
SMOOTHING = 0.8  # of 0.3 to 1.0 the most faithful on graded-lists dev: half the error of none


def to_onnx(model: nn.Module, path: Path, output: str, axes: dict[int, str]) -> None:
    """Trace `model` over int64 [batch, length] inputs named as in INPUTS; `axes` are the output's dynamic ones."""
    example = feed([([101, 2054, 102, 2023, 2003, 102], 3), ([101, 2054, 102, 2023, 102], 3)])
    dynamic = {name: {0: "batch", 1: "length"} for name in INPUTS} | {output: axes}
    with warnings.catch_warnings():  # the tracing exporter is deprecated, but its graphs are what the optimizer fuses
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            tuple(torch.from_numpy(example[name]) for name in INPUTS),
            str(path),
            dynamo=False,
            input_names=list(INPUTS),
            output_names=[output],
            dynamic_axes=dynamic,
            opset_version=OPSET,
        )


def quantise(source: Path, target: Path, tables: dict[str, Table], calibration: list[dict[str, np.ndarray]]) -> None:
    """Encoder products to int8 (dynamic activations, smoothed; weights per output channel), embeddings to `tables`
    (by the end of their name). Normalisation and the pair head stay fp32. `calibration` is some unpadded inputs."""
    model = onnx.load(str(source))
    smooth(model, calibration, SMOOTHING)
    for name, table in tables.items():
        compress_table(model, name, table)
    onnx.save(model, str(target))
    quantize_dynamic(
        str(target),
        str(target),
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        nodes_to_quantize=[node.name for node in encoder_products(model)],
    )


def compress_table(model: onnx.ModelProto, suffix: str, table: Table) -> None:
    """Replace one embedding by codes and scales, read back by plain operators after the lookup of a few rows."""
    graph = model.graph
    (lookup,) = [node for node in graph.node if node.op_type == "Gather" and node.input[0].endswith(suffix)]
    (stored,) = [tensor for tensor in graph.initializer if tensor.name == lookup.input[0]]
    if list(stored.dims) != list(table.codes.shape):
        raise ValueError(f"{stored.name} is {list(stored.dims)}, the codes are {list(table.codes.shape)}")
    ids, result, prefix = lookup.input[1], lookup.output[0], suffix.split(".")[-2]
    nodes: list[onnx.NodeProto] = []

    def constant(name: str, value: np.ndarray) -> str:
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), f"{prefix}.{name}"))
        return f"{prefix}.{name}"

    def node(kind: str, *inputs: str, **attributes: int) -> str:
        name = f"{prefix}/{kind}_{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    if table.bits == 4:  # two codes to a byte, each + 8: a row's first half in the low nibbles, its second in the high
        half = table.codes.shape[1] // 2
        shifted = (table.codes + 8).astype(np.uint8)
        packed = node("Gather", constant("codes", shifted[:, :half] | (shifted[:, half:] << 4)), ids)
        # In float32, where every byte is exact: high = floor(byte / 16), low = byte - 16 · high.
        byte = node("Cast", packed, to=TensorProto.FLOAT)
        sixteen, eight = constant("sixteen", np.float32(16)), constant("eight", np.float32(8))
        high = node("Floor", node("Div", byte, sixteen))
        low = node("Sub", byte, node("Mul", high, sixteen))
        codes = node("Sub", node("Concat", low, high, axis=-1), eight)
    else:
        codes = node("Cast", node("Gather", constant("codes", table.codes), ids), to=TensorProto.FLOAT)
    scales = node("Cast", node("Gather", constant("scales", table.scales), ids), to=TensorProto.FLOAT)
    blocks = constant("blocks", np.array([0, 0, table.scales.shape[1], table.block], dtype=np.int64))
    flat = constant("flat", np.array([0, 0, table.codes.shape[1]], dtype=np.int64))
    last = constant("last", np.array([-1], dtype=np.int64))
    scaled = node("Mul", node("Reshape", codes, blocks), node("Unsqueeze", scales, last))
    nodes.append(helper.make_node("Reshape", [scaled, flat], [result], name=f"{prefix}/result"))

    position = list(graph.node).index(lookup)
    graph.node.remove(lookup)
    graph.initializer.remove(stored)
    for offset, new in enumerate(nodes):
        graph.node.insert(position + offset, new)


def session(path: Path) -> onnxruntime.InferenceSession:
    """A session on one thread of the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

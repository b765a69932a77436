"""Embedding tables in 8 bits, one scale per row. The words are half of a small model's file.

Plain ONNX operators read it back, so any runtime can.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


@dataclass(frozen=True, slots=True)
class Table:
    """`codes` int8 [rows, size], `scales` float16 [rows, 1]; a weight is code · scale."""

    codes: np.ndarray
    scales: np.ndarray

    def table(self) -> np.ndarray:
        """float32 [rows, size]: what the model really sees."""
        return self.codes.astype(np.float32) * self.scales.astype(np.float32)


def quantise_table(table: np.ndarray) -> Table:
    """float32 [rows, size] to codes. A row's largest weight gets the code -128, which is exact, so doing it twice
    changes nothing."""
    peak = np.take_along_axis(table, np.abs(table).argmax(-1, keepdims=True), axis=-1)
    scales = (peak / -128).astype(np.float16)
    divisor = np.where(scales == 0, 1, scales).astype(np.float32)
    return Table(np.clip(np.rint(table / divisor), -128, 127).astype(np.int8), scales)


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

    codes = node("Cast", node("Gather", constant("codes", table.codes), ids), to=TensorProto.FLOAT)
    scales = node("Cast", node("Gather", constant("scales", table.scales), ids), to=TensorProto.FLOAT)
    nodes.append(helper.make_node("Mul", [codes, scales], [result], name=f"{prefix}/result"))

    position = list(graph.node).index(lookup)
    graph.node.remove(lookup)
    graph.initializer.remove(stored)
    for offset, new in enumerate(nodes):
        graph.node.insert(position + offset, new)

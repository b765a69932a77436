"""Which tensors of a graph leave the range of fp16 on typical inputs.

A processor without fp16 kernels computes in fp32 and hides it; a GPU does not. So it is looked for in the fp32 graph.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from cascaderank.export.extras import require
from cascaderank.export.smooth import Inputs, channel_peaks


def peaks(model: Any, names: Sequence[str], inputs: Sequence[Inputs]) -> dict[str, float]:
    """The largest magnitude of each named tensor over all inputs; the graph is left as it was."""
    onnx, graph = require("onnx"), model.graph
    own = len(graph.node)
    for number, name in enumerate(names):  # reduced inside the run: whole tensors would fill the memory
        graph.node.append(onnx.helper.make_node("Abs", [name], [f"peak.abs.{number}"]))
        graph.node.append(
            onnx.helper.make_node("ReduceMax", [f"peak.abs.{number}"], [f"peak.max.{number}"], keepdims=0)
        )
        graph.node.append(onnx.helper.make_node("Relu", [f"peak.max.{number}"], [f"peak.{number}"]))  # of nothing: -inf
    try:
        found = channel_peaks(model, [f"peak.{number}" for number in range(len(names))], inputs)
    finally:
        del graph.node[own:]
    return {name: float(found[f"peak.{number}"]) for number, name in enumerate(names)}


def float_tensors(model: Any, without: Collection[str]) -> list[str]:
    """Names of the float32 tensors that nodes not named in ``without`` read or write, weights apart."""
    onnx = require("onnx")
    typed = {
        item.name
        for item in (*model.graph.value_info, *model.graph.output)
        if item.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    touched = [name for node in model.graph.node if node.name not in without for name in (*node.input, *node.output)]
    return [name for name in dict.fromkeys(touched) if name in typed]

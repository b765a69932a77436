"""Make activations easy to quantise: a few input channels of a product are far larger than the rest, and one scale for
the whole tensor then rounds the rest away. Each channel is divided by s and its row of weights multiplied by s, which
changes nothing in exact arithmetic (SmoothQuant, Xiao et al. 2023)."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

HEAD = "/head/"  # products of the pair head stay as they are


def encoder_products(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The encoder's products with a weight matrix: query, key, value, output, and both of the feed-forward part."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [n for n in model.graph.node if n.op_type == "MatMul" and n.input[1] in weights and HEAD not in n.name]


def channel_peaks(model: onnx.ModelProto, inputs: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Largest magnitude per channel of every encoder product's input over some unpadded inputs."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    names = list(dict.fromkeys(node.input[0] for node in encoder_products(model)))
    probe.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    peaks: dict[str, np.ndarray] = {}
    for arrays in inputs:
        for name, value in zip(names, session.run(names, arrays), strict=True):
            peak = np.abs(value).max(axis=(0, 1))
            peaks[name] = np.maximum(peaks.get(name, 0), peak)
    return peaks


def smooth(model: onnx.ModelProto, inputs: list[dict[str, np.ndarray]], strength: float) -> None:
    """Move `strength` (0 to 1) of each channel's magnitude from activations into weights, in place."""
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in encoder_products(model):
        readers[node.input[0]].append(node)
    for name, peak in channel_peaks(model, inputs).items():
        tables = {node.input[1]: numpy_helper.to_array(weights[node.input[1]]) for node in readers[name]}
        weight_peak = np.max([np.abs(table).max(axis=1) for table in tables.values()], axis=0)
        scale = np.maximum(peak, 1e-5) ** strength / np.maximum(weight_peak, 1e-5) ** (1 - strength)
        scale = (scale / np.exp(np.log(scale).mean())).astype(np.float32)
        for key, table in tables.items():
            weights[key].CopyFrom(numpy_helper.from_array(table * scale[:, None], key))
        graph.initializer.append(numpy_helper.from_array(1 / scale, f"{name}.smooth"))
        divided = helper.make_node("Mul", [name, f"{name}.smooth"], [f"{name}.smoothed"], name=f"{name}/smooth")
        graph.node.insert(list(graph.node).index(readers[name][0]), divided)
        for node in readers[name]:
            node.input[0] = f"{name}.smoothed"

"""fp32 torch weights of a shipped cross-encoder, read back from its int8 graph: training can go on from what ships.

Weights are the codes times their scales, with smoothing undone: the graph multiplies a product's input by a tensor
named `….smooth`, so the row of weights is multiplied by it instead. What comes back is what the shipped model computes
with exact activations, not what was quantised: the rounding of weights stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from safetensors.torch import save_file

from exporting.graph import POSITIONS, WORDS

_LAYER = re.compile(r"bert\.encoder\.layer\.(\d+)\.attention\.self\.query\.weight")
_SCORES = "/attention/self/"  # where a layer divides products of queries and keys by the root of a head's size

Weights = dict[str, np.ndarray]


def recover(graph: Path) -> tuple[Weights, dict[str, Any]]:
    """Weights named as `PairModel` names them, float32, and the encoder's `config.json`.

    `graph` is one that `quantise` wrote (or its fp32 source). Raises ValueError where a weight is not to be found.
    """
    model = onnx.load(str(graph))
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    weights = {
        name: value.astype(np.float32) for name, value in constants.items() if name.startswith(("bert.", "head."))
    }
    if (transposed := weights.pop("head.linear.weight_Transposed", None)) is not None:
        weights["head.linear.weight"] = transposed.T
    weights |= dict(_products(model.graph, constants))
    for name in (WORDS, POSITIONS):
        prefix = name.split(".")[-2]
        if f"{prefix}.codes" in constants:
            codes, scales = constants[f"{prefix}.codes"], constants[f"{prefix}.scales"]
            weights[name] = codes.astype(np.float32) * scales.astype(np.float32)
    if WORDS not in weights:
        raise ValueError(f"{graph}: no {WORDS}; only cross-encoders that the recipes exported can be read back")
    weights.setdefault("head.similarity_weights", np.array(list(_similarities(model.graph, constants)), np.float32))
    return weights, _config(weights, _head_size(model.graph, constants), _epsilon(model.graph))


def recover_folder(shipped: Path, out: Path) -> None:
    """Write `out/model.safetensors` and `out/config.json`, as the training commands do, from a shipped folder."""
    weights, config = recover(shipped / "model.onnx")
    out.mkdir(parents=True, exist_ok=True)
    tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in weights.items()}
    save_file(tensors, out / "model.safetensors")
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _products(graph: Any, constants: Weights) -> Iterator[tuple[str, np.ndarray]]:
    """The encoder's weight matrices as torch keeps them, [outputs, inputs], by name."""
    smoothed = {node.output[0]: node.input[1] for node in graph.node if node.op_type == "Mul"}
    sources = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "DynamicQuantizeLinear"}
    for node in graph.node:
        if not node.name.startswith("/bert/encoder/") or "/MatMul" not in node.name:
            continue
        path = node.name.rpartition("/")[0].strip("/").replace("/", ".")
        if node.op_type == "MatMulInteger":
            stem = node.input[1].removesuffix("_quantized")
            codes, zeros = constants[node.input[1]].astype(np.float32), constants[f"{stem}_zero_point"]
            matrix = (codes - zeros.astype(np.float32)) * constants[f"{stem}_scale"]
        elif node.op_type == "MatMul" and node.input[1] in constants:  # fp32, or one that was kept exact
            matrix = constants[node.input[1]]
        else:  # products of two activations
            continue
        factor = smoothed.get(sources.get(node.input[0], node.input[0]), "")
        if factor.endswith(".smooth"):
            matrix = matrix * constants[factor][:, None]
        yield f"{path}.weight", matrix.T


def _similarities(graph: Any, constants: Weights) -> Iterator[float]:
    """What the head multiplies the cosine and the matched tokens by, in that order: two scalars of its own products."""
    for node in graph.node:
        if node.op_type == "Mul" and node.name.startswith("/head/") and node.input[0] in constants:
            yield float(constants[node.input[0]])


def _head_size(graph: Any, constants: Weights) -> int:
    """Numbers a head has: layers divide by the square root of it."""
    for node in graph.node:
        if node.op_type == "Div" and _SCORES in node.name and node.input[1] in constants:
            return round(float(constants[node.input[1]]) ** 2)
    raise ValueError("no layer divides attention's scores by a constant; this graph is not of the recipes' exporter")


def _epsilon(graph: Any) -> float:
    """What the encoder's normalisations add to a variance, in the seven digits that a float32 has."""
    found = {a.f for n in graph.node if n.op_type == "LayerNormalization" for a in n.attribute if a.name == "epsilon"}
    if len(found) != 1:
        raise ValueError(f"LayerNormalization adds {sorted(found)}; expected one value")
    return float(f"{found.pop():.7g}")


def _config(weights: Weights, head_size: int, epsilon: float) -> dict[str, Any]:
    """`config.json` of the encoder: shapes say all of it. Heads that a layer lacks are the last ones."""
    words, positions = weights[WORDS], weights[POSITIONS]
    layers = sorted(int(found[1]) for name in weights if (found := _LAYER.fullmatch(name)))
    widths = [len(weights[f"bert.encoder.layer.{i}.attention.self.query.weight"]) for i in layers]
    heads = words.shape[1] // head_size
    pruned = {str(i): list(range(width // head_size, heads)) for i, width in zip(layers, widths, strict=True)}
    return {
        "model_type": "bert",
        "vocab_size": len(words),
        "hidden_size": words.shape[1],
        "num_hidden_layers": len(layers),
        "num_attention_heads": heads,
        "intermediate_size": len(weights["bert.encoder.layer.0.intermediate.dense.weight"]),
        "hidden_act": "gelu",
        "max_position_embeddings": len(positions),
        "type_vocab_size": len(weights["bert.embeddings.token_type_embeddings.weight"]),
        "layer_norm_eps": epsilon,
        "pruned_heads": {layer: gone for layer, gone in pruned.items() if gone},
    }

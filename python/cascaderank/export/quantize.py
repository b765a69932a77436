"""fp32 graph -> int8 graph: dynamic quantisation of the matrix products, by the method that measured best."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cascaderank.errors import ModelError
from cascaderank.export.extras import require
from cascaderank.export.graph import EXTERNAL_OVER
from cascaderank.export.prepare import Made, convert_graph, save_graph
from cascaderank.export.smooth import HEADS, Inputs, smooth


@dataclass(frozen=True, slots=True)
class Method:
    """How products become int8. Activations are always quantised as they come, with one scale per run.

    ``per_channel``: one weight scale per output channel instead of one per matrix. ``smoothing``: the strength with
    which magnitude is moved from activations into weights first (see ``smooth``), None for not at all. ``exact``:
    names of products that stay in fp32.
    """

    per_channel: bool = True
    smoothing: float | None = None
    exact: frozenset[str] = frozenset()

    def words(self, smoothed: bool) -> str:
        """The method as the manifest says it; ``smoothed`` is whether any product was."""
        count = len(self.exact)
        kept = f"{count} {'product' if count == 1 else 'products'} in fp32" if count else ""
        parts = ("dynamic", "per channel" if self.per_channel else "per tensor", "smoothed" if smoothed else "", kept)
        return ", ".join(part for part in parts if part)


DEFAULT = Method(per_channel=True, smoothing=0.8)
"""What ``--precision int8`` does: chosen by the table of models/README.md (models/recipes/quantisation.py)."""


def quantize_graph(
    source: Path, target: Path, inputs: Sequence[Inputs] = (), *, method: Method = DEFAULT, reduce_range: bool = False,
    embeddings: bool = False, external_over: int = EXTERNAL_OVER,
) -> str:  # fmt: skip
    """Write ``target`` with int8 weights and return the method in words.

    ``inputs`` are typical inputs of the graph (see ``calibration_inputs``); without them nothing is smoothed. Only
    MatMul is quantised: products hold nearly all of the time; the head is small and decides the score, so it stays.
    ``embeddings`` quantises the embedding tables (Gather) too: the file shrinks, speed stays.
    ``reduce_range`` uses 7-bit weights: x86 without VNNI (AVX2, early AVX-512) adds pairs of u8 x s8 products in 16
    bits, which saturates with 8-bit weights. The engine's sessions ask for exact products there, which ONNX Runtime
    then multiplies by a slower way, unless it sees that 7 bits cannot saturate (docs/models.md has the figures).
    """
    quantization, onnx = require("onnxruntime.quantization"), require("onnx")

    def change(prepared: Path, changed: Path, external: bool) -> Made:
        smoothed = _smooth_file(prepared, inputs, method, external)
        quantization.quantize_dynamic(
            str(prepared), str(changed),
            op_types_to_quantize=["MatMul", "Gather"] if embeddings else ["MatMul"],
            nodes_to_exclude=_kept(onnx.load(str(prepared), load_external_data=False), method.exact),
            per_channel=method.per_channel, reduce_range=reduce_range, weight_type=quantization.QuantType.QInt8,
            use_external_data_format=external,
        )  # fmt: skip
        nodes = onnx.load(str(changed), load_external_data=False).graph.node
        if not any(node.op_type in ("MatMulInteger", "DynamicQuantizeMatMul") for node in nodes):
            raise ModelError(f"{source}: no matrix product was quantised; use precision fp32")
        words = f"{method.words(smoothed)}, MatMul{' and Gather' if embeddings else ''}"
        return Made(f"{words}, 7-bit weights (reduce_range)" if reduce_range else words)

    return convert_graph(source, target, external_over, change, "quantise").method


def _smooth_file(path: Path, inputs: Sequence[Inputs], method: Method, external: bool) -> bool:
    """Smooth the graph of a file in place; returns whether any product was."""
    if method.smoothing is None or not inputs:
        return False
    model = require("onnx").load(str(path))
    if not smooth(model, inputs, method.smoothing, method.exact):
        return False
    save_graph(model, path, external)
    return True


def _kept(model: Any, exact: Collection[str]) -> list[str]:
    """Names of the products that are not quantised: the head's, and those to be kept exact."""
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "MatMul" and (node.name in exact or HEADS & set(node.name.split("/")))
    ]

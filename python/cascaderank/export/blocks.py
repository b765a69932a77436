"""fp32 graph -> weights alone in 8 or 4 bits, with a scale per block of 32; what is multiplied with them stays a float.

A scale serves 32 weights of one output, so nothing has to be calibrated, no large channel spoils the rest, and a score
does not depend on its neighbours. What it saves is memory: ONNX Runtime's MatMulNBits unpacks the blocks as it goes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cascaderank.errors import ModelError
from cascaderank.export.extras import require
from cascaderank.export.graph import EXTERNAL_OVER
from cascaderank.export.prepare import Made, convert_graph
from cascaderank.export.smooth import encoder_products

BLOCK = 32
"""Weights that share a scale; the finest that MatMulNBits has kernels for on every provider is 16, the usual one 32."""

ACCURACY = {8: 4, 4: 0}
"""MatMulNBits's accuracy_level per width, by ``python bench/block_products.py`` (docs/models.md has the figures): 8-bit
blocks are faster multiplied in int8 (4), 4-bit ones unpacked to fp32 (0), at the lengths that rerankers read."""


def block_graph(
    source: Path, target: Path, bits: int, *, embeddings: bool = False, external_over: int = EXTERNAL_OVER
) -> Made:
    """Write ``target`` with the encoder's weight matrices in ``bits`` (8 or 4).

    ``embeddings``: the embedding tables too, in 4 bits only. The head stays in fp32, and so does a product with fewer
    outputs than a block: a head in all but name.
    """
    if embeddings and bits != 4:
        raise ModelError(f"{source}: embedding tables go into blocks of 4 bits only; leave quantize_embeddings out")
    onnx, quantization = require("onnx"), require("onnxruntime.quantization.matmul_nbits_quantizer")

    def change(prepared: Path, changed: Path, external: bool) -> Made:
        model = onnx.load(str(prepared))
        chosen = _wide_products(model)
        if embeddings:
            chosen |= {node.name for node in model.graph.node if node.op_type == "Gather" and _is_table(model, node)}
        quantizer = quantization.MatMulNBitsQuantizer(
            model, bits=bits, block_size=BLOCK, is_symmetric=False, accuracy_level=ACCURACY[bits],
            nodes_to_exclude=[node.name for node in model.graph.node if node.name not in chosen],
            op_types_to_quantize=("MatMul", "Gather") if embeddings else ("MatMul",),
        )  # fmt: skip
        quantizer.process()
        quantizer.model.save_model_to_file(str(changed), external)
        made = {node.op_type for node in onnx.load(str(changed), load_external_data=False).graph.node}
        if "MatMulNBits" not in made:
            raise ModelError(f"{source}: no matrix product was quantised; use precision fp32")
        what = "MatMul and Gather" if "GatherBlockQuantized" in made else "MatMul"
        return Made(f"weights only, {bits} bits, blocks of {BLOCK}, accuracy level {ACCURACY[bits]}, {what}")

    return convert_graph(source, target, external_over, change, "quantise")


def _wide_products(model: Any) -> set[str]:
    widths = {tensor.name: tensor.dims[1] for tensor in model.graph.initializer if len(tensor.dims) == 2}
    return {node.name for node in encoder_products(model) if widths[node.input[1]] >= BLOCK}


def _is_table(model: Any, node: Any) -> bool:
    """Whether a Gather reads rows of a float table that is wide enough for a block."""
    float32 = require("onnx").TensorProto.FLOAT
    return any(
        tensor.name == node.input[0]
        and tensor.data_type == float32
        and len(tensor.dims) == 2
        and tensor.dims[1] >= BLOCK
        for tensor in model.graph.initializer
    )

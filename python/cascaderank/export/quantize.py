"""fp32 graph -> int8 graph: dynamic quantisation of the matrix products, weights per channel."""

from __future__ import annotations

import tempfile
from pathlib import Path

from cascaderank.errors import ModelError
from cascaderank.export.extras import first_line, quiet, require
from cascaderank.export.graph import EXTERNAL_OVER, store_graph

METHOD = "dynamic, per channel, MatMul"


def quantize_graph(
    source: Path, target: Path, *, reduce_range: bool = False, embeddings: bool = False,
    external_over: int = EXTERNAL_OVER,
) -> str:  # fmt: skip
    """Write ``target`` with int8 weights and return the method in words.

    Only MatMul is quantised: products hold nearly all of the time; the head's Gemm is small and decides the score.
    ``embeddings`` quantises the embedding tables (Gather) too: the file shrinks, speed stays.
    ``reduce_range`` uses 7-bit weights, off by default: x86 without VNNI (AVX2, early AVX-512) adds pairs of u8 x s8
    products in 16 bits, which saturates with 8-bit weights; processors with VNNI and ARM accumulate in 32 bits and
    would only lose precision.
    """
    quantization = require("onnxruntime.quantization")
    shape_inference = require("onnxruntime.quantization.shape_inference")
    onnx = require("onnx")
    with tempfile.TemporaryDirectory() as scratch, quiet():
        prepared, quantized = Path(scratch) / "prepared.onnx", Path(scratch) / "int8" / "model.onnx"
        quantized.parent.mkdir()
        size = source.stat().st_size + sum(path.stat().st_size for path in source.parent.glob(f"{source.name}_data"))
        external = size > external_over
        try:
            # Symbolic shape inference needs sympy and fails on some graphs; the ONNX one is enough for MatMul.
            shape_inference.quant_pre_process(
                str(source), str(prepared), skip_symbolic_shape=True, save_as_external_data=external,
                all_tensors_to_one_file=True, external_data_location="prepared.onnx_data" if external else None,
            )  # fmt: skip
            quantization.quantize_dynamic(
                str(prepared), str(quantized),
                op_types_to_quantize=["MatMul", "Gather"] if embeddings else ["MatMul"],
                per_channel=True, reduce_range=reduce_range, weight_type=quantization.QuantType.QInt8,
                use_external_data_format=external,
            )  # fmt: skip
        except Exception as error:
            raise ModelError(
                f"{source}: ONNX Runtime could not quantise it: {first_line(error)}; use precision fp32"
            ) from error
        store_graph(quantized, target, external_over)
    nodes = onnx.load(str(target), load_external_data=False).graph.node
    if not any(node.op_type in ("MatMulInteger", "DynamicQuantizeMatMul") for node in nodes):
        raise ModelError(f"{source}: no matrix product was quantised; use precision fp32")
    words = [METHOD + (" and Gather" if embeddings else "")]
    return ", ".join([*words, "7-bit weights (reduce_range)"] if reduce_range else words)

"""fp32 graph -> static int8 graph: scales of activations are constants, found once on typical texts.

A run looks for no scale of its own, so a neighbour cannot move a score. Weights have 7 bits: x86 without VNNI adds two
products of 8 bits in 16, which saturates with 8-bit weights and cannot with these, whatever runs the graph. ONNX
Runtime can be asked for exact products of 8 bits too (``session.x64quantprecision``), by a slower way; OpenVINO cannot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from cascaderank.errors import ModelError
from cascaderank.export.extras import require
from cascaderank.export.graph import EXTERNAL_OVER
from cascaderank.export.prepare import Made, convert_graph, save_graph
from cascaderank.export.smooth import Inputs, encoder_products, smooth

SMOOTHING = 0.8
"""How much of each channel's magnitude moves into the weights first, as for dynamic int8 (see ``smooth``)."""

_STEP = 1  # inputs at a time: ONNX Runtime cannot join the ranges of inputs of different lengths
_METHOD = "static, 7-bit weights per channel, min-max ranges, smoothed, MatMul"


def static_graph(source: Path, target: Path, inputs: Sequence[Inputs], *, external_over: int = EXTERNAL_OVER) -> Made:
    """Write ``target`` with the encoder's products in int8: weights -64 to 64 with a scale per output channel,
    activations 0 to 255 with a scale and a zero point per tensor.

    ``inputs`` are typical inputs of the graph (see ``typical_inputs``): the smallest and largest value a product is fed
    over all of them is its range, and what is beyond it later is cut off. The head stays in fp32, and what a product
    gives does. Raises ``ModelError`` without inputs, and for a graph with nothing to quantise.
    """
    if not inputs:
        raise ModelError(f"{source}: static int8 takes ranges from typical inputs; give at least one")
    onnx, quantization = require("onnx"), require("onnxruntime.quantization")

    def change(prepared: Path, changed: Path, external: bool) -> Made:
        model = onnx.load(str(prepared))
        for number, node in enumerate(model.graph.node):
            node.name = node.name or f"unnamed.{number}"  # nodes are chosen by name
        if not smooth(model, inputs, SMOOTHING):
            raise ModelError(f"{source}: no matrix product was quantised; use precision fp32")
        names = [node.name for node in encoder_products(model)]
        save_graph(model, prepared, external)
        with redirect_stdout(StringIO()):  # a line per input
            quantization.quantize_static(
                str(prepared), str(changed), _reader(quantization, inputs),
                quant_format=quantization.QuantFormat.QDQ, op_types_to_quantize=["MatMul"], nodes_to_quantize=names,
                per_channel=True, reduce_range=True, activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8, calibrate_method=quantization.CalibrationMethod.MinMax,
                use_external_data_format=external,
                extra_options={"CalibStridedMinMax": _STEP, "OpTypesToExcludeOutputQuantization": ["MatMul"]},
            )  # fmt: skip
        return Made(_METHOD)

    return convert_graph(source, target, external_over, change, "quantise")


def _reader(quantization: Any, inputs: Sequence[Inputs]) -> Any:
    """Inputs as ONNX Runtime's calibration asks for them: a range at a time, one after the other."""

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._rest: Iterator[Inputs] = iter(inputs)

        def __len__(self) -> int:
            return len(inputs)

        def set_range(self, start_index: int, end_index: int) -> None:
            self._rest = iter(inputs[start_index:end_index])

        def get_next(self) -> Inputs | None:
            return next(self._rest, None)

    return Reader()

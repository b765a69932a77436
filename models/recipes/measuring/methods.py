"""Ways to make a graph smaller or faster, from the fp32 graph and training inputs; `quantisation.py` compares them.

Only the encoder's products are touched, so that the ways differ in nothing else: embeddings, normalisation, attention's
own products and the pair head stay fp32. fp16 converts more: see `half`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

from cascaderank.export.extras import quiet
from cascaderank.export.smooth import HEADS, encoder_products, smooth
from measuring.sensitivity import most_sensitive, quantise_products

Inputs = list[dict[str, np.ndarray]]
STRENGTHS = (0.5, 0.8)
BEST = 0.8  # the strength that static and mixed methods are tried with


@dataclass(frozen=True, slots=True)
class Way:
    """One row of the table: a name, and what writes `target` from the fp32 graph `source` and training inputs."""

    name: str
    make: Callable[[Path, Path, Inputs], None]


def prepare(source: Path, folder: Path, inputs: Inputs, smoothing: float | None) -> Path:
    """The graph as ONNX Runtime's quantisers want it (constants folded, shapes inferred), smoothed if asked for."""
    prepared = folder / "prepared.onnx"
    with quiet():
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    if smoothing is not None:
        model = onnx.load(str(prepared))
        smooth(model, inputs, smoothing)
        onnx.save(model, str(prepared))
    return prepared


def dynamic(per_channel: bool = True, smoothing: float | None = None, exact: int = 0) -> Callable[..., None]:
    """Activations with one scale per run, found in the run; the `exact` most sensitive products stay fp32."""

    def make(source: Path, target: Path, inputs: Inputs) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            prepared = prepare(source, Path(scratch), inputs, smoothing)
            kept = most_sensitive(prepared, inputs, exact, per_channel) if exact else ()
            names = [node.name for node in encoder_products(onnx.load(str(prepared)), kept)]
            quantise_products(prepared, target, names, per_channel)

    return make


class _Reader(CalibrationDataReader):
    """Inputs for ONNX Runtime's calibration, which asks for a range of them at a time."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._rest = iter(inputs)

    def __len__(self) -> int:
        return len(self._inputs)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Give the inputs from `start_index` until before `end_index` next."""
        self._rest = iter(self._inputs[start_index:end_index])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._rest, None)


def static(
    calibrate: CalibrationMethod = CalibrationMethod.MinMax, smoothing: float | None = None, outputs: bool = False
) -> Callable[..., None]:
    """Activations with one scale per tensor for good, from training inputs (QDQ, unsigned activations, signed weights
    per output channel). `outputs` quantises what a product gives too, not only what it takes."""

    def make(source: Path, target: Path, inputs: Inputs) -> None:
        # ONNX Runtime's calibration prints a line per input.
        with tempfile.TemporaryDirectory() as scratch, quiet(), redirect_stdout(StringIO()):
            prepared = prepare(source, Path(scratch), inputs, smoothing)
            # One input at a time: histograms of inputs of different lengths cannot be taken together.
            options: dict[str, object] = {"CalibStridedMinMax": 1}
            if not outputs:
                options["OpTypesToExcludeOutputQuantization"] = ["MatMul"]
            quantize_static(
                str(prepared),
                str(target),
                _Reader(inputs),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["MatMul"],
                nodes_to_quantize=[node.name for node in encoder_products(onnx.load(str(prepared)))],
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=calibrate,
                extra_options=options,
            )

    return make


def weight_only(bits: int) -> Callable[..., None]:
    """Weights in blocks of 32 with a scale each; accuracy level 4 lets the kernel compute in int8."""

    def make(source: Path, target: Path, inputs: Inputs) -> None:
        model = onnx.load(str(source))
        included = [node.name for node in encoder_products(model)]
        with quiet():
            quantizer = MatMulNBitsQuantizer(
                model, bits=bits, block_size=32, is_symmetric=True, accuracy_level=4, nodes_to_include=included
            )
            quantizer.process()
            quantizer.model.save_model_to_file(str(target))

    return make


def half(source: Path, target: Path, inputs: Inputs) -> None:
    """Weights and activations in fp16; normalisation, softmax and the pair head in fp32, inputs and output as before.

    For GPUs: on a processor without fp16 kernels ONNX Runtime casts back and forth."""
    model = onnx.load(str(source))
    with quiet():
        converted = convert_float_to_float16(
            model,
            keep_io_types=True,
            op_block_list=[*DEFAULT_OP_BLOCK_LIST, "LayerNormalization", "Softmax"],
            node_block_list=[node.name for node in model.graph.node if HEADS & set(node.name.split("/"))],
        )
    onnx.save(converted, str(target))


def ways(sensitive: int) -> list[Way]:
    """Every way that is compared, in the order of the table; the fp32 graph itself is not among them. Mixed ones keep
    the `sensitive` products in fp32 that move the output most."""
    entropy, percentile = CalibrationMethod.Entropy, CalibrationMethod.Percentile
    return [
        Way("dynamic, per tensor", dynamic(per_channel=False)),
        Way("dynamic, per channel", dynamic()),
        *(Way(f"dynamic, per channel, smoothed {s}", dynamic(smoothing=s)) for s in STRENGTHS),
        Way(f"mixed: dynamic, per channel, {sensitive} products fp32", dynamic(exact=sensitive)),
        Way(
            f"mixed: dynamic, per channel, smoothed {BEST}, {sensitive} products fp32",
            dynamic(smoothing=BEST, exact=sensitive),
        ),
        Way("static, min-max, outputs too", static(outputs=True)),
        Way("static, min-max", static()),
        Way("static, percentile 99.999", static(percentile)),
        Way("static, entropy", static(entropy)),
        *(Way(f"static, min-max, smoothed {s}", static(smoothing=s)) for s in STRENGTHS),
        Way("weights only, 8 bits", weight_only(8)),
        Way("weights only, 4 bits", weight_only(4)),
        Way("fp16", half),
    ]

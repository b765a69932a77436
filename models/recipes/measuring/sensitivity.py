"""How much the model's output moves when one product alone is quantised: which products a mixed graph keeps in fp32."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from rich.progress import track

from cascaderank.export.extras import quiet
from cascaderank.export.smooth import encoder_products
from exporting.runtime import session

Inputs = list[dict[str, np.ndarray]]


def quantise_products(source: Path, target: Path, names: Sequence[str], per_channel: bool) -> None:
    """Write `target` with these products dynamically in int8, everything else as it is."""
    with quiet():
        quantize_dynamic(
            str(source),
            str(target),
            op_types_to_quantize=["MatMul"],
            per_channel=per_channel,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=list(names),
        )


def sensitivities(graph: Path, inputs: Inputs, per_channel: bool = True) -> dict[str, float]:
    """Mean |difference| of the output over the inputs (training texts), by the name of the product quantised alone."""
    names = [node.name for node in encoder_products(onnx.load(str(graph)))]
    exact = _outputs(graph, inputs)
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "one.onnx"
        for name in track(names, "sensitivity of each product"):
            quantise_products(graph, target, [name], per_channel)
            moved = _outputs(target, inputs)
            found[name] = float(np.mean([np.abs(a - b).mean() for a, b in zip(moved, exact, strict=True)]))
    return found


def most_sensitive(graph: Path, inputs: Inputs, count: int, per_channel: bool = True) -> Sequence[str]:
    """The `count` products whose quantisation alone moves the output most, the worst first."""
    found = sensitivities(graph, inputs, per_channel)
    return sorted(found, key=lambda name: -found[name])[:count]


def _outputs(graph: Path, inputs: Inputs) -> list[np.ndarray]:
    runner = session(graph)
    return [runner.run(None, arrays)[0] for arrays in inputs]

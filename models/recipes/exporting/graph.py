"""torch to ONNX, and to int8: encoder products dynamic per channel, embeddings in 8 bits.

Fusing offline first (onnxruntime.transformers.optimizer) was measured and left out: ONNX Runtime fuses the same things
at load, so scores and time came out equal, and the plain graph needs only operators of the ONNX standard.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

from cascaderank.export.quantize import DEFAULT
from cascaderank.export.smooth import encoder_products, smooth
from exporting.runtime import OPSET
from exporting.tables import Table, compress_table
from texts.pairs import INPUTS, feed

WORDS, POSITIONS = "bert.embeddings.word_embeddings.weight", "bert.embeddings.position_embeddings.weight"


def to_onnx(model: nn.Module, path: Path, output: str, axes: dict[int, str]) -> None:
    """Trace `model` over int64 [batch, length] inputs named as in INPUTS; `axes` are the output's dynamic ones."""
    example = feed([([101, 2054, 102, 2023, 2003, 102], 3), ([101, 2054, 102, 2023, 102], 3)])
    dynamic = {name: {0: "batch", 1: "length"} for name in INPUTS} | {output: axes}
    with warnings.catch_warnings():  # the tracing exporter is deprecated, but its graphs are what the optimizer fuses
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            tuple(torch.from_numpy(example[name]) for name in INPUTS),
            str(path),
            dynamo=False,
            input_names=list(INPUTS),
            output_names=[output],
            dynamic_axes=dynamic,
            opset_version=OPSET,
        )


def quantise(source: Path, target: Path, tables: dict[str, Table], calibration: list[dict[str, np.ndarray]]) -> None:
    """Encoder products to int8 by the method that `cascaderank export --precision int8` uses (`quantisation.py`
    compares it with others), embeddings to `tables` (by the end of their name). Normalisation and the pair head stay
    fp32. `calibration` is some unpadded inputs of training texts."""
    model = onnx.load(str(source))
    if DEFAULT.smoothing is not None:
        smooth(model, calibration, DEFAULT.smoothing, DEFAULT.exact)
    for name, table in tables.items():
        compress_table(model, name, table)
    onnx.save(model, str(target))
    quantize_dynamic(
        str(target),
        str(target),
        op_types_to_quantize=["MatMul"],
        per_channel=DEFAULT.per_channel,
        weight_type=QuantType.QInt8,
        nodes_to_quantize=[node.name for node in encoder_products(model, DEFAULT.exact)],
    )

"""Which int8 product is exact, and how fast: ``python bench/int8_products.py`` (needs onnx).

One product of rows x 384 by 384 x 1536 in fp32, and in int8 with weights of 8 and of 7 bits, activations with a scale
found in the run (dynamic) or a constant one (static); 8 bits also as a session has them that does not ask for exact
products. One thread, in turn. The error is the largest one beside the sum of integers, for the input whose pairs of
products are largest, in parts of the largest result. ``--provider openvino`` runs the static ones there.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import numpy as np
import onnxruntime
from measure import alternate, describe, machine, speedup, table, write_json
from onnx import TensorProto, helper, numpy_helper

from cascaderank.processor import openvino_settings

SIZES = (384, 1536)
STEP, WEIGHT_STEP, ZERO = 0.02, 0.01, 3
LARGEST = {8: 127, 7: 64}
node = helper.make_node


def weights(bits: int) -> np.ndarray:
    """int8 of all sizes that so many bits hold."""
    limit = LARGEST[bits]
    return np.random.default_rng(0).integers(-limit, limit + 1, SIZES).astype(np.int8)


def product(way: str, bits: int) -> Any:
    """A graph x [rows, 384] -> y [rows, 1536]; ``way`` is "fp32", "dynamic" or "static"."""
    table_ = weights(bits)
    constants: dict[str, Any] = {
        "w": table_.astype(np.float32) * np.float32(WEIGHT_STEP) if way == "fp32" else table_,
        "ws": np.full(SIZES[1], WEIGHT_STEP, np.float32),
        "wz": np.zeros(SIZES[1], np.int8),
        "xs": np.float32(STEP),
        "xz": np.uint8(ZERO),
    }
    nodes = {
        "fp32": [node("MatMul", ["x", "w"], ["y"])],
        "dynamic": [
            node("DynamicQuantizeLinear", ["x"], ["xq", "s", "z"]),
            node("MatMulInteger", ["xq", "w", "z", "wz"], ["yi"]),
            node("Cast", ["yi"], ["yf"], to=TensorProto.FLOAT),
            node("Mul", ["s", "ws"], ["both"]),
            node("Mul", ["yf", "both"], ["y"]),
        ],
        "static": [
            node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
            node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]),
            node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=1),
            node("MatMul", ["xd", "wd"], ["y"]),
        ],
    }[way]
    read = {name for one in nodes for name in one.input}
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", SIZES[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", SIZES[1]])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items() if name in read],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def session(model: Any, exact: bool, provider: str) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.x64quantprecision", "1" if exact else "0")
    providers: list[Any] = ["CPUExecutionProvider"]
    if provider == "openvino":
        providers = [("OpenVINOExecutionProvider", openvino_settings(1, False))]
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers)


def error(one: Any, way: str, bits: int) -> float:
    """Largest |difference| from the sum of integers over the largest result, every activation as large as it gets."""
    x = np.full((4, SIZES[0]), (255 - ZERO) * STEP, np.float32)
    taken = x.astype(np.float64) if way != "static" else np.rint(x / np.float32(STEP)).astype(np.int64) * STEP
    expected = taken @ (weights(bits).astype(np.float64) * WEIGHT_STEP)
    return float(np.abs(one.run(None, {"x": x})[0] - expected).max() / np.abs(expected).max())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--repetitions", type=int, default=40)
    parser.add_argument("--provider", choices=("cpu", "openvino"), default="cpu")
    parser.add_argument("--json", metavar="OUT")
    options = parser.parse_args()
    ways = [("fp32", 8, True)]
    for way in ("static",) if options.provider == "openvino" else ("dynamic", "static"):
        ways += [(way, 8, False), (way, 8, True), (way, 7, True)]
    sessions, errors = {}, {}
    for way, bits, exact in ways:
        name = way if way == "fp32" else f"{way}, {bits} bits{'' if exact else ', as it comes'}"
        provider = "cpu" if way == "fp32" else options.provider
        sessions[name] = session(product(way, bits), exact, provider)
        errors[name] = error(sessions[name], way, bits)
    x = np.random.default_rng(1).standard_normal((options.rows, SIZES[0])).astype(np.float32)
    calls = {name: partial(one.run, None, {"x": x}) for name, one in sessions.items()}
    seconds = alternate(calls, options.repetitions, calls=2)
    ratios = {name: speedup(seconds, name, "fp32") for name in sessions if name != "fp32"}
    print(describe(machine()))
    lines = [["product", "worst error", "fp32's time over its"]]
    lines += [[name, f"{errors[name]:.0e}", f"{r.median:.2f} ({r.low:.2f}-{r.high:.2f})"] for name, r in ratios.items()]
    print(table(lines))
    figures = {name: {"error": errors[name], "ratio": ratio.median} for name, ratio in ratios.items()}
    write_json(options.json, {"machine": machine(), "provider": options.provider, "products": figures})


if __name__ == "__main__":
    main()

"""How blocks of weights are best multiplied: ``python bench/block_products.py`` (needs onnx).

One product of rows x 1024 by 1024 x 3072 in fp32 and in blocks of 8 and 4 bits, with accuracy levels 0 (unpacked to
fp32) and 4 (activations in int8 too) of ``MatMulNBits``; one thread, in turn. ``cascaderank.export.blocks`` follows it.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import numpy as np
import onnxruntime
from measure import alternate, describe, machine, speedup, table, write_json
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

SIZES = (1024, 3072)
WAYS = [(bits, level) for bits in (8, 4) for level in (0, 4)]


def product() -> Any:
    """The fp32 model: one MatMul."""
    weight = np.random.default_rng(0).standard_normal(SIZES).astype(np.float32) / np.sqrt(SIZES[0])
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", SIZES[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", SIZES[1]])],
        [numpy_helper.from_array(weight.astype(np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def session(model: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def in_blocks(bits: int, level: int) -> Any:
    maker = MatMulNBitsQuantizer(product(), bits=bits, block_size=32, is_symmetric=False, accuracy_level=level)
    maker.process()
    return maker.model.model


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 64, 256])
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--json", metavar="OUT")
    options = parser.parse_args()
    sessions = {"fp32": session(product())}
    sessions |= {f"{bits} bits, level {level}": session(in_blocks(bits, level)) for bits, level in WAYS}
    print(describe(machine()))
    lines, found = [["rows", *list(sessions)[1:]]], {}
    for rows in options.rows:
        x = np.random.default_rng(rows).standard_normal((rows, SIZES[0])).astype(np.float32)
        exact = sessions["fp32"].run(None, {"x": x})[0]
        for name, one in sessions.items():
            apart = np.abs(one.run(None, {"x": x})[0] - exact).mean() / np.abs(exact).mean()
            if apart > 0.2:
                raise SystemExit(f"{name}: {apart:.2f} of the product away from it")
        calls = {name: partial(one.run, None, {"x": x}) for name, one in sessions.items()}
        seconds = alternate(calls, options.repetitions, calls=max(256 // rows, 1))
        ratios = {name: speedup(seconds, name, "fp32") for name in list(sessions)[1:]}
        found[rows] = {name: ratio.median for name, ratio in ratios.items()}
        lines.append([str(rows), *(f"{r.median:.2f} ({r.low:.2f}-{r.high:.2f})" for r in ratios.values())])
    print(table(lines))
    write_json(options.json, {"machine": machine(), "fp32's time over theirs": found})


if __name__ == "__main__":
    main()

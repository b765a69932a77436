"""What one call of an ONNX Runtime session costs on a CPU, by the way its tensors get in and out.

    python bench/session_calls.py [MODEL_FOLDER]

``run`` takes a dict of NumPy views. ``IOBinding, pointers`` binds addresses of the same views before every run, as one
must where micro-batches lie in one buffer. ``IOBinding, bound once`` copies into buffers that stay bound, which needs
one set per shape. On a graph that computes next to nothing the figures are the cost of the call itself; on a model they
show what share of it that is. This is why ``session.DirectRunner`` uses ``run``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from measure import alternate, describe, machine, speedup, spread, table, write_json
from onnx import TensorProto, helper

ROLES = ("input_ids", "attention_mask", "token_type_ids")
RUN, POINTERS, ONCE = "run", "IOBinding, pointers", "IOBinding, bound once"


def tiny_graph() -> bytes:
    """Three int64 [rows, width] inputs, summed to float32 [rows, 1]."""
    nodes = [
        helper.make_node("Add", [ROLES[0], ROLES[1]], ["two"]),
        helper.make_node("Add", ["two", ROLES[2]], ["three"]),
        helper.make_node("Cast", ["three"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["logits"], axes=[1], keepdims=1),
    ]
    inputs = [helper.make_tensor_value_info(role, TensorProto.INT64, ["rows", "width"]) for role in ROLES]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", 1])
    graph = helper.make_graph(nodes, "tiny", inputs, [output])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


def open_session(model: bytes) -> Any:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])


def ways(session: Any, output_name: str, views: dict[str, np.ndarray]) -> dict[str, Callable[[], np.ndarray]]:
    """The contenders, each from the views to an output of its own."""
    shape = views[ROLES[0]].shape
    result_shape = (shape[0], 1)

    def run() -> np.ndarray:
        return session.run([output_name], dict(views))[0]

    pointer_binding = session.io_binding()

    def pointers() -> np.ndarray:
        result = np.empty(result_shape, np.float32)
        for name, view in views.items():
            pointer_binding.bind_input(name, "cpu", 0, np.int64, shape, view.ctypes.data)
        pointer_binding.bind_output(output_name, "cpu", 0, np.float32, result_shape, result.ctypes.data)
        session.run_with_iobinding(pointer_binding)
        return result

    allocate = onnxruntime.OrtValue.ortvalue_from_shape_and_type
    once_binding = session.io_binding()
    held = {name: allocate(list(shape), np.int64, "cpu", 0) for name in views}
    result_value = allocate(list(result_shape), np.float32, "cpu", 0)
    for name, value in held.items():
        once_binding.bind_ortvalue_input(name, value)
    once_binding.bind_ortvalue_output(output_name, result_value)

    def once() -> np.ndarray:
        for name, value in held.items():
            value.update_inplace(views[name])
        session.run_with_iobinding(once_binding)
        return np.array(result_value.numpy())

    return {RUN: run, POINTERS: pointers, ONCE: once}


def measure(what: str, session: Any, output: str, width: int, repetitions: int, calls: int) -> list[dict[str, Any]]:
    random = np.random.default_rng(3)
    buffers = {role: np.ones(4 * width, np.int64) for role in ROLES}
    buffers["input_ids"] = random.integers(1000, 20_000, 4 * width)
    buffers["token_type_ids"] = (np.arange(4 * width) % width > 12).astype(np.int64)
    views = {role: buffer[width : 2 * width].reshape(1, width) for role, buffer in buffers.items()}
    contenders = ways(session, output, views)
    answers = {name: call() for name, call in contenders.items()}
    for name, answer in answers.items():
        if not np.array_equal(answer, answers[RUN]):
            raise SystemExit(f"{what}: {name} gives {answer}, run gives {answers[RUN]}")
    seconds = alternate(contenders, repetitions, calls=calls)
    found = []
    for name, values in seconds.items():
        us, ratio = spread(values).scaled(1e6), speedup(seconds, name, RUN)
        found.append({"graph": what, "way": name, "us": [us.low, us.median, us.high], "times_run": ratio.median})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="a cross-encoder's folder (default: minilm-ce-small, if installed)")
    parser.add_argument("--repetitions", type=int, default=101)
    parser.add_argument("--width", type=int, default=128, help="tokens of the one row in a run (default 128)")
    parser.add_argument("--json", help="write the figures to this file")
    arguments = parser.parse_args()
    found = machine()
    print(describe(found))
    results = measure("tiny", open_session(tiny_graph()), "logits", arguments.width, arguments.repetitions, 50)
    folder = arguments.model or _installed("minilm-ce-small")
    if folder is None:
        print("no model folder given and minilm-ce-small is not installed: only the tiny graph was measured")
    else:
        session = open_session((Path(folder) / "model.onnx").read_bytes())
        if {item.name for item in session.get_inputs()} != set(ROLES):
            raise SystemExit(f"{folder}: its inputs are not {', '.join(ROLES)}")
        output = session.get_outputs()[0].name
        results += measure(Path(folder).name, session, output, arguments.width, arguments.repetitions, 3)
    rows = [("graph", "way", "us", "quartiles", "x run")]
    for one in results:
        low, median, high = one["us"]
        rows.append((one["graph"], one["way"], f"{median:.1f}", f"{low:.1f}-{high:.1f}", f"{one['times_run']:.2f}"))
    print(table(rows))
    write_json(arguments.json, {"machine": found, "width": arguments.width, "calls": results})


def _installed(name: str) -> Path | None:
    from cascaderank.model import installed_models

    return installed_models().get(name)


if __name__ == "__main__":
    main()

"""How long a model's matrix products alone take on this machine: the floor under every engine that runs them.

The products of a BERT-like encoder, with its shapes and as many different weights, are an ONNX graph of their own, run
as the engine runs a model: single-threaded sessions' runs side by side, one row a run. For int8 the weights' products
are quantised as the exporter does it, so quantising activations counts, which no engine of such a graph can avoid.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


class Arithmetic:
    """The products of ``layers`` layers of ``size`` dimensions and ``heads`` heads."""

    def __init__(
        self, precision: str, workers: int, seven_bits: bool = False, layers: int = 6, size: int = 384, heads: int = 12
    ) -> None:
        self.layers, self.size, self.heads = layers, size, heads
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch, "fp32.onnx")
            onnx.save(self._graph(), str(path))
            if precision == "int8":
                path = _quantised(path, seven_bits)
            self._session = onnxruntime.InferenceSession(
                path.read_bytes(), _options(), providers=["CPUExecutionProvider"]
            )
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="arithmetic")
        random = np.random.default_rng(0)
        self._tokens = random.standard_normal((1, 512, size)).astype(np.float32)
        self._queries, self._values = (
            random.standard_normal((1, heads, 512, size // heads)).astype(np.float32) for _ in range(2)
        )
        self._keys = random.standard_normal((1, heads, size // heads, 512)).astype(np.float32)

    def operations(self, lengths: Sequence[int]) -> float:
        """Multiplications and additions of rows of these lengths."""
        weights = 12 * self.size * self.size  # 4 of size x size, 2 of size x 4 size
        return float(sum(2 * self.layers * (weights * n + 2 * n * n * self.size) for n in lengths))

    def run(self, lengths: Sequence[int]) -> None:
        """All rows, longest first, over all workers."""
        ordered = sorted(lengths, reverse=True)
        take = itertools.count().__next__

        def work() -> None:
            while (place := take()) < len(ordered):
                self._row(ordered[place])

        for future in [self._pool.submit(work) for _ in range(self._workers)]:
            future.result()

    def _row(self, n: int) -> None:
        feed = {
            "tokens": self._tokens[:, :n],
            "queries": np.ascontiguousarray(self._queries[:, :, :n]),
            "keys": np.ascontiguousarray(self._keys[:, :, :, :n]),
            "values": np.ascontiguousarray(self._values[:, :, :n]),
        }
        self._session.run(["tokens_out", "queries_out"], feed)

    def _graph(self) -> Any:
        random = np.random.default_rng(1)
        size, wide, head = self.size, 4 * self.size, self.size // self.heads
        shapes = [("q", size, size), ("k", size, size), ("v", size, size), ("o", size, size)]
        shapes += [("up", size, wide), ("down", wide, size)]
        nodes, weights = [], []
        tokens, queries = "tokens", "queries"
        for layer in range(self.layers):
            for name, rows, columns in shapes:
                weight = f"{layer}_{name}_weight"
                values = random.standard_normal((rows, columns)).astype(np.float32) / np.float32(rows**0.5)
                weights.append(numpy_helper.from_array(values, weight))
                target = f"{layer}_{name}"
                nodes.append(helper.make_node("MatMul", [tokens, weight], [target], name=target))
                tokens = target
            # Without the softmax that bounds them, values grow by about the width in each layer; fp32 bears six.
            nodes.append(helper.make_node("MatMul", [queries, "keys"], [f"{layer}_scores"], name=f"{layer}_scores"))
            nodes.append(
                helper.make_node("MatMul", [f"{layer}_scores", "values"], [f"{layer}_mixed"], name=f"{layer}_mixed")
            )
            queries = f"{layer}_mixed"
        nodes += [
            helper.make_node("Identity", [tokens], ["tokens_out"]),
            helper.make_node("Identity", [queries], ["queries_out"]),
        ]
        of = helper.make_tensor_value_info
        inputs = [
            of("tokens", TensorProto.FLOAT, [1, "n", size]),
            of("queries", TensorProto.FLOAT, [1, self.heads, "n", head]),
            of("keys", TensorProto.FLOAT, [1, self.heads, head, "n"]),
            of("values", TensorProto.FLOAT, [1, self.heads, "n", head]),
        ]
        outputs = [
            of("tokens_out", TensorProto.FLOAT, [1, "n", size]),
            of("queries_out", TensorProto.FLOAT, [1, self.heads, "n", head]),
        ]
        graph = helper.make_graph(nodes, "products", inputs, outputs, weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def close(self) -> None:
        self._pool.shutdown()


def _quantised(path: Path, seven_bits: bool) -> Path:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    target = path.with_name("int8.onnx")
    across = [name for layer in range(99) for name in (f"{layer}_scores", f"{layer}_mixed")]
    quantize_dynamic(
        str(path), str(target), op_types_to_quantize=["MatMul"], nodes_to_exclude=across, per_channel=True,
        weight_type=QuantType.QInt8, reduce_range=seven_bits,
    )  # fmt: skip
    return target


def _options() -> Any:
    """What the engine sets for a CPU (``session.py``)."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.log_severity_level = 4
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.add_session_config_entry("session.x64quantprecision", "1")
    return settings

"""Weights in blocks: which become what, and that nothing else does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from cascaderank import ModelError
from cascaderank.export.blocks import block_graph

SIZE = 48  # one and a half blocks


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """ids [1, length] -> table -> a product of 48 outputs -> one of 2, a head by its size -> logits."""
    draw = np.random.default_rng(0)
    weights = {
        "table": draw.standard_normal((100, 64)),
        "w": draw.standard_normal((64, SIZE)) * 0.1,
        "small": draw.standard_normal((SIZE, 2)),
    }
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["x"], name="/embeddings/Gather"),
        helper.make_node("MatMul", ["x", "w"], ["y"], name="/encoder/MatMul"),
        helper.make_node("MatMul", ["y", "small"], ["logits"], name="/score/MatMul"),
    ]
    made = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("ids", TensorProto.INT64, [1, "length"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, "length", 2])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )  # fmt: skip
    onnx.save(
        helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), tmp_path / "model.onnx"
    )
    return tmp_path / "model.onnx"


def outputs(path: Path) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"ids": np.arange(100)[np.newaxis]})[0]


def error(path: Path, exact: Path) -> float:
    """Root mean square of the differences, relative to that of the exact outputs."""
    expected = outputs(exact)
    return float(np.sqrt(np.mean((outputs(path) - expected) ** 2) / np.mean(expected**2)))


@pytest.mark.parametrize(("bits", "largest"), [(8, 0.02), (4, 0.15)])
def test_wide_products_become_blocks_and_a_head_does_not(bits: int, largest: float, graph: Path) -> None:
    made = block_graph(graph, graph.parent / "out.onnx", bits)
    assert made.method.startswith(f"weights only, {bits} bits, blocks of 32, accuracy level ")
    kinds = [node.op_type for node in onnx.load(graph.parent / "out.onnx").graph.node]
    assert kinds == ["Gather", "MatMulNBits", "MatMul"]
    assert 0 < error(graph.parent / "out.onnx", graph) < largest


def test_tables_go_into_blocks_of_four_bits_where_that_is_asked_for(graph: Path) -> None:
    assert block_graph(graph, graph.parent / "out.onnx", 4, embeddings=True).method.endswith("MatMul and Gather")
    kinds = [node.op_type for node in onnx.load(graph.parent / "out.onnx").graph.node]
    assert kinds == ["GatherBlockQuantized", "MatMulNBits", "MatMul"]
    assert error(graph.parent / "out.onnx", graph) < 0.25  # table and weights, each rounded to 15 steps
    with pytest.raises(ModelError, match="blocks of 4 bits only"):
        block_graph(graph, graph.parent / "out.onnx", 8, embeddings=True)


def test_weights_beside_the_graph_stay_beside_it(graph: Path) -> None:
    target = graph.parent / "out" / "model.onnx"
    target.parent.mkdir()
    block_graph(graph, target, 8, external_over=1000)
    assert (target.parent / "model.onnx_data").stat().st_size > 64 * SIZE
    assert error(target, graph) < 0.02


def test_a_graph_without_products_is_refused(graph: Path) -> None:
    model = onnx.load(graph)
    model.graph.node[1].name = "/head/MatMul"
    onnx.save(model, graph)
    with pytest.raises(ModelError, match="no matrix product was quantised; use precision fp32"):
        block_graph(graph, graph.parent / "out.onnx", 4)

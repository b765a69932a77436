"""fp16: what becomes half, what stays exact, and what cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from cascaderank import Cascade, ModelError, ScoreError, Stage
from cascaderank.export import export_model
from cascaderank.export.half import half_graph
from cascaderank.export.smooth import encoder_products
from cascaderank.model import load_spec
from export import tiny_hf
from export.tiny_hf import rewrite

HALF, EXACT = TensorProto.FLOAT16, TensorProto.FLOAT


def types_of(model: Any) -> dict[str, int]:
    """Element type by tensor."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    found = {tensor.name: tensor.data_type for tensor in inferred.initializer}
    for item in (*inferred.value_info, *inferred.input, *inferred.output):
        found[item.name] = item.type.tensor_type.elem_type
    return found


@pytest.mark.parametrize("family", ["bert", "deberta", "modern_bert"])
def test_products_are_half_and_the_rest_is_exact(family: str, tmp_path: Path) -> None:
    tiny_hf.save_cross_encoder(tmp_path / "source", *getattr(tiny_hf, family)())
    report = export_model(tmp_path / "source", tmp_path / "out", precision="fp16")
    assert load_spec(tmp_path / "out").precision == "fp16"
    assert report.change is not None
    assert 0 < report.change.agreement.max_abs_diff < 0.02
    assert report.change.agreement.kendall_tau > 0.98

    model = onnx.load(tmp_path / "out" / "model.onnx")
    types = types_of(model)
    assert {types[item.name] for item in model.graph.input} == {TensorProto.INT64}
    assert types[model.graph.output[0].name] == EXACT
    halves = [
        node
        for node in model.graph.node
        if node.op_type == "MatMul" and {types[name] for name in (*node.input, *node.output)} == {HALF}
    ]
    weights = {tensor.name for tensor in model.graph.initializer}
    assert sum(node.input[1] in weights for node in halves) >= 12
    exact = [node for node in model.graph.node if node.op_type in ("LayerNormalization", "Softmax", "Cos", "Sin")]
    exact += [node for node in model.graph.node if "classifier" in node.name and node.op_type != "Cast"]
    assert len(exact) >= 5
    for node in exact:
        assert HALF not in {types[name] for name in (*node.input, *node.output) if name}, node.name
    assert not encoder_products(model)  # or one of them was left as it was


def test_a_mask_stays_what_it_was(tmp_path: Path) -> None:
    """Rounded to fp16 and back it would be infinite, and a row without any token no number."""
    tiny_hf.save_cross_encoder(tmp_path / "source", *tiny_hf.bert())
    export_model(tmp_path / "source", tmp_path / "out", precision="fp16")
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"), providers=["CPUExecutionProvider"])
    row = np.ones((2, 6), np.int64)
    mask = np.array([[1] * 6, [0] * 6])
    (logits,) = session.run(None, {"input_ids": row, "attention_mask": mask, "token_type_ids": row * 0})
    assert np.isfinite(logits).all()


def product(size: int, scale: float, before: list[Any], weights: dict[str, np.ndarray], name: str = "x") -> Any:
    """A graph x [rows, size] -> ``before`` -> y = a matrix product -> a head."""
    draw = np.random.default_rng(0)
    weights = {
        **weights,
        "w": (draw.standard_normal((size, size)) * scale).astype(np.float32),
        "h": draw.standard_normal((size, 1)).astype(np.float32),
    }
    nodes = [
        *before,
        helper.make_node("MatMul", [name, "w"], ["y"], name="/encoder/MatMul"),
        helper.make_node("MatMul", ["y", "h"], ["logits"], name="/head/MatMul"),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", EXACT, ["rows", size])],
        [helper.make_tensor_value_info("logits", EXACT, ["rows", 1])],
        [numpy_helper.from_array(array, key) for key, array in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def both(model: Any, folder: Path, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    onnx.save(model, folder / "fp32.onnx")
    made = half_graph(folder / "fp32.onnx", folder / "fp16.onnx")
    names = ("fp32.onnx", "fp16.onnx")
    sessions = [onnxruntime.InferenceSession(str(folder / name), providers=["CPUExecutionProvider"]) for name in names]
    exact, half = (session.run(None, {"x": x})[0] for session in sessions)
    return exact, half, made.method


def test_a_norm_that_was_exported_as_its_arithmetic_is_kept_whole(tmp_path: Path) -> None:
    """Squares of 1000 overflow, and an epsilon of 1e-12 is zero in fp16: a row of zeros would be divided by it."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[-1]),
        helper.make_node("Sub", ["x", "mean"], ["centred"]),
        helper.make_node("Pow", ["centred", "two"], ["squared"]),
        helper.make_node("ReduceMean", ["squared"], ["variance"], axes=[-1]),
        helper.make_node("Add", ["variance", "epsilon"], ["safe"]),
        helper.make_node("Sqrt", ["safe"], ["root"]),
        helper.make_node("Div", ["centred", "root"], ["normed"]),
    ]
    weights = {"two": np.array(2, np.float32), "epsilon": np.array(1e-12, np.float32)}
    model = product(64, 0.1, nodes, weights, name="normed")
    model.opset_import[0].version = 17  # axes as an attribute
    x = np.random.default_rng(1).standard_normal((3, 64)).astype(np.float32) * 1000
    x[2] = 0
    exact, half, _ = both(model, tmp_path, x)
    np.testing.assert_allclose(half, exact, atol=0.02)
    types = types_of(onnx.load(tmp_path / "fp16.onnx"))
    assert types["y"] == HALF
    kept = {node.op_type: node for node in onnx.load(tmp_path / "fp16.onnx").graph.node}
    for kind in ("Sub", "Pow", "ReduceMean", "Sqrt", "Div"):
        assert HALF not in {types[name] for name in kept[kind].input}, kind


def test_weights_out_of_range_stay_and_are_named(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "big"], ["wide"], name="/encoder/wide/MatMul")]
    nodes += [helper.make_node("Mul", ["wide", "small"], ["narrow"], name="/encoder/Mul")]
    big = (np.eye(64) * 1e5).astype(np.float32)
    model = product(64, 0.1, nodes, {"big": big, "small": np.array([1e-5], np.float32)}, name="narrow")
    onnx.save(model, tmp_path / "model.onnx")
    made = half_graph(tmp_path / "model.onnx", tmp_path / "out.onnx")
    assert made.method.endswith("1 weight out of fp16's range too")
    assert made.notes == ("1 weight out of fp16's range (65504) stay in fp32: big",)
    stored = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(tmp_path / "out.onnx").graph.initializer
    }
    np.testing.assert_array_equal(stored["big"], big)
    assert stored["w"].dtype == np.float16


def test_a_decoders_keys_and_values_stay_what_the_engine_feeds(tmp_path: Path) -> None:
    """A float input of rank 5 in, the same and more out, both float32 as the engine has them."""
    nodes = [
        helper.make_node("MatMul", ["x", "k"], ["keys"], name="/decoder/k_proj/MatMul"),
        helper.make_node("Unsqueeze", ["keys", "axes"], ["row"]),
        helper.make_node("Concat", ["past", "row"], ["present"], axis=3),
        helper.make_node("ReduceSum", ["present", "tokens"], ["summed"], keepdims=0),
        helper.make_node("Squeeze", ["summed", "two"], ["context"]),
    ]
    keys = np.random.default_rng(2).standard_normal((64, 64)).astype(np.float32) * 0.1
    weights = {"k": keys, "axes": np.array([0, 1, 2]), "tokens": np.array([3]), "two": np.array([0, 1])}
    model = product(64, 0.1, nodes, weights, name="context")
    shape = [1, 1, 1, "past", 64]
    model.graph.input.append(helper.make_tensor_value_info("past", EXACT, shape))
    model.graph.output.append(helper.make_tensor_value_info("present", EXACT, [1, 1, 1, "present", 64]))
    onnx.save(model, tmp_path / "fp32.onnx")
    feed = {
        "x": np.random.default_rng(3).standard_normal((5, 64)).astype(np.float32),
        "past": np.random.default_rng(4).standard_normal((1, 1, 1, 7, 64)).astype(np.float32),
    }
    half_graph(tmp_path / "fp32.onnx", tmp_path / "fp16.onnx", [feed])
    types = types_of(onnx.load(tmp_path / "fp16.onnx"))
    assert {types[name] for name in ("x", "past", "present", "logits")} == {EXACT}
    exact, half = (
        onnxruntime.InferenceSession(str(tmp_path / name), providers=["CPUExecutionProvider"]).run(None, feed)
        for name in ("fp32.onnx", "fp16.onnx")
    )
    assert half[1].shape == (1, 1, 1, 12, 64)
    for found, expected in zip(half, exact, strict=True):
        np.testing.assert_allclose(found, expected, atol=0.05)
    feed["past"] *= 1e6
    with pytest.raises(ModelError, match="out of range for this model"):
        half_graph(tmp_path / "fp32.onnx", tmp_path / "fp16.onnx", [feed])


def test_a_graph_without_products_is_refused(tmp_path: Path) -> None:
    model = product(8, 1.0, [], {})
    model.graph.node[0].name = "/head/too/MatMul"
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="no matrix product can be in fp16; use precision fp32"):
        half_graph(tmp_path / "model.onnx", tmp_path / "out.onnx")


def scaled(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change one weight of a saved cross-encoder: the first feed-forward product's."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    name = "bert.encoder.layer.0.intermediate.dense.weight"
    weights[name] = weights[name].new_tensor(change(weights[name].numpy()))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_model_that_overflows_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    """Every weight fits fp16, and what they make of the texts does not."""
    tiny_hf.save_cross_encoder(tmp_path / "source", *tiny_hf.bert())
    scaled(tmp_path / "source", lambda weight: weight * 60000)
    (tmp_path / "target").mkdir()
    with pytest.raises(ModelError, match=r"fp16 ends at 65504, and .* is up to .* use int8 or fp32"):
        export_model(tmp_path / "source", tmp_path / "target" / "out", precision="fp16")
    assert not any((tmp_path / "target").iterdir())


def test_an_overflow_while_ranking_is_an_error_that_names_the_pair(tmp_path: Path) -> None:
    """No gate sees every text. Here the graph is damaged after export: one logit in fp16 is infinite."""
    tiny_hf.save_cross_encoder(tmp_path / "source", *tiny_hf.bert())
    export_model(tmp_path / "source", tmp_path / "out", precision="fp16")
    model = onnx.load(tmp_path / "out" / "model.onnx")
    word = next(tensor for tensor in model.graph.initializer if "word_embeddings" in tensor.name)
    assert word.data_type == HALF
    table = numpy_helper.to_array(word).copy()
    table[:] = np.inf
    word.CopyFrom(numpy_helper.from_array(table, word.name))
    onnx.save(model, tmp_path / "out" / "model.onnx")
    folder = rewrite(tmp_path / "out", tmp_path / "damaged")
    match = r"documents.0. is .*overflow of an fp16 model"
    with Cascade([Stage(folder, keep=1, precision="fp16")]) as cascade, pytest.raises(ScoreError, match=match):
        cascade.rank("sort a dictionary", ["one document"])

"""Smoothing on hand-made graphs: what it changes (nothing, in fp32), what it skips, and what the method is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from cascaderank.errors import ModelError
from cascaderank.export import quantize_graph
from cascaderank.export.calibration import typical_inputs
from cascaderank.export.quantize import DEFAULT, Method
from cascaderank.export.smooth import encoder_products, smooth
from graphs import make_attention, node
from tiny import WORDS

SIZE = 32
ROWS = [np.array([ids], np.int64) for ids in ([1, 2, 3], [4, 5, 6, 7], [8, 9], [3, 1, 2, 9, 0])]
INPUTS = [{"input_ids": row} for row in ROWS]


def graph(nodes: list[Any], weights: dict[str, np.ndarray], columns: int = SIZE) -> Any:
    """``hidden`` float32 [batch, length, 32], whose channel 3 is a hundred times the others, then ``nodes``."""
    table = np.random.default_rng(0).standard_normal((10, SIZE)).astype(np.float32)
    table[:, 3] *= 100
    values = {"table": table, **weights}
    inner = helper.make_graph(
        [node("Gather", ["table", "input_ids"], ["hidden"]), *nodes],
        "smoothed",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "length", columns])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = helper.make_model(inner, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def weight(seed: int, columns: int = SIZE, rows: int = SIZE) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((rows, columns)) / np.sqrt(rows)).astype(np.float32)


def product(name: str, source: str, table: str, result: str) -> Any:
    return helper.make_node("MatMul", [source, table], [result], name=name)


def outputs(model: Any | Path) -> list[np.ndarray]:
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")  # as cascaderank.session does
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return [session.run(None, arrays)[0] for arrays in INPUTS]


def copied(model: Any) -> Any:
    other = onnx.ModelProto()
    other.CopyFrom(model)
    return other


def smoothed_nodes(model: Any) -> set[str]:
    return {item.name for item in model.graph.node if item.op_type == "MatMul" and item.input[0].endswith(".smoothed")}


def same(model: Any, changed: Any) -> None:
    onnx.checker.check_model(changed)
    for before, after in zip(outputs(model), outputs(changed), strict=True):
        np.testing.assert_allclose(after, before, atol=1e-4, rtol=1e-5)


@pytest.fixture
def layer() -> Any:
    """Query and key share an input; a third product follows."""
    return graph(
        [
            product("/query/MatMul", "hidden", "w_query", "query"),
            product("/key/MatMul", "hidden", "w_key", "key"),
            node("Mul", ["query", "key"], ["both"]),
            node("Tanh", ["both"], ["bent"]),
            product("/output/MatMul", "bent", "w_output", "logits"),
        ],
        {"w_query": weight(1), "w_key": weight(2), "w_output": weight(3, 4)},
        columns=4,
    )


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_fp32_scores_stay_as_they_are(layer: Any, strength: float) -> None:
    changed = copied(layer)
    assert smooth(changed, INPUTS, strength) == 3
    assert smoothed_nodes(changed) == {"/query/MatMul", "/key/MatMul", "/output/MatMul"}
    same(layer, changed)


def test_products_of_one_input_share_one_factor(layer: Any) -> None:
    smooth(layer, INPUTS, 0.5)
    assert [item.name for item in layer.graph.node if item.op_type == "Mul" and "smooth" in item.name] == [
        "hidden/smooth",
        "bent/smooth",
    ]
    assert len(layer.graph.output) == 1  # those that were looked at are gone


def test_large_channels_are_evened_out_and_int8_gains(layer: Any, tmp_path: Path) -> None:
    onnx.save(layer, tmp_path / "fp32.onnx")
    exact, errors = outputs(layer), {}
    for strength in (None, 0.8):
        method = Method(smoothing=strength)
        target = tmp_path / f"{strength}.onnx"
        quantize_graph(tmp_path / "fp32.onnx", target, INPUTS, method=method)
        errors[strength] = max(np.abs(a - b).max() for a, b in zip(outputs(target), exact, strict=True))
    assert errors[0.8] < 0.5 * errors[None]


def test_layers_that_share_a_weight_share_one_factor() -> None:
    """As DeBERTa's relative positions do: one weight, two inputs."""
    model = graph(
        [
            product("/a/MatMul", "hidden", "shared", "first"),
            node("Tanh", ["first"], ["bent"]),
            product("/b/MatMul", "bent", "shared", "logits"),
        ],
        {"shared": weight(4)},
    )
    changed = copied(model)
    assert smooth(changed, INPUTS, 0.8) == 2
    factors = [numpy_helper.to_array(item) for item in changed.graph.initializer if item.name.endswith(".smooth")]
    assert len(factors) == 2
    np.testing.assert_array_equal(*factors)
    same(model, changed)


def test_a_weight_that_others_read_stays() -> None:
    """A tied weight: another node reads it as it is, here one inside a branch too."""
    branch = helper.make_graph(
        [node("Identity", ["tied"], ["kept"])],
        "branch",
        [],
        [helper.make_tensor_value_info("kept", TensorProto.FLOAT, [SIZE, SIZE])],
    )
    model = graph(
        [
            product("/a/MatMul", "hidden", "tied", "first"),
            node("If", ["yes"], ["same"], then_branch=branch, else_branch=branch),
            node("ReduceSum", ["same"], ["sum"], keepdims=0),
            node("Mul", ["first", "sum"], ["logits"]),
        ],
        {"tied": weight(5), "yes": np.array(True)},
    )
    changed = copied(model)
    assert smooth(changed, INPUTS, 0.8) == 1
    same(model, changed)


def test_what_does_not_fit_is_skipped() -> None:
    model = graph(
        [
            product("/good/MatMul", "hidden", "w_good", "first"),
            product("/rank_three/MatMul", "first", "deep", "second"),
            node("Transpose", ["second"], ["turned"], perm=[0, 2, 1]),
            product("/weight_left/MatMul", "w_left", "turned", "third"),
            node("Transpose", ["third"], ["back"], perm=[0, 2, 1]),
            product("/no_weight/MatMul", "second", "third", "alike"),
            product("/both/MatMul", "alike", "back", "mixed"),
            product("/encoder/exact/MatMul", "mixed", "w_exact", "fifth"),
            product("/head/MatMul", "fifth", "w_head", "sixth"),
            product("/classifier/dense/MatMul", "sixth", "w_class", "logits"),
        ],
        {
            "w_good": weight(7),
            "deep": weight(6)[None],
            "w_left": weight(8),
            "w_exact": weight(9),
            "w_head": weight(10),
            "w_class": weight(11, 1),
        },
        columns=1,
    )
    exact = {"/encoder/exact/MatMul"}
    assert [item.name for item in encoder_products(model, exact)] == ["/good/MatMul"]
    assert len(encoder_products(model)) == 2
    changed = copied(model)
    assert smooth(changed, INPUTS, 0.5, exact) == 1
    assert smoothed_nodes(changed) == {"/good/MatMul"}
    for before, after in zip(outputs(model), outputs(changed), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-4 * np.abs(before).max())


def test_half_precision_and_overridable_weights_are_skipped() -> None:
    model = graph([product("/a/MatMul", "hidden", "w", "logits")], {"w": weight(12)})
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [SIZE, SIZE]))
    assert encoder_products(model) == []
    del model.graph.input[1]
    assert len(encoder_products(model)) == 1
    tensor = next(item for item in model.graph.initializer if item.name == "w")
    tensor.CopyFrom(numpy_helper.from_array(weight(12).astype(np.float16), "w"))
    assert encoder_products(model) == []
    assert smooth(model, INPUTS, 0.8) == 0


def test_a_dead_channel_and_a_dead_row_are_no_division_by_zero(layer: Any) -> None:
    for item in layer.graph.initializer:
        if item.name in ("table", "w_query", "w_key"):
            values = numpy_helper.to_array(item).copy()
            values[(slice(None), 5) if item.name == "table" else 7] = 0
            item.CopyFrom(numpy_helper.from_array(values, item.name))
    changed = copied(layer)
    smooth(changed, INPUTS, 0.8)
    same(layer, changed)


@pytest.mark.parametrize(("strength", "inputs"), [(1.5, INPUTS), (-0.1, INPUTS), (0.5, [])])
def test_nonsense_is_refused(layer: Any, strength: float, inputs: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"strength|inputs"):
        smooth(layer, inputs, strength)


@pytest.mark.parametrize(
    ("method", "inputs", "words"),
    [
        (Method(smoothing=0.8), INPUTS, "dynamic, per channel, smoothed, MatMul"),
        (Method(smoothing=0.8), [], "dynamic, per channel, MatMul"),
        (Method(smoothing=None), INPUTS, "dynamic, per channel, MatMul"),
        (Method(per_channel=False), [], "dynamic, per tensor, MatMul"),
        (
            Method(smoothing=0.5, exact=frozenset({"/key/MatMul"})),
            INPUTS,
            "dynamic, per channel, smoothed, 1 product in fp32, MatMul",
        ),
    ],
)
def test_the_method_says_what_was_done(
    layer: Any, method: Method, inputs: list[Any], words: str, tmp_path: Path
) -> None:
    onnx.save(layer, tmp_path / "fp32.onnx")
    assert quantize_graph(tmp_path / "fp32.onnx", tmp_path / "int8.onnx", inputs, method=method) == words
    names = {item.name for item in onnx.load(tmp_path / "int8.onnx").graph.node if item.op_type == "MatMul"}
    assert names == set(method.exact)


def test_embeddings_and_seven_bits_are_named(layer: Any, tmp_path: Path) -> None:
    onnx.save(layer, tmp_path / "fp32.onnx")
    method = quantize_graph(tmp_path / "fp32.onnx", tmp_path / "8.onnx", INPUTS, embeddings=True, reduce_range=True)
    assert method == "dynamic, per channel, smoothed, MatMul and Gather, 7-bit weights (reduce_range)"


def test_weights_beside_the_graph_are_smoothed_too(layer: Any, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "target").mkdir()
    source, target = tmp_path / "source" / "model.onnx", tmp_path / "target" / "model.onnx"
    exact = outputs(layer)
    onnx.save(layer, source, save_as_external_data=True, location="model.onnx_data", size_threshold=64)
    assert "smoothed" in quantize_graph(source, target, INPUTS, external_over=1000)
    for before, after in zip(exact, outputs(target), strict=True):
        np.testing.assert_allclose(after, before, atol=0.05 * np.abs(before).max())


def test_a_graph_without_products_is_refused(tmp_path: Path) -> None:
    onnx.save(graph([node("Tanh", ["hidden"], ["logits"])], {}), tmp_path / "fp32.onnx")
    with pytest.raises(ModelError, match="no matrix product"):
        quantize_graph(tmp_path / "fp32.onnx", tmp_path / "int8.onnx", INPUTS)


def test_calibration_inputs_are_what_the_engine_feeds(tmp_path: Path) -> None:
    folder = make_attention(tmp_path / "model")
    inputs = typical_inputs(folder).inputs
    assert len(inputs) >= 32
    for arrays in inputs:
        assert set(arrays) == {"input_ids", "attention_mask", "token_type_ids"}
        assert {array.shape for array in arrays.values()} == {(1, arrays["input_ids"].shape[1])}
        assert arrays["attention_mask"].all()  # nothing is padded
    assert len({arrays["input_ids"].tobytes() for arrays in inputs}) > 16


@pytest.mark.parametrize(("split", "trained"), [("dev", True), ("train", False)])
def test_calibration_reads_the_training_split_and_no_other(tmp_path: Path, split: str, trained: bool) -> None:
    data = tmp_path / "mini"
    (data / "qrels").mkdir(parents=True)
    (data / "corpus.jsonl").write_text('{"_id": "d0", "title": "", "text": "red fish"}\n', encoding="utf-8")
    queries = [f'{{"_id": "q{place}", "text": "{WORDS[place]}"}}' for place in range(3)]
    (data / "queries.jsonl").write_text("\n".join(queries), encoding="utf-8")
    for name, query in (("train", "q0"), ("dev", "q1")):
        rows = f"query-id\tcorpus-id\tscore\n{query}\td0\t1\n"
        (data / "qrels" / f"{name}.tsv").write_text(rows, encoding="utf-8")
    typical = typical_inputs(make_attention(tmp_path / "model"), data, split)
    assert (len(typical.inputs) == 1) == trained
    assert (typical.texts == "mini train, 1 pairs") == trained


def test_the_default_is_smoothed_per_channel() -> None:
    assert DEFAULT.words(smoothed=True) == "dynamic, per channel, smoothed"

"""More synthetic graphs: the input forms of other families, slow ones, and ones that do not fit their manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tiny import SPECIAL, VOCABULARY, cross_encoder_graph, encoder_graph, write_manifest, write_tokenizer

node = helper.make_node


def _inputs(names: list[str]) -> list[Any]:
    return [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in names]


def _save(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: dict[str, Any]) -> None:
    values = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "tiny", inputs, outputs, values),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def separated_graph(path: Path, *, separator: str, between: int, positions: bool) -> None:
    """A cross-encoder without token_type_ids: query words stand before the first separator, document words after
    ``between`` of them, and the logit counts equal pairs, as in ``tiny``. With ``positions`` it adds 100 times the
    first position and 10,000 times the number of tokens whose position is not their place after the first."""
    nodes = [
        node("Equal", ["input_ids", "separator"], ["is_separator"]),
        node("Cast", ["is_separator"], ["separators"], to=TensorProto.INT64),
        node("CumSum", ["separators", "one"], ["seen"]),
        node("Greater", ["input_ids", "last_special"], ["word"]),
        node("Equal", ["seen", "zero"], ["before"]),
        node("Equal", ["seen", "between"], ["after"]),
        node("And", ["before", "word"], ["query_word"]),
        node("And", ["after", "word"], ["document_word"]),
        node("Unsqueeze", ["query_word", "axis2"], ["query_column"]),
        node("Unsqueeze", ["document_word", "axis1"], ["document_row"]),
        node("And", ["query_column", "document_row"], ["across"]),
        node("Unsqueeze", ["input_ids", "axis2"], ["ids_column"]),
        node("Unsqueeze", ["input_ids", "axis1"], ["ids_row"]),
        node("Equal", ["ids_column", "ids_row"], ["equal"]),
        node("And", ["across", "equal"], ["match"]),
        node("Cast", ["match"], ["matches"], to=TensorProto.FLOAT),
        node("ReduceSum", ["matches", "axes12"], ["count"], keepdims=0),
    ]
    names = ["input_ids", "attention_mask"]
    last = "count"
    if positions:
        names.append("position_ids")
        nodes += [
            node("Slice", ["position_ids", "axis0", "axis1", "axis1"], ["first"]),
            node("CumSum", ["attention_mask", "one"], ["places"]),
            node("Sub", ["places", "one"], ["from_zero"]),
            node("Add", ["from_zero", "first"], ["expected"]),
            node("Equal", ["expected", "position_ids"], ["in_place"]),
            node("Not", ["in_place"], ["out_of_place"]),
            node("Cast", ["out_of_place"], ["wrong"], to=TensorProto.INT64),
            node("Mul", ["wrong", "attention_mask"], ["wrong_tokens"]),
            node("ReduceSum", ["wrong_tokens", "axis1"], ["wrong_count"], keepdims=0),
            node("Mul", ["wrong_count", "ten_thousand"], ["fine"]),
            node("Squeeze", ["first", "axis1"], ["base"]),
            node("Mul", ["base", "hundred"], ["hundreds"]),
            node("Add", ["hundreds", "fine"], ["position_part"]),
            node("Cast", ["position_part"], ["position_score"], to=TensorProto.FLOAT),
            node("Add", ["count", "position_score"], ["with_positions"]),
        ]
        last = "with_positions"
    nodes.append(node("Unsqueeze", [last, "axis1"], ["logits"]))
    constants = {
        "separator": VOCABULARY[separator],
        "between": between,
        "zero": 0,
        "one": 1,
        "hundred": 100,
        "ten_thousand": 10_000,
        "last_special": len(SPECIAL) - 1,
        "axis0": [0],
        "axis1": [1],
        "axis2": [2],
        "axes12": [1, 2],
    }
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1])
    _save(path, nodes, _inputs(names), [output], constants)


def make_separated(folder: Path, *, template: list[str], separator: str, positions: int | None, **changes: Any) -> Path:
    """A model folder around ``separated_graph``; ``positions`` is the offset, None: the graph has no position_ids."""
    folder.mkdir(parents=True)
    between = sum(1 for entry in template[: template.index("$document")] if entry == separator)
    separated_graph(folder / "model.onnx", separator=separator, between=between, positions=positions is not None)
    write_tokenizer(folder / "tokenizer.json")
    if positions is not None:
        changes = {"input__names__position_ids": "position_ids", "input__position_offset": positions, **changes}
    return write_manifest(
        folder,
        "cross_encoder",
        input__pair=template,
        input__segments=None,
        input__names__token_type_ids=None,
        **changes,
    )


def make_slow(folder: Path, matmuls: int = 8, size: int = 256, **changes: Any) -> Path:
    """The counting cross-encoder, with ``matmuls`` products of ``size`` x ``size`` matrices before its answer: about a
    millisecond each, ended between two of them by a terminate flag."""
    matrix = (np.eye(size) * 0.5 + 1e-3).astype(np.float32)
    nodes = [
        node("ReduceMean", ["side_ids"], ["slow_mean"], keepdims=0),
        node("Add", ["slow_matrix", "slow_mean"], ["slow_0"]),
    ]
    for number in range(matmuls):
        nodes += [
            node("MatMul", [f"slow_{number}", "slow_matrix"], [f"slow_product_{number}"]),
            node("Tanh", [f"slow_product_{number}"], [f"slow_{number + 1}"]),
        ]
    nodes.append(node("ReduceMean", [f"slow_{matmuls}"], ["side_work"], keepdims=0))
    return _make_with_side_work(folder, nodes, [numpy_helper.from_array(matrix, "slow_matrix")], changes)


def make_hungry(folder: Path, megabytes: int, **changes: Any) -> Path:
    """The counting cross-encoder, which needs so many megabytes more for each row of a run."""
    nodes = [
        node("ReduceMean", ["side_ids"], ["hungry_mean"], axes=[1], keepdims=1),
        node("Expand", ["hungry_mean", "hungry_shape"], ["hungry_rows"]),
        node("ReduceMean", ["hungry_rows"], ["side_work"], axes=[1], keepdims=1),
    ]
    shape = numpy_helper.from_array(np.array([1, megabytes * 1_000_000 // 4]), "hungry_shape")
    return _make_with_side_work(folder, nodes, [shape], changes)


def make_failing(folder: Path, word: str, **changes: Any) -> Path:
    """The counting cross-encoder, whose run ends with an error where ``word`` is in a text."""
    nodes = [
        node("Equal", ["input_ids", "failing_id"], ["failing_found"]),
        node("Cast", ["failing_found"], ["failing_ones"], to=TensorProto.INT64),
        node("ReduceMax", ["failing_ones"], ["failing_place"], keepdims=0),
        node("Gather", ["failing_one", "failing_place"], ["side_work"]),  # of one element there is no second
    ]
    values = [
        numpy_helper.from_array(np.array(VOCABULARY[word]), "failing_id"),
        numpy_helper.from_array(np.ones(1, np.float32), "failing_one"),
    ]
    return _make_with_side_work(folder, nodes, values, changes)


def _make_with_side_work(
    folder: Path, nodes: list[onnx.NodeProto], values: list[onnx.TensorProto], changes: dict[str, Any]
) -> Path:
    """The counting cross-encoder, whose answer waits for ``side_work``, made by ``nodes`` from ``side_ids`` (the ids as
    floats), and is not changed by it."""
    folder.mkdir(parents=True)
    cross_encoder_graph(folder / "model.onnx")
    model = onnx.load(str(folder / "model.onnx"))
    graph = model.graph
    for item in graph.node:
        for place, name in enumerate(item.output):
            if name == "logits":
                item.output[place] = "fast_logits"
    graph.initializer.extend([*values, numpy_helper.from_array(np.float32(0), "side_zero")])
    graph.node.extend(
        [
            node("Cast", ["input_ids"], ["side_ids"], to=TensorProto.FLOAT),
            *nodes,
            node("Mul", ["side_work", "side_zero"], ["side_nothing"]),
            node("Add", ["fast_logits", "side_nothing"], ["logits"]),
        ]
    )
    onnx.checker.check_model(model)
    onnx.save(model, str(folder / "model.onnx"))
    write_tokenizer(folder / "tokenizer.json")
    return write_manifest(folder, "cross_encoder", **changes)


def make_misfit(
    folder: Path,
    *,
    inputs: dict[str, tuple[int, int]] | None = None,
    output: str = "logits",
    output_type: int = TensorProto.FLOAT,
    output_shape: tuple[str | int, ...] = ("batch", 1),
    **changes: Any,
) -> Path:
    """A valid graph with the given inputs (name -> type, rank) and output under a cross-encoder's manifest."""
    folder.mkdir(parents=True)
    chosen = inputs or dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), (TensorProto.INT64, 2))
    first, (_, rank) = next(iter(chosen.items()))
    shape = [1 if isinstance(size, str) else size for size in output_shape]
    nodes = [
        node("Cast", [first], ["number"], to=TensorProto.FLOAT),
        node("ReduceMean", ["number"], ["mean"], keepdims=0, axes=list(range(rank))),
        node("Expand", ["mean", "shape"], ["wide"]),
        node("Cast", ["wide"], [output], to=output_type),
    ]
    values = [
        helper.make_tensor_value_info(name, kind, ["batch", "length", "extra"][:size])
        for name, (kind, size) in chosen.items()
    ]
    result = helper.make_tensor_value_info(output, output_type, list(output_shape))
    _save(folder / "model.onnx", nodes, values, [result], {"shape": np.array(shape, np.int64)})
    write_tokenizer(folder / "tokenizer.json")
    return write_manifest(folder, "cross_encoder", **changes)


def make_external(folder: Path, *, listed: bool = True, **changes: Any) -> Path:
    """A bi-encoder whose weights lie in ``weights.bin`` beside the graph; ``listed`` or not in the manifest."""
    folder.mkdir(parents=True)
    encoder_graph(folder / "model.onnx")
    model = onnx.load(str(folder / "model.onnx"))
    onnx.save(
        model,
        str(folder / "model.onnx"),
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location="weights.bin",
        size_threshold=64,
    )
    write_tokenizer(folder / "tokenizer.json")
    assert (folder / "weights.bin").stat().st_size > 0
    if not listed:
        changes = {"files__weights.bin": None, **changes}
    return write_manifest(folder, "bi_encoder", **changes)


def make_nan_encoder(folder: Path, kind: str, word: str) -> Path:
    """An encoder whose embedding of ``word`` is NaN."""
    folder.mkdir(parents=True)
    encoder_graph(folder / "model.onnx")
    model = onnx.load(str(folder / "model.onnx"))
    for item in model.graph.initializer:
        if item.name == "table":
            rows = numpy_helper.to_array(item).copy()
            rows[VOCABULARY[word]] = np.nan
            item.CopyFrom(numpy_helper.from_array(rows, "table"))
    onnx.save(model, str(folder / "model.onnx"))
    write_tokenizer(folder / "tokenizer.json")
    return write_manifest(folder, kind)


def attention_weights(dimension: int = 16) -> dict[str, np.ndarray]:
    """Weights of the attention graph, float32: fixed, so that its scores can be computed again in NumPy."""
    generator = np.random.default_rng(13)
    shapes = {
        "words": (len(VOCABULARY), dimension),
        "types": (2, dimension),
        "w_query": (dimension, dimension),
        "w_key": (dimension, dimension),
        "w_value": (dimension, dimension),
        "w_hidden": (dimension, dimension),
        "w_out": (dimension, 1),
    }
    return {name: generator.standard_normal(shape).astype(np.float32) * 0.6 for name, shape in shapes.items()}


def attention_logit(ids: list[int], types: list[int]) -> float:
    """The attention graph's logit of one row, in float64."""
    weights = {name: value.astype(np.float64) for name, value in attention_weights().items()}
    hidden = weights["words"][ids] + weights["types"][types]
    query, key, value = (hidden @ weights[name] for name in ("w_query", "w_key", "w_value"))
    raw = query @ key.T
    raw = np.exp(raw - raw.max(axis=1, keepdims=True))
    context = raw / raw.sum(axis=1, keepdims=True) @ value
    return float((np.tanh(context[0] @ weights["w_hidden"]) @ weights["w_out"])[0])


def make_attention(folder: Path, *, int8: bool = False, **changes: Any) -> Path:
    """A cross-encoder with one attention layer under a mask, where every token moves every score. ``int8`` quantises it
    dynamically, as real models are: one scale for a whole input tensor, so neighbours in a micro-batch matter."""
    folder.mkdir(parents=True)
    nodes = [
        node("Gather", ["words", "input_ids"], ["word"]),
        node("Gather", ["types", "token_type_ids"], ["type"]),
        node("Add", ["word", "type"], ["hidden"]),
        node("MatMul", ["hidden", "w_query"], ["query"]),
        node("MatMul", ["hidden", "w_key"], ["key"]),
        node("MatMul", ["hidden", "w_value"], ["value"]),
        node("Transpose", ["key"], ["key_columns"], perm=[0, 2, 1]),
        node("MatMul", ["query", "key_columns"], ["raw"]),
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("Sub", ["mask", "one"], ["unattended"]),
        node("Mul", ["unattended", "large"], ["penalty"]),
        node("Unsqueeze", ["penalty", "axis1"], ["penalties"]),
        node("Add", ["raw", "penalties"], ["masked"]),
        node("Softmax", ["masked"], ["weights"], axis=2),
        node("MatMul", ["weights", "value"], ["context"]),
        node("Gather", ["context", "zero"], ["first"], axis=1),
        node("MatMul", ["first", "w_hidden"], ["mixed"]),
        node("Tanh", ["mixed"], ["bent"]),
        node("MatMul", ["bent", "w_out"], ["logits"]),
    ]
    constants = {"one": np.float32(1), "large": np.float32(1e4), "zero": 0, "axis1": [1], **attention_weights()}
    names = ["input_ids", "attention_mask", "token_type_ids"]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1])
    target = folder / "model.onnx"
    _save(target, nodes, _inputs(names), [output], constants)
    if int8:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(target, target, weight_type=QuantType.QInt8, per_channel=True)
        changes = {"precision__weights": "int8", "precision__batch_invariant": False, **changes}
    write_tokenizer(folder / "tokenizer.json")
    return write_manifest(folder, "cross_encoder", **changes)

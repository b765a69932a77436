"""Static int8: what the graph and the manifest say, that no product saturates, and which texts may calibrate it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from cascaderank.errors import CascadeError, InputError, ModelError
from cascaderank.export import export_model
from cascaderank.export.calibration import PAIRS_OF_FILE, typical_inputs
from cascaderank.export.smooth import encoder_products
from cascaderank.export.static import static_graph
from cascaderank.model import load_spec
from export import tiny_hf

PAIRS = [{"query": "river bank", "text": f"the order of item {number}"} for number in range(5)]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("static") / "source"
    tiny_hf.save_cross_encoder(folder, *tiny_hf.bert(hidden_size=64, intermediate_size=128))
    return folder


@pytest.fixture(scope="module")
def exact(source: Path) -> Path:
    export_model(source, source.parent / "fp32")
    return source.parent / "fp32"


def write_pairs(path: Path, rows: list[Any]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def values(model: Any) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def optimised(graph: Path, scratch: Path) -> list[str]:
    """Operators of the graph as a session runs it."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(scratch / "optimised.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(scratch / "optimised.onnx").graph.node]


@pytest.mark.parametrize("family", ["bert", "deberta"])  # the latter has products that share a weight
def test_every_product_of_the_encoder_multiplies_integers(family: str, exact: Path, tmp_path: Path) -> None:
    folder = exact
    if family != "bert":
        folder = tmp_path / "fp32"
        tiny_hf.save_cross_encoder(tmp_path / "source", *getattr(tiny_hf, family)())
        export_model(tmp_path / "source", folder)
    products = len(encoder_products(onnx.load(folder / "model.onnx")))
    target = tmp_path / "static.onnx"
    static_graph(folder / "model.onnx", target, typical_inputs(folder).inputs[::8])
    assert products >= 12
    assert optimised(target, tmp_path).count("MatMulIntegerToFloat") == products

    model = onnx.load(target)
    assert encoder_products(model) == []
    constants = values(model)
    weights = [array for array in constants.values() if array.dtype == np.int8 and array.ndim == 2]
    assert max(int(np.abs(array.astype(int)).max()) for array in weights) == 64
    scaled = [node for node in model.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in constants]
    assert all(constants[node.input[1]].shape == (constants[node.input[0]].shape[1],) for node in scaled)
    quantised = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert quantised
    for node in quantised:
        assert constants[node.input[1]].shape == ()  # one constant scale: nothing is looked for in a run
        assert constants[node.input[2]].dtype == np.uint8
    assert "DynamicQuantizeLinear" not in {node.op_type for node in model.graph.node}


def test_the_widest_values_saturate_nothing(exact: Path, tmp_path: Path) -> None:
    """Left to itself ONNX Runtime adds two products in 16 bits where a processor lacks VNNI; 7-bit weights fit there,
    so that its two ways give one result."""
    target = tmp_path / "static.onnx"
    typical = typical_inputs(exact)
    assert typical.texts.startswith("texts of the parity gate, ")
    inputs = typical.inputs[::8]
    static_graph(exact / "model.onnx", target, inputs)
    model = onnx.load(target)
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.int8 and array.ndim == 2:  # the worst a 7-bit weight can be
            tensor.CopyFrom(numpy_helper.from_array(np.full_like(array, 64), tensor.name))
    onnx.save(model, target)
    found = []
    for wanted in ("0", "1"):
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.x64quantprecision", wanted)
        session = onnxruntime.InferenceSession(str(target), options, providers=["CPUExecutionProvider"])
        found.append([session.run(None, arrays)[0] for arrays in inputs])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_manifest_says_what_was_done_and_on_which_texts(source: Path, tmp_path: Path) -> None:
    data = tiny_hf.save_collection(tmp_path / "mini")
    file = write_pairs(tmp_path / "pairs.jsonl", PAIRS)
    report = export_model(
        source, tmp_path / "out", precision="int8-static", data=data, calibration=file, max_ndcg_loss=1.0
    )
    spec = load_spec(tmp_path / "out")
    assert spec.manifest["precision"] == {
        "weights": "int8-static",
        "method": "static, 7-bit weights per channel, min-max ranges, smoothed, MatMul",
        "layout": "padded",
        "batch_invariant": True,
        "calibrated_on": "pairs.jsonl, 5 pairs",
    }
    assert spec.manifest["source"]["recipe"].endswith("--data mini --split dev --calibration pairs.jsonl")
    assert report.change is not None
    assert report.change.agreement.max_abs_diff > 1e-4


def test_files_of_pairs_are_read_evenly_and_what_does_not_fit_is_left_out(exact: Path, tmp_path: Path) -> None:
    rows = [{"query": f"sort {number}", "text": "items"} for number in range(PAIRS_OF_FILE + 1)]
    rows.insert(1, {"query": "water " * 400, "text": "items"})
    typical = typical_inputs(exact, file=write_pairs(tmp_path / "pairs.jsonl", rows))
    assert typical.texts == f"pairs.jsonl, {(PAIRS_OF_FILE + 2) // 2} pairs"
    with pytest.raises(InputError, match="none of its 1 queries fits 'fp32'"):
        typical_inputs(exact, file=write_pairs(tmp_path / "long.jsonl", rows[1:2]))


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        ("", "no pairs; expected JSON lines with query and text"),
        ('\n{"query": "a"}', r"pairs.jsonl:2: expected an object with the strings query and text"),
        ('{"query": "a", "text": 1}', r"pairs.jsonl:1: expected an object"),
        ("[1]", r"pairs.jsonl:1: expected an object"),
        ("nothing", r"pairs.jsonl:1: not JSON"),
        (
            '{"query": "water boils", "text": "a"}',
            r"pairs.jsonl:1: query 'water boils' is one that the result is judged",
        ),
    ],
)
def test_a_file_that_cannot_calibrate_is_refused(lines: str, match: str, exact: Path, tmp_path: Path) -> None:
    data = tiny_hf.save_collection(tmp_path / "mini")
    queries = [json.loads(line)["text"] for line in (data / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    file = tmp_path / "pairs.jsonl"
    file.write_text(lines.replace("water boils", queries[0]), encoding="utf-8")
    with pytest.raises(InputError, match=match.replace("water boils", queries[0])):
        typical_inputs(exact, data, "dev", file)


@pytest.mark.parametrize("name", ["fp32", "int8-block"])
def test_what_looks_at_no_texts_takes_no_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"no meaning for precision {name}; it is for fp16, int8, int8-static"):
        export_model(tmp_path, tmp_path / "out", precision=name, calibration=tmp_path / "pairs.jsonl")


def test_a_missing_file_and_no_inputs_are_named(exact: Path, tmp_path: Path) -> None:
    with pytest.raises(CascadeError, match=r"none.jsonl: cannot be read"):
        typical_inputs(exact, file=tmp_path / "none.jsonl")
    with pytest.raises(ModelError, match="takes ranges from typical inputs"):
        static_graph(exact / "model.onnx", tmp_path / "static.onnx", [])

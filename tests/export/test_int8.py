"""int8: what is quantised, what the manifest says of it, and nDCG@10 where there is data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from cascaderank.errors import ModelError
from cascaderank.export import export_model, quantize_graph
from cascaderank.export.calibration import typical_inputs
from cascaderank.export.engine import Engine
from cascaderank.export.smooth import encoder_products, smooth
from cascaderank.model import load_spec
from export import tiny_hf


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("int8") / "source"
    config, tokenizer = tiny_hf.bert(hidden_size=64, intermediate_size=128)
    tiny_hf.save_cross_encoder(folder, config, tokenizer)
    return folder


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    return tiny_hf.save_collection(tmp_path / "mini")


def test_the_manifest_says_what_int8_costs(source: Path, collection: Path, tmp_path: Path) -> None:
    seen: list[str] = []
    report = export_model(
        source, tmp_path / "out", precision="int8", data=collection, max_ndcg_loss=1.0,
        progress=lambda *step: seen.append(step[2]),
    )  # fmt: skip

    spec = load_spec(tmp_path / "out")
    parity = spec.manifest["parity"]
    assert (spec.precision, spec.batch_invariant) == ("int8", False)
    assert spec.manifest["precision"]["method"] == "dynamic, per channel, smoothed, MatMul"
    assert report.change is not None
    assert report.change.quality is not None
    assert parity["max_abs_diff"] <= 1e-4  # of the fp32 graph it was made from
    assert 0.5 < parity["int8_kendall_tau"] < 1.0
    assert 1e-4 < parity["int8_max_abs_diff"] < 1.0
    assert report.change.quality.queries == 3
    assert parity["int8_ndcg10_loss"] == pytest.approx(parity["int8_ndcg10_fp32"] - parity["int8_ndcg10"], abs=2e-4)
    assert parity["data"] == "mini dev, 3 queries, BM25 top 30"
    assert "converting to int8" in seen
    assert any("nDCG@10" in what for what in seen)


def test_only_matrix_products_are_quantised(source: Path, tmp_path: Path) -> None:
    export_model(source, tmp_path / "fp32")
    graph = tmp_path / "fp32" / "model.onnx"
    for embeddings in (False, True):
        target = tmp_path / f"{embeddings}.onnx"
        method = quantize_graph(graph, target, embeddings=embeddings)
        model = onnx.load(target)
        kinds = {node.op_type for node in model.graph.node}
        assert "MatMulInteger" in kinds
        assert ("Gather" in method) == embeddings
        table = [tensor for tensor in model.graph.initializer if "word_embeddings" in tensor.name]
        stored = {onnx.TensorProto.DataType.Name(tensor.data_type) for tensor in table if len(tensor.dims) == 2}
        assert stored == ({"UINT8"} if embeddings else {"FLOAT"})


@pytest.mark.parametrize(
    ("family", "products"),
    [
        # Per layer: query, key, value, output and two (or one each of gate and value) of the feed-forward part.
        ("bert", 12),
        ("xlm_roberta", 12),
        ("electra", 12),
        ("distil_bert", 12),
        ("mpnet", 12),
        ("deberta", 12),
        ("modern_bert", 12),  # three layers of four: query, key and value are one product
    ],
)
def test_smoothing_fits_every_family(family: str, products: int, tmp_path: Path) -> None:
    config, tokenizer = getattr(tiny_hf, family)()
    tiny_hf.save_cross_encoder(tmp_path / "source", config, tokenizer)
    export_model(tmp_path / "source", tmp_path / "fp32")
    inputs = typical_inputs(tmp_path / "fp32").inputs
    assert len(inputs) > 32
    graph = onnx.load(tmp_path / "fp32" / "model.onnx")
    assert len(encoder_products(graph)) >= products
    assert smooth(graph, inputs, 0.8) == len(encoder_products(graph))
    onnx.save(graph, tmp_path / "smoothed.onnx")
    sessions = [
        onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        for path in (tmp_path / "fp32" / "model.onnx", tmp_path / "smoothed.onnx")
    ]
    for arrays in inputs:
        exact, smoothed = (session.run(None, arrays)[0] for session in sessions)
        np.testing.assert_allclose(smoothed, exact, atol=1e-4)
    words = quantize_graph(tmp_path / "fp32" / "model.onnx", tmp_path / "int8.onnx", inputs)
    assert words == "dynamic, per channel, smoothed, MatMul"
    kinds = [node.op_type for node in onnx.load(tmp_path / "int8.onnx").graph.node]
    assert kinds.count("MatMulInteger") >= products


def test_reduce_range_keeps_weights_in_seven_bits(source: Path, tmp_path: Path) -> None:
    export_model(source, tmp_path / "fp32")
    largest = {}
    for reduce_range in (False, True):
        target = tmp_path / f"{reduce_range}.onnx"
        quantize_graph(tmp_path / "fp32" / "model.onnx", target, reduce_range=reduce_range)
        arrays = [onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(target).graph.initializer]
        largest[reduce_range] = max(
            abs(int(array.astype(int).max())) for array in arrays if array.dtype == "int8" and array.ndim == 2
        )
    assert largest == {False: 127, True: 64}


def test_a_pair_alone_does_not_depend_on_its_neighbours(source: Path, tmp_path: Path) -> None:
    """The default plan of an int8 folder runs every pair alone; the engine reads that from batch_invariant."""
    export_model(source, tmp_path / "out", precision="int8")
    pairs = [("sort a dictionary", text) for text in ("x", "the quick brown fox", "water " * 40)]
    with Engine(tmp_path / "out") as engine:
        together = engine.logits(pairs)
        assert [engine.logits([pair])[0] for pair in pairs] == together.tolist()
    # That is no luck: where rows do share a run, the quantised activations of the longest move the others.
    with Engine(tmp_path / "out", max_rows=8) as engine:
        assert np.abs(engine.logits(pairs) - together).max() > 1e-5


def test_data_without_int8_is_refused(source: Path, collection: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="what another precision than fp32 costs"):
        export_model(source, tmp_path / "out", data=collection)

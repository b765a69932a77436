"""Embedding tables in 8 bits, and the static encoder's graph."""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import tomli_w


@pytest.fixture
def table() -> np.ndarray:
    rows = np.random.default_rng(3).normal(size=(50, 8)).astype(np.float32)
    rows[7] = 0  # padding rows are all zero in many models
    return rows


def test_a_table_in_8_bits_is_near_and_stays_the_same_when_done_twice(
    recipes: SimpleNamespace, table: np.ndarray
) -> None:
    coded = recipes.tables.quantise_table(table)
    assert coded.codes.dtype == np.int8
    steps = np.abs(table).max(axis=1, keepdims=True) / 128
    assert (np.abs(coded.table() - table) <= 0.51 * steps + 1e-3 * np.abs(table).max()).all()
    again = recipes.tables.quantise_table(coded.table())
    np.testing.assert_array_equal(again.table(), coded.table())


def test_the_static_graphs_look_tokens_up(recipes: SimpleNamespace, table: np.ndarray, tmp_path: Path) -> None:
    coded = recipes.tables.quantise_table(table)
    recipes.static_graph.write_static(table, coded, tmp_path / "fp32.onnx", tmp_path / "int8.onnx")
    ids = np.array([[3, 7, 49], [0, 1, 2]], dtype=np.int64)
    for name, expected in (("fp32", table), ("int8", coded.table())):
        session = onnxruntime.InferenceSession(tmp_path / f"{name}.onnx", providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {"input_ids": ids})
        np.testing.assert_array_equal(found, expected[ids])


def test_a_table_of_another_size_is_refused(recipes: SimpleNamespace, table: np.ndarray) -> None:
    model = recipes.static_graph.lookup_graph(table)
    with pytest.raises(ValueError, match=r"\[50, 8\]"):
        recipes.tables.compress_table(model, recipes.static_graph.TABLE, recipes.tables.quantise_table(table[:40]))
    onnx.checker.check_model(model)


def test_measured_quality_goes_into_the_manifest_and_nothing_else_changes(
    recipes: SimpleNamespace, tmp_path: Path
) -> None:
    folder = tmp_path / "minilm-bi"
    folder.mkdir()
    manifest = {"format": 1, "name": "minilm-bi", "files": {"model.onnx": "0"}, "quality": {"pairs_trained_on": 5}}
    (folder / "model.toml").write_text(tomli_w.dumps(manifest), encoding="utf-8")
    task = recipes.sets.Task("scifact", "test", "bm25")
    result = SimpleNamespace(narrow={"bi": {"ndcg10": np.array([0.5, 0.25])}})
    recipes.manifests.write_manifests(tmp_path, {task: result}, 100)
    written = tomllib.loads((folder / "model.toml").read_text(encoding="utf-8"))
    quality = written.pop("quality")
    assert written == {key: value for key, value in manifest.items() if key != "quality"}
    assert quality["ndcg10"] == {"scifact test": 0.375}
    assert quality["pairs_trained_on"] == 5

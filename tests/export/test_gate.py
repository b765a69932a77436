"""The gate refuses planted errors, names the worst pair, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from cascaderank.errors import ModelError
from cascaderank.export import check_parity, compare_with_source, export_model, gate
from cascaderank.export.agreement import kendall_tau
from cascaderank.export.decide import Options, decide
from cascaderank.export.framework import Reference, load_module, load_tokenizer
from cascaderank.export.pairs import parity_pairs
from cascaderank.export.source import open_source
from export import tiny_hf
from export.tiny_hf import rewrite


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Path, Path]]:
    """Source and exported folder of a BERT cross-encoder by its number of labels."""
    made = {}
    for labels in (1, 2):
        root = tmp_path_factory.mktemp(f"labels{labels}")
        config, tokenizer = tiny_hf.bert()
        tiny_hf.save_cross_encoder(root / "source", config, tokenizer, labels=labels)
        export_model(root / "source", root / "out")
        made[labels] = (root / "source", root / "out")
    return made


@pytest.mark.parametrize("labels", [1, 2])
def test_an_untouched_folder_passes(labels: int, folders: dict[int, tuple[Path, Path]]) -> None:
    source, out = folders[labels]
    steps: list[tuple[int, int, str]] = []
    report = compare_with_source(out, source, progress=lambda *step: steps.append(step))
    gate(report, out)
    assert report.agreement.max_abs_diff < 1e-5
    assert report.agreement.kendall_tau > 0.999
    assert {what.partition(":")[0] for _, _, what in steps} == {"parity"}
    assert steps[-1][0] == steps[-1][1]


def test_segments_of_zero_are_refused(folders: dict[int, tuple[Path, Path]], tmp_path: Path) -> None:
    source, out = folders[1]
    wrong = rewrite(out, tmp_path / "wrong", input={"segments": [0, 0, 0, 0, 0]})
    report = compare_with_source(wrong, source)
    with pytest.raises(ModelError, match=r"wrong: .*torch.*tolerance 0.0001.*worst for query '.*segments"):
        gate(report, wrong)


def test_a_missing_separator_is_refused(folders: dict[int, tuple[Path, Path]], tmp_path: Path) -> None:
    source, out = folders[1]
    entries = {"pair": ["[CLS]", "$query", "$document", "[SEP]"], "segments": [0, 0, 1, 1]}
    report = compare_with_source(rewrite(out, tmp_path / "wrong", input=entries), source)
    assert not report.passed


def test_a_suffix_that_is_cut_off_is_refused(folders: dict[int, tuple[Path, Path]], tmp_path: Path) -> None:
    source, out = folders[1]
    entries = {"pair": ["[CLS]", "$query", "[SEP]", "$document"], "segments": [0, 0, 0, 1]}
    assert not compare_with_source(rewrite(out, tmp_path / "wrong", input=entries), source).passed


@pytest.mark.parametrize("base", [0, 1], ids=["XLM-R's from 0", "XLM-R's from 1"])
def test_positions_from_another_base_are_refused(base: int, tmp_path: Path) -> None:
    """The rows of the table moved up, which is what a graph reads that counts from ``base`` and not from 2."""
    source, out = tmp_path / "source", tmp_path / "out"
    tiny_hf.save_cross_encoder(source, *tiny_hf.xlm_roberta(rows=66))
    export_model(source, out, max_length=60)
    model = onnx.load(out / "model.onnx")
    table = next(item for item in model.graph.initializer if item.name.endswith("position_embeddings.weight"))
    moved = np.roll(onnx.numpy_helper.to_array(table), 2 - base, axis=0)
    table.CopyFrom(onnx.numpy_helper.from_array(moved.copy(), table.name))
    onnx.save(model, out / "model.onnx")
    wrong = rewrite(out, tmp_path / "wrong")
    report = compare_with_source(wrong, source)
    assert report.agreement.max_abs_diff > 100 * report.tolerance
    with pytest.raises(ModelError, match="does not score as"):
        gate(report, wrong)


def test_a_window_off_by_two_is_refused(folders: dict[int, tuple[Path, Path]], tmp_path: Path) -> None:
    source, out = folders[1]
    wrong = rewrite(out, tmp_path / "wrong", max_length=62)
    # compare_with_source takes the folder's window, so the reference is made with the model's own here.
    found = open_source(source)
    decision = decide(found, Options(), None)
    reference = Reference(decision, load_tokenizer(found), load_module(found, decision))
    assert check_parity(out, reference).passed
    assert not check_parity(wrong, reference).passed


def test_swapped_columns_are_refused(folders: dict[int, tuple[Path, Path]], tmp_path: Path) -> None:
    source, out = folders[2]
    wrong = rewrite(out, tmp_path / "wrong")
    model = onnx.load(wrong / "model.onnx")
    last = model.graph.node[-1]
    assert last.op_type == "Gemm"
    swapped = 0
    for tensor in model.graph.initializer:
        if tensor.name in last.input:
            array = onnx.numpy_helper.to_array(tensor)
            axis = array.shape.index(2)
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.flip(array, axis).copy(), tensor.name))
            swapped += 1
    assert swapped == 2  # weight and bias
    onnx.save(model, wrong / "model.onnx")
    rehashed = rewrite(wrong, tmp_path / "rehashed")
    report = compare_with_source(rehashed, source)
    with pytest.raises(ModelError, match="does not score as"):
        gate(report, rehashed)
    assert report.agreement.kendall_tau < -0.999  # swapped columns reverse the order


def test_a_refused_export_leaves_nothing(folders: dict[int, tuple[Path, Path]], tmp_path: Path) -> None:
    source, _ = folders[1]
    with pytest.raises(ModelError, match="tolerance 0"):
        export_model(source, tmp_path / "out", tolerance=0.0)
    assert list(tmp_path.iterdir()) == []


def test_the_pairs_cover_what_the_gate_promises(folders: dict[int, tuple[Path, Path]]) -> None:
    pairs = parity_pairs(lambda text: len(text.split()), 20, 128)
    assert len(pairs) >= 64
    documents = [document for _, document in pairs]
    assert "" in documents
    assert any(len(document.split()) == 1 for document in documents)
    assert any(len(document.split()) > 5 * 128 for document in documents)
    assert any("[SEP]" in document for document in documents)
    assert any("</s>" in document for document in documents)
    assert any("東京" in document for document in documents)
    assert any("😀" in document for document in documents)
    assert all(len(query.split()) <= 20 for query, _ in pairs)


def test_kendall_tau_counts_ties() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0], np.float32)
    assert kendall_tau(values, values * 2) == 1.0
    assert kendall_tau(values, -values) == -1.0
    # 6 pairs of places: 5 agree, one is tied on the left; tau-b = 5 / sqrt(5 * 6).
    tied = np.array([1.0, 1.0, 3.0, 4.0], np.float32)
    assert kendall_tau(tied, values) == pytest.approx(5 / np.sqrt(30))
    assert np.isnan(kendall_tau(np.ones(4, np.float32), values))

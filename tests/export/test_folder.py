"""The folder that comes out: files, hashes, external data, provenance, and what is refused before any work."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import onnx
import pytest

from cascaderank.errors import ModelError
from cascaderank.export import export_model
from cascaderank.export.engine import Engine
from cascaderank.model import load_spec
from export import tiny_hf


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folder") / "my-reranker"
    config, tokenizer = tiny_hf.bert()
    tokenizer.backend_tokenizer.enable_truncation(7)
    tokenizer.backend_tokenizer.enable_padding(length=7)
    tiny_hf.save_cross_encoder(folder, config, tokenizer)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\nlanguage: en\n---\n# card\n", encoding="utf-8")
    return folder


def test_the_manifest_names_what_it_was_made_from(source: Path, tmp_path: Path) -> None:
    report = export_model(source, tmp_path / "out", max_length=40, score="none")
    table = tomllib.loads((tmp_path / "out" / "model.toml").read_text(encoding="utf-8"))
    assert table["source"] == {
        "model": "my-reranker",
        "recipe": "cascaderank export my-reranker out --precision fp32 --max-length 40 --score none",
        "licence": "apache-2.0",
        "data": [],
    }
    assert (table["name"], table["max_length"], table["output"]["score"]) == ("out", 40, "none")
    low, high = table["output"]["range"]
    assert low < high
    assert table["parity"]["pairs"] >= 64
    assert str(tmp_path) not in (tmp_path / "out" / "model.toml").read_text(encoding="utf-8")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["model.onnx", "model.toml", "tokenizer.json"]
    for name, digest in table["files"].items():
        assert hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == digest
    assert report.size_bytes == sum(path.stat().st_size for path in (tmp_path / "out").iterdir())
    assert "max |diff|" in report.summary()


def test_the_tokenizer_file_neither_cuts_nor_pads(source: Path, tmp_path: Path) -> None:
    export_model(source, tmp_path / "out")
    state = json.loads((tmp_path / "out" / "tokenizer.json").read_text(encoding="utf-8"))
    assert (state["truncation"], state["padding"]) == (None, None)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_large_weights_stay_in_the_folder_and_are_hashed(precision: str, source: Path, tmp_path: Path) -> None:
    export_model(source, tmp_path / "inside", precision=precision)
    export_model(source, tmp_path / "out", precision=precision, external_over=10_000)
    spec = load_spec(tmp_path / "out")
    assert set(spec.files) == {"model.onnx", "tokenizer.json", "model.onnx_data"}
    graph = onnx.load(tmp_path / "out" / "model.onnx", load_external_data=False).graph
    external = [tensor for tensor in graph.initializer if tensor.data_location == onnx.TensorProto.EXTERNAL]
    assert external
    places = {item.value for tensor in external for item in tensor.external_data if item.key == "location"}
    assert places == {"model.onnx_data"}
    pairs = [("fox", "the lazy dog"), ("water", "")]
    with Engine(tmp_path / "out") as engine, Engine(tmp_path / "inside") as other:
        assert engine.logits(pairs).tolist() == other.logits(pairs).tolist()
    (tmp_path / "out" / "model.onnx_data").write_bytes(b"damaged")
    with pytest.raises(ModelError, match=r"model\.onnx_data"):
        load_spec(tmp_path / "out")


def test_an_output_that_exists_is_not_touched(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ModelError, match="not an empty folder"):
        export_model(source, tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text(encoding="utf-8") == "mine"


def test_weights_that_are_missing_are_named(source: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    broken.mkdir()
    for path in source.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    weights = load_file(broken / "model.safetensors")
    del weights["classifier.weight"]
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lack classifier.weight"):
        export_model(broken, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_of_another_family_is_refused(source: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    config, _ = tiny_hf.bert()
    config.vocab_size = 400
    _, other = tiny_hf.roberta()
    tiny_hf.save_cross_encoder(mixed, config, other)
    with pytest.raises(ModelError, match=r"template <s> \$query </s> \$document </s>.*its own tokenizer"):
        export_model(mixed, tmp_path / "out")


@pytest.mark.parametrize("name", ["no/such/folder", "./nothing", "../nothing", "~/nothing/at/all"])
def test_a_source_that_is_none(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder; give a model folder or a name of the hub"):
        export_model(name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_name_is_found_in_the_hubs_cache_with_its_revision(source: Path, tmp_path: Path) -> None:
    revision = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--someone--my-reranker"
    shutil.copytree(source, repository / "snapshots" / revision)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision, encoding="utf-8")
    code = "from cascaderank.export.source import open_source"
    code += "; s = open_source('someone/my-reranker'); print(s.name, s.revision)"
    # A process of its own, because the hub's library reads these when it is imported.
    settings = {**os.environ, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    found = subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["someone/my-reranker", revision]

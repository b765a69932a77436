"""Folders of sentence-transformers: pooling, prompts, windows and projections come from their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cascaderank.errors import ModelError
from cascaderank.export import compare_with_source, export_model
from cascaderank.export.engine import Engine
from cascaderank.model import load_spec
from export import tiny_hf
from export.tiny_hf import DENSE, NORMALIZE, POOLING, linear

TEXTS = ["sort a dictionary by value", "x", "water " * 90, "東京は日本の首都", "[SEP] is text"]


def vectors_in_batches(folder: Path, side: str) -> list[np.ndarray]:
    found = []
    for rows in (1, 5):
        with Engine(folder, max_rows=rows) as engine:
            found.append(engine.vectors(TEXTS, side))
    return found


def test_a_bert_bi_encoder_is_what_its_modules_say(tmp_path: Path) -> None:
    config, tokenizer = tiny_hf.bert()
    source = tmp_path / "source"
    model = tiny_hf.save_encoder(source, config, tokenizer)
    tiny_hf.add_modules(source, (POOLING, {"pooling_mode_mean_tokens": True}, {}), NORMALIZE)
    tiny_hf.edit_json(source / "sentence_bert_config.json", max_seq_length=48)
    tiny_hf.edit_json(
        source / "config_sentence_transformers.json", prompts={"query": "query: ", "document": "passage: "}
    )

    report = export_model(source, tmp_path / "out")

    spec = load_spec(tmp_path / "out")
    assert (spec.kind, spec.max_length, spec.output.dimension) == ("bi_encoder", 48, 32)
    assert (spec.output.pooling, spec.output.normalize) == ("mean", True)
    assert (spec.input.query_prefix, spec.input.document_prefix) == ("query: ", "passage: ")
    assert report.parity.agreement.max_abs_diff <= 1e-4
    for side, prefix in (("query", "query: "), ("document", "passage: ")):
        expected = []
        for text in TEXTS:
            encoded = tokenizer(
                prefix + text, truncation=True, max_length=48, return_tensors="pt", split_special_tokens=True
            )
            with torch.no_grad():
                mean = model(**encoded).last_hidden_state[0].mean(0)
            expected.append((mean / mean.norm()).numpy())
        for found in vectors_in_batches(tmp_path / "out", side):
            np.testing.assert_allclose(found, np.stack(expected), atol=1e-4)


def test_a_projection_after_pooling_is_part_of_the_graph(tmp_path: Path) -> None:
    config, tokenizer = tiny_hf.bert()
    source = tmp_path / "source"
    model = tiny_hf.save_encoder(source, config, tokenizer)
    weights = linear(32, 12, bias=True)
    shape = {"in_features": 32, "out_features": 12, "bias": True}
    dense = (DENSE, {**shape, "activation_function": "torch.nn.modules.activation.Tanh"}, weights)
    tiny_hf.add_modules(source, (POOLING, {"pooling_mode_mean_tokens": True}, {}), dense, NORMALIZE)

    export_model(source, tmp_path / "out")

    spec = load_spec(tmp_path / "out")
    assert (spec.output.pooling, spec.output.dimension, spec.output.normalize) == ("none", 12, True)
    encoded = tokenizer(TEXTS[0], return_tensors="pt")
    with torch.no_grad():
        mean = model(**encoded).last_hidden_state[0].mean(0)
        value = torch.tanh(weights["linear.weight"] @ mean + weights["linear.bias"])
    for found in vectors_in_batches(tmp_path / "out", "document"):
        np.testing.assert_allclose(found[0], (value / value.norm()).numpy(), atol=1e-4)


def test_an_encoder_without_modules_needs_kind_and_pooling(tmp_path: Path) -> None:
    config, tokenizer = tiny_hf.bert()
    tiny_hf.save_encoder(tmp_path / "source", config, tokenizer)
    with pytest.raises(ModelError, match="--kind"):
        export_model(tmp_path / "source", tmp_path / "out")
    with pytest.raises(ModelError, match="--pooling"):
        export_model(tmp_path / "source", tmp_path / "out", kind="bi_encoder")
    export_model(tmp_path / "source", tmp_path / "out", kind="bi_encoder", pooling="cls")
    spec = load_spec(tmp_path / "out")
    assert (spec.output.pooling, spec.output.normalize) == ("cls", True)
    assert compare_with_source(tmp_path / "out", tmp_path / "source").passed  # what was asked for is in the manifest


@pytest.fixture
def library() -> Any:
    return pytest.importorskip("sentence_transformers", reason="compares with sentence-transformers, where installed")


def test_a_cross_encoder_that_sentence_transformers_saved(library: Any, tmp_path: Path) -> None:
    config, tokenizer = tiny_hf.bert()
    tiny_hf.save_cross_encoder(tmp_path / "plain", config, tokenizer)
    model = library.CrossEncoder(str(tmp_path / "plain"), device="cpu", activation_fn=torch.nn.Identity())
    model.save_pretrained(str(tmp_path / "source"))

    export_model(tmp_path / "source", tmp_path / "out")

    assert load_spec(tmp_path / "out").output.score == "none"
    pairs = [("sort a dictionary", "by value"), ("sort a dictionary", "water " * 90), ("fox", "")]
    with Engine(tmp_path / "out") as engine:
        np.testing.assert_allclose(engine.logits(pairs), model.predict(pairs), atol=1e-4)


def test_the_reference_agrees_with_sentence_transformers(library: Any, tmp_path: Path) -> None:
    config, tokenizer = tiny_hf.bert()
    source = tmp_path / "source"
    tiny_hf.save_encoder(source, config, tokenizer)
    weights = linear(32, 12, bias=True)
    shape = {"in_features": 32, "out_features": 12, "bias": True}
    dense = (DENSE, {**shape, "activation_function": "torch.nn.modules.activation.Tanh"}, weights)
    pooling = (POOLING, {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}, {})
    tiny_hf.add_modules(source, pooling, dense, NORMALIZE)
    export_model(source, tmp_path / "out")
    plain = [text for text in TEXTS if "[SEP]" not in text]  # it reads a special token in a text as the token
    expected = library.SentenceTransformer(str(source), device="cpu").encode(plain)
    with Engine(tmp_path / "out") as engine:
        np.testing.assert_allclose(engine.vectors(plain, "document"), expected, atol=1e-4)

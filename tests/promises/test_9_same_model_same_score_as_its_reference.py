"""An exported model passes a parity gate against the framework it came from; what ships says how close it is. The gate
itself is the exporter's: its own tests hold it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cascaderank import Cascade, Stage
from cascaderank.model import installed_models, load_spec
from graphs import attention_logit, make_attention
from tiny import ids

DOCUMENTS = ["red", "cat dog fish", "", "one two three red red blue green", "unknown words , here"]


@pytest.mark.parametrize("budget", [None, 500], ids=["alone", "padded"])
def test_a_model_scores_like_the_same_arithmetic_elsewhere(tmp_path: Path, budget: int | None) -> None:
    """An attention layer in ONNX Runtime against NumPy in float64: tokens, segments, masks and layout all right."""
    with Cascade([Stage(make_attention(tmp_path / "m"), keep=9, token_budget=budget)]) as cascade:
        found = {hit.index: hit.score for hit in cascade.rank("red cat", DOCUMENTS)}
    for index, text in enumerate(DOCUMENTS):
        query, document = [2, *ids("red cat"), 3], [*ids(text), 3]
        expected = attention_logit(query + document, [0] * len(query) + [1] * len(document))
        assert found[index] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["minilm-bi", "minilm-ce-small", "minilm-ce-large"])
def test_shipped_manifests_say_how_close_they_are(name: str) -> None:
    if name not in installed_models():
        pytest.skip(f"cascaderank-models with {name} is not installed (pip install ./models)")
    manifest = load_spec(installed_models()[name]).manifest
    parity = manifest["parity"]
    assert parity["pairs"] >= 64
    assert parity["max_abs_diff"] <= parity["tolerance"] <= 1e-4
    assert manifest["source"]["licence"]
    assert ".py" in manifest["source"]["recipe"]
    if manifest["precision"]["weights"] == "int8":
        assert {"int8_kendall_tau", "int8_max_abs_diff", "int8_ndcg10_loss", "data"} <= set(parity)

"""Each family, from a folder as transformers writes it to scores that equal torch's, alone and in micro-batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cascaderank.export import export_model
from cascaderank.export.engine import Engine
from cascaderank.model import load_spec
from export import tiny_hf

PAIRS = [
    ("how do I sort a dictionary", "sort the items of the dictionary by value"),
    ("how do I sort a dictionary", ""),
    ("how do I sort a dictionary", "water " * 700),
    ("how do I sort a dictionary", "[SEP] </s> <mask> are text"),
    ("water", "東京は日本の首都であり"),
    ("water", "x"),
]
# transformers' own pair encoding of a special token written in a text is the token; the engine's is its characters.
SPLIT = {"split_special_tokens": True, "return_tensors": "pt"}

FAMILIES: dict[str, tuple[Callable[[], tuple[Any, Any]], int, list[str], list[int]]] = {
    "bert": (tiny_hf.bert, 64, ["[CLS]", "$query", "[SEP]", "$document", "[SEP]"], [0, 0, 0, 1, 1]),
    "xlm-roberta": (tiny_hf.xlm_roberta, 512, ["<s>", "$query", "</s>", "</s>", "$document", "</s>"], []),
    "roberta": (tiny_hf.roberta, 64, ["<s>", "$query", "</s>", "</s>", "$document", "</s>"], []),
    "camembert": (tiny_hf.camembert, 64, ["<s>", "$query", "</s>", "</s>", "$document", "</s>"], []),
    "mpnet": (tiny_hf.mpnet, 64, ["<s>", "$query", "</s>", "</s>", "$document", "</s>"], []),
    "electra": (tiny_hf.electra, 64, ["[CLS]", "$query", "[SEP]", "$document", "[SEP]"], [0, 0, 0, 1, 1]),
    "distilbert": (tiny_hf.distil_bert, 64, ["[CLS]", "$query", "[SEP]", "$document", "[SEP]"], []),
    "deberta-v2": (tiny_hf.deberta, 64, ["[CLS]", "$query", "[SEP]", "$document", "[SEP]"], []),
    "modernbert": (tiny_hf.modern_bert, 96, ["[CLS]", "$query", "[SEP]", "$document", "[SEP]"], []),
}


def torch_logits(model: Any, tokenizer: Any, max_length: int) -> np.ndarray:
    rows = []
    for query, document in PAIRS:
        encoded = tokenizer([query], [document], truncation="only_second", max_length=max_length, **SPLIT)
        with torch.no_grad():
            rows.append(model(**encoded).logits[0].numpy())
    return np.stack(rows)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_cross_encoder_scores_as_torch_does(family: str, tmp_path: Path) -> None:
    make, max_length, template, segments = FAMILIES[family]
    config, tokenizer = make()
    model = tiny_hf.save_cross_encoder(tmp_path / "source", config, tokenizer)

    report = export_model(tmp_path / "source", tmp_path / "out")

    spec = load_spec(tmp_path / "out")
    assert (spec.max_length, list(spec.input.pair), list(spec.input.segments)) == (max_length, template, segments)
    assert spec.batch_invariant
    assert spec.output.score == "sigmoid"  # one label without a named activation
    assert report.parity.agreement.pairs >= 64
    assert report.parity.agreement.max_abs_diff <= 1e-4
    expected = torch_logits(model, tokenizer, max_length)[:, 0]
    assert np.ptp(expected) > 0.05  # otherwise every template would agree
    for rows in (1, 4):
        with Engine(tmp_path / "out", max_rows=rows) as engine:
            np.testing.assert_allclose(engine.logits(PAIRS), expected, atol=1e-4)


@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_two_labels_are_one_logit_the_second_minus_the_first(family: str, tmp_path: Path) -> None:
    make, max_length, _, _ = FAMILIES[family]
    config, tokenizer = make()
    model = tiny_hf.save_cross_encoder(tmp_path / "source", config, tokenizer, labels=2)

    export_model(tmp_path / "source", tmp_path / "out")

    spec = load_spec(tmp_path / "out")
    assert (spec.output.columns, spec.output.score) == (2, "softmax[1]")
    columns = torch_logits(model, tokenizer, max_length)
    with Engine(tmp_path / "out") as engine:
        np.testing.assert_allclose(engine.logits(PAIRS), columns[:, 1] - columns[:, 0], atol=1e-4)


def test_bert_with_one_segment_has_none(tmp_path: Path) -> None:
    config, tokenizer = tiny_hf.bert(type_vocab_size=1)
    tiny_hf.save_cross_encoder(tmp_path / "source", config, tokenizer)
    export_model(tmp_path / "source", tmp_path / "out")
    assert load_spec(tmp_path / "out").input.segments == ()


def test_a_query_prefix_is_part_of_the_score(tmp_path: Path) -> None:
    config, tokenizer = tiny_hf.bert()
    tiny_hf.save_cross_encoder(tmp_path / "source", config, tokenizer)
    export_model(tmp_path / "source", tmp_path / "plain")
    export_model(tmp_path / "source", tmp_path / "prefixed", query_prefix="water ")
    with Engine(tmp_path / "plain") as plain, Engine(tmp_path / "prefixed") as prefixed:
        assert prefixed.logits([("fox", "dog")]) == plain.logits([("water fox", "dog")])

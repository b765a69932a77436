"""Bi-encoders of each architecture with each kind of pooling: vectors equal torch's, and so do orders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cascaderank.errors import ModelError
from cascaderank.export import export_model
from cascaderank.export.engine import Engine
from cascaderank.model import load_spec
from export import oracle, tiny_hf
from export.lists import apart, lists, order
from export.tiny_hf import NORMALIZE, POOLING

E5 = {"query": "query: ", "passage": "passage: "}
QWEN = {"query": "Instruct: find the passage that answers\nQuery:", "document": ""}
MISTRAL = {"query": "Instruct: find the passage\nQuery: "}


@dataclass(frozen=True, slots=True)
class Case:
    """``mode`` is the Pooling module's, ``pooling`` the manifest's ("none": the graph pools)."""

    make: Callable[[], tuple[Any, Any]]
    mode: str
    pooling: str
    window: int
    prompts: dict[str, str]
    template: tuple[str, ...] = ("[CLS]", "$text", "[SEP]")


CASES = {
    "bert": Case(tiny_hf.bert, "cls", "cls", 64, {}),
    "xlm-roberta": Case(lambda: tiny_hf.xlm_roberta(rows=66), "mean", "mean", 64, E5, ("<s>", "$text", "</s>")),
    "modernbert": Case(tiny_hf.modern_bert, "lasttoken", "last_token", 96, {}),
    "bert, max": Case(tiny_hf.bert, "max", "none", 64, {}),
    "bert, square root": Case(tiny_hf.bert, "mean_sqrt_len_tokens", "none", 64, {}),
    "bert, weighted": Case(tiny_hf.bert, "weightedmean", "none", 64, {}),
    "qwen2": Case(
        lambda: tiny_hf.decoder("Qwen2", tiny_hf.qwen(96)),
        "lasttoken", "last_token", 96, QWEN, ("$text", "<|endoftext|>"),
    ),
    "qwen3": Case(
        lambda: tiny_hf.decoder("Qwen3", tiny_hf.qwen(96)),
        "lasttoken", "last_token", 96, QWEN, ("$text", "<|endoftext|>"),
    ),
    "mistral": Case(
        lambda: tiny_hf.decoder("Mistral", tiny_hf.llama(96)),
        "lasttoken", "last_token", 96, MISTRAL, ("<s>", "$text", "</s>"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=CASES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Path, Any, Any]:
    """The case, its exported folder, the torch model and its tokenizer."""
    case = CASES[request.param]
    root = tmp_path_factory.mktemp("embedder")
    config, tokenizer = case.make()
    model = tiny_hf.save_encoder(root / "source", config, tokenizer)
    tiny_hf.add_modules(root / "source", (POOLING, {"pooling_mode": case.mode}, {}), NORMALIZE)
    tiny_hf.edit_json(root / "source" / "config_sentence_transformers.json", prompts=case.prompts)
    export_model(root / "source", root / "out")
    return case, root / "out", model, tokenizer


def test_texts_have_torchs_vectors_and_lists_its_order(made: tuple[Case, Path, Any, Any]) -> None:
    case, folder, model, tokenizer = made
    spec = load_spec(folder)
    assert (spec.kind, spec.max_length, spec.output.pooling) == ("bi_encoder", case.window, case.pooling)
    assert spec.input.query == spec.input.document == case.template
    before = (case.prompts.get("query", ""), case.prompts.get("document") or case.prompts.get("passage", ""))
    assert (spec.input.query_prefix, spec.input.document_prefix) == before
    pooling = oracle.POOLINGS[case.mode]

    def expected(texts: list[str], prefix: str) -> np.ndarray:
        return oracle.text_vectors(model, tokenizer, case.window, [prefix + text for text in texts], pooling)

    with Engine(folder) as alone, Engine(folder, max_rows=64) as together:
        compared = 0
        for query, documents in lists(alone.count_tokens, case.window, alone.query_limit()):
            of_query, of_documents = expected([query], before[0]), expected(documents, before[1])
            scores = of_documents @ of_query[0]
            for engine in (alone, together):
                np.testing.assert_allclose(engine.vectors([query], "query"), of_query, atol=1e-4)
                np.testing.assert_allclose(engine.vectors(documents, "document"), of_documents, atol=1e-4)
                kept = apart(scores)  # 20 documents
                found = engine.rank_logits(query, documents)
                np.testing.assert_allclose(found, scores, atol=1e-4)
                assert order(found[kept]) == order(scores[kept])
            compared += len(documents)
    assert compared >= 200


def test_a_decoder_whose_tokenizer_adds_no_end_token_is_refused(tmp_path: Path) -> None:
    """The vector would be that of whatever token the text ends with, which no published model was trained for."""
    config, tokenizer = tiny_hf.decoder("Mistral", tiny_hf.llama(96, add_eos_token=False))
    tiny_hf.save_encoder(tmp_path / "source", config, tokenizer)
    tiny_hf.add_modules(tmp_path / "source", (POOLING, {"pooling_mode": "lasttoken"}, {}))
    with pytest.raises(ModelError, match="no end token after a text; use the tokenizer files"):
        export_model(tmp_path / "source", tmp_path / "out")


def test_a_decoder_without_special_tokens_is_refused(tmp_path: Path) -> None:
    config, tokenizer = tiny_hf.decoder("Qwen3", tiny_hf.qwen(96))
    tokenizer.backend_tokenizer.post_processor = tiny_hf.processors.ByteLevel()
    tiny_hf.save_encoder(tmp_path / "source", config, tokenizer)
    tiny_hf.add_modules(tmp_path / "source", (POOLING, {"pooling_mode": "mean"}, {}))
    with pytest.raises(ModelError, match="puts 0 special tokens around a text"):
        export_model(tmp_path / "source", tmp_path / "out")

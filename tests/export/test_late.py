"""Late interaction: PyLate's layout and ColBERT's own artifact, MaxSim beside torch's."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cascaderank.errors import ModelError
from cascaderank.export import export_model
from cascaderank.export.engine import Engine
from cascaderank.model import load_spec
from export import oracle, tiny_hf
from export.lists import apart, lists, order
from export.tiny_hf import IDENTITY, linear

SIZE = 8
SKIPPED = ["a", "t", "water", ",", "no such token"]


@dataclass(frozen=True, slots=True)
class Late:
    """An exported model beside what it was made of; ``query_length`` 0: queries are not expanded."""

    folder: Path
    model: Any
    tokenizer: Any
    weight: torch.Tensor
    markers: tuple[str, str]
    query_length: int
    document_length: int
    attend: bool
    skipped: list[str]

    def scores(self, query: str, documents: list[str]) -> np.ndarray:
        of_query = self._query(query)
        return np.array([float((of_query @ self._document(text).T).amax(1).sum()) for text in documents])

    def _query(self, query: str) -> torch.Tensor:
        ids = self._ids(query, self.markers[0], self.query_length or self.document_length)
        attended = [1] * len(ids)
        if self.query_length:
            rest = self.query_length - len(ids)
            ids, attended = ids + [self.tokenizer.mask_token_id] * rest, attended + [int(self.attend)] * rest
        return oracle.token_vectors(self.model, ids, attended, self.weight)

    def _document(self, document: str) -> torch.Tensor:
        ids = self._ids(document, self.markers[1], self.document_length)
        vectors = oracle.token_vectors(self.model, ids, [1] * len(ids), self.weight)
        vocabulary = self.tokenizer.get_vocab()
        left_out = {vocabulary[word] for word in self.skipped if word in vocabulary}
        return vectors[[place for place, token in enumerate(ids) if token not in left_out]]

    def _ids(self, text: str, marker: str, limit: int) -> list[int]:
        ids = self.tokenizer(text, truncation=True, max_length=limit - 1, split_special_tokens=True)["input_ids"]
        return [ids[0], self.tokenizer.get_vocab()[marker], *ids[1:]]


def pylate(root: Path, made: tuple[Any, Any], markers: tuple[str, str], attend: bool, expand: bool = True) -> Late:
    config, tokenizer = made
    model = tiny_hf.save_encoder(root / "source", config, tokenizer)
    weights = linear(32, SIZE, bias=False)
    shape = {"in_features": 32, "out_features": SIZE, "bias": False, "activation_function": IDENTITY}
    tiny_hf.add_modules(root / "source", ("pylate.models.Dense.Dense", shape, weights))
    tiny_hf.edit_json(
        root / "source" / "config_sentence_transformers.json",
        query_prefix=markers[0],
        document_prefix=markers[1],
        query_length=24,
        document_length=40,
        attend_to_expansion_tokens=attend,
        do_query_expansion=expand,
        skiplist_words=SKIPPED,
    )
    export_model(root / "source", root / "out")
    length = 24 if expand else 0
    return Late(root / "out", model, tokenizer, weights["linear.weight"], markers, length, 40, attend, SKIPPED)


def artifact(folder: Path, **metadata: Any) -> tuple[Any, Any, torch.Tensor]:
    """A folder as ColBERT writes it, BERT under ``bert.`` and ``linear.weight``; returns both and the tokenizer."""
    from safetensors.torch import load_file, save_file

    config, tokenizer = tiny_hf.bert(positions=96)
    model = tiny_hf.save_encoder(folder, config, tokenizer)
    weight = linear(32, SIZE, bias=False)["linear.weight"]
    weights = {f"bert.{name}": value for name, value in load_file(folder / "model.safetensors").items()}
    save_file({**weights, "linear.weight": weight}, folder / "model.safetensors", metadata={"format": "pt"})
    tiny_hf.edit_json(folder / "config.json", architectures=["HF_ColBERT"])
    if metadata:
        (folder / "artifact.metadata").write_text(json.dumps(metadata), encoding="utf-8")
    return model, tokenizer, weight


def colbert(root: Path) -> Late:
    model, tokenizer, weight = artifact(
        root / "source",
        query_token_id="[unused0]",
        doc_token_id="[unused1]",
        query_maxlen=24,
        doc_maxlen=40,
        dim=SIZE,
        mask_punctuation=True,
        attend_to_mask_tokens=False,
    )
    export_model(root / "source", root / "out")
    punctuation = list(string.punctuation)
    return Late(root / "out", model, tokenizer, weight, ("[unused0]", "[unused1]"), 24, 40, False, punctuation)


def moderncolbert() -> tuple[Any, Any]:
    """GTE-ModernColBERT's: the markers are added words that end in a space."""
    config, tokenizer = tiny_hf.modern_bert()
    tokenizer.add_tokens(["[Q] ", "[D] "])
    config.vocab_size = len(tokenizer)
    return config, tokenizer


BERT_MARKERS, MODERN_MARKERS = ("[unused0]", "[unused1]"), ("[Q] ", "[D] ")
CASES: dict[str, Callable[[Path], Late]] = {
    "colbert": colbert,
    "pylate, bert": lambda root: pylate(root, tiny_hf.bert(positions=96), BERT_MARKERS, attend=False),
    "pylate, modernbert": lambda root: pylate(root, moderncolbert(), MODERN_MARKERS, attend=True),
    "pylate, not expanded": lambda root: pylate(root, moderncolbert(), MODERN_MARKERS, attend=False, expand=False),
}


@pytest.mark.parametrize("case", CASES)
def test_pairs_score_as_in_torch_and_lists_come_in_its_order(case: str, tmp_path: Path) -> None:
    made = CASES[case](tmp_path)
    spec = load_spec(made.folder)
    assert (spec.kind, spec.max_length, spec.output.dimension) == ("late_interaction", made.document_length, SIZE)
    assert spec.input.query == ("[CLS]", made.markers[0], "$text", "[SEP]")
    assert spec.input.document == ("[CLS]", made.markers[1], "$text", "[SEP]")
    assert (spec.output.query_length, spec.output.attend_to_expansion) == (made.query_length, made.attend)
    assert set(spec.output.skip_tokens) == set(made.skipped).intersection(made.tokenizer.get_vocab()) != set()
    compared = 0
    with Engine(made.folder) as alone, Engine(made.folder, max_rows=64) as together:
        for query, documents in lists(alone.count_tokens, made.document_length, alone.query_limit()):
            expected = made.scores(query, documents)
            kept = apart(expected)  # 20 documents
            for engine in (alone, together):
                found = engine.rank_logits(query, documents)
                np.testing.assert_allclose(found, expected, atol=1e-4)
                assert order(found[kept]) == order(expected[kept])
            compared += len(documents)
    assert compared >= 200


def test_an_artifact_without_its_settings_is_refused(tmp_path: Path) -> None:
    artifact(tmp_path / "source")
    with pytest.raises(ModelError, match=r"HF_ColBERT without artifact\.metadata, .* add the file"):
        export_model(tmp_path / "source", tmp_path / "out")


def test_an_artifact_with_another_similarity_is_refused(tmp_path: Path) -> None:
    artifact(tmp_path / "source", dim=SIZE, similarity="l2")
    with pytest.raises(ModelError, match="similarity 'l2'; only 'cosine'"):
        export_model(tmp_path / "source", tmp_path / "out")


def test_a_projection_of_another_size_is_refused(tmp_path: Path) -> None:
    artifact(tmp_path / "source", dim=SIZE + 1)
    with pytest.raises(ModelError, match=r"linear.weight': \[8, 32\]\} do not fit .* give the folder of a finished"):
        export_model(tmp_path / "source", tmp_path / "out")


def test_a_marker_that_is_no_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"the marker '\[Q\]' is not a token of its tokenizer"):
        pylate(tmp_path, tiny_hf.bert(positions=96), ("[Q]", "[D]"), attend=False)

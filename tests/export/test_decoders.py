"""Decoder rerankers: each template over each kind of model, from a folder as transformers writes it to scores that
equal torch's through the whole path, alone and in micro-batches."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cascaderank import Cascade, ModelError, Stage
from cascaderank.export import compare_with_source, export_model, gate
from cascaderank.export.decide import Options, decide
from cascaderank.export.decoders.template import read_template, template_names
from cascaderank.export.engine import Engine
from cascaderank.export.framework import Reference, load_module, load_tokenizer
from cascaderank.export.pairs import DOCUMENTS, QUERIES, SENTENCE
from cascaderank.export.source import open_source
from cascaderank.golden import make_request
from cascaderank.kernels import DOCUMENT, pack, plan
from cascaderank.model import load_spec
from cascaderank.stages import Counts, Decoder
from export.decoders_hf import save_decoder
from export.tiny_hf import rewrite

MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "qwen3": ("qwen3", "qwen3-reranker", {}),
    "qwen2, tied words": ("qwen2", "mxbai-rerank-v2", {"tie_word_embeddings": True}),
    "gemma": ("gemma", "bge-reranker-v2-gemma", {}),
    "llama": ("llama", "zerank", {}),
    "mistral, local attention": ("mistral", "zerank", {"sliding_window": 400}),
    "t5": ("t5", "monot5", {}),
    "t5, untied": ("t5", "monot5", {"tie_word_embeddings": False}),
    "qwen3, classifier": ("qwen3", "qwen3-reranker", {"classifier": True}),
}
LISTS = [list(QUERIES), list(DOCUMENTS)]


def all_pairs() -> list[tuple[str, str]]:
    """240 of them, with documents from nothing to past the window; a query's own pairs next to each other."""
    documents = [*DOCUMENTS[:17], *(SENTENCE * count for count in (2, 4, 7, 9, 12, 20, 60))]
    return [(query, document) for query in QUERIES for document in documents]


@pytest.fixture(scope="module", params=MODELS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """Source folder, model folder, template."""
    model_type, template, settings = MODELS[request.param]
    root = tmp_path_factory.mktemp("decoder")
    save_decoder(root / "source", model_type, **settings)
    report = export_model(root / "source", root / "out", template=template)
    assert report.parity.agreement.max_abs_diff <= 1e-4
    return root / "source", root / "out", template


def torch_logits(source: Path, folder: Path, template: str, pairs: list[tuple[str, str]]) -> np.ndarray:
    found = open_source(source)
    tokenizer = load_tokenizer(found)
    options = Options(template=template, max_length=load_spec(folder).max_length)
    decision = decide(found, options, None)
    return Reference(decision, tokenizer, load_module(found, decision)).logits(pairs)


def test_scores_equal_torchs_alone_and_in_micro_batches(exported: tuple[Path, Path, str]) -> None:
    source, folder, template = exported
    pairs = all_pairs()
    expected = torch_logits(source, folder, template, pairs)
    assert len(pairs) >= 200
    assert expected.std() > 0.01  # logits that differ, or equality would say nothing
    for rows in (1, 8):
        with Engine(folder, max_rows=rows) as engine:
            found = engine.logits(pairs)
        np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)
        for start in range(0, len(pairs), 24):  # one query's documents
            np.testing.assert_array_equal(
                np.argsort(-found[start : start + 20], kind="stable"),
                np.argsort(-expected[start : start + 20], kind="stable"),
            )


def test_sharing_the_prefix_changes_no_score(exported: tuple[Path, Path, str]) -> None:
    documents = [text for _, text in all_pairs()[:24]]
    with Engine(exported[1]) as engine:
        shared = engine.logits([(QUERIES[0], document) for document in documents])
        counts = Counts()
        scored = Decoder(engine.part, share=False).score(make_request(QUERIES[0], documents), np.arange(24), counts)
        alone = np.empty(24, np.float32)
        alone[scored.positions] = scored.outputs
    np.testing.assert_allclose(shared, alone, atol=1e-4, rtol=0)


def test_a_long_document_keeps_the_tail_of_the_template(exported: tuple[Path, Path, str]) -> None:
    with Engine(exported[1]) as engine:
        part, long = engine.part, SENTENCE * 100
        form = part.template(engine.spec.input.pair)
        tail = form.parts[form.parts.index(DOCUMENT) + 1 :]
        query = make_request("cap", []).query_tokens(part.tokenizer, engine.spec.input.query_wording())
        texts = part.tokenizer.encode_many([engine.spec.input.document_wording.around(long)])
        made = plan(texts, np.zeros(1, np.int64), len(query), form, part.rule)
        tensors = {role: np.empty(made.tokens, np.int64) for role in ("input_ids", "attention_mask")}
        pack(made, query, texts, np.zeros(1, np.int64), form, tensors)
        empty, full = engine.logits([("cap", ""), ("cap", long)])
    assert made.tokens == engine.spec.max_length
    assert made.truncated_tokens > 0
    assert tensors["input_ids"][-len(tail) :].tolist() == tail
    assert abs(float(empty - full)) > 1e-3


def test_check_against_the_source_needs_no_template_again(exported: tuple[Path, Path, str]) -> None:
    source, folder, _ = exported
    gate(compare_with_source(folder, source), folder)


def test_a_tail_cut_off_by_a_changed_template_misses_the_goldens(
    exported: tuple[Path, Path, str], tmp_path: Path
) -> None:
    folder = exported[1]
    pair = list(load_spec(folder).input.pair)
    cut = rewrite(folder, tmp_path / "cut", input={"pair": pair[:-1]})
    with pytest.raises(ModelError, match="template is not the one"):
        Cascade([Stage(cut, keep=1)], check_golden=True)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("decoder") / "source"
    save_decoder(folder, "qwen3", 256)
    return folder


def test_without_a_template_nothing_is_guessed(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"--template.*qwen3-reranker"):
        export_model(source, tmp_path / "out")
    with pytest.raises(ModelError, match="neither a file nor one of"):
        export_model(source, tmp_path / "out", template="no-such")
    with pytest.raises(ModelError, match="pooling was given"):
        export_model(source, tmp_path / "out", template="zerank", pooling="mean")
    assert not (tmp_path / "out").exists()


def test_swapped_answers_fail_the_comparison(source: Path, tmp_path: Path) -> None:
    swapped = tmp_path / "swapped.toml"
    text = (Path(read_template.__code__.co_filename).parent / "templates" / "qwen3-reranker.toml").read_text()
    swapped.write_text(text.replace('yes = "yes"\nno = "no"', 'yes = "no"\nno = "yes"'), encoding="utf-8")
    export_model(source, tmp_path / "out", template=str(swapped))
    with pytest.raises(ModelError, match="does not score as torch"):
        gate(compare_with_source(tmp_path / "out", source, template="qwen3-reranker"), tmp_path / "out")


def test_a_template_of_ones_own(source: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'before = ["<|im_start|>"]\nquery_prefix = "Q: "\nbetween = ["\\n"]\ndocument_prefix = "D: "\n'
        'after = ["\\nanswer:"]\nyes = "yes"\nno = "no"\nscore = "none"\ntokenised = "pieces"\n',
        encoding="utf-8",
    )
    report = export_model(source, tmp_path / "out", template=str(file))
    assert report.family == "decoder, mine"
    for change, message in (
        ('yes = "yes"', "yes"),
        ('tokenised = "pieces"', "tokenised"),
        ('after = ["\\nanswer:"]', "after"),
    ):
        broken = tmp_path / "broken.toml"
        broken.write_text(file.read_text(encoding="utf-8").replace(change, ""), encoding="utf-8")
        with pytest.raises(ModelError, match=message):
            export_model(source, tmp_path / "other", template=str(broken))
    broken.write_text(file.read_text(encoding="utf-8") + "yess = 1\n", encoding="utf-8")
    with pytest.raises(ModelError, match="unknown key 'yess'"):
        export_model(source, tmp_path / "other", template=str(broken))


def test_a_marker_that_is_no_token_is_refused(source: Path, tmp_path: Path) -> None:
    shutil.copytree(source, tmp_path / "other")
    file = tmp_path / "bos.toml"
    file.write_text(
        'before = ["<bos>"]\nafter = ["\\n"]\nyes = "yes"\nscore = "none"\ntokenised = "pieces"\n', encoding="utf-8"
    )
    with pytest.raises(ModelError, match=r"<bos>, which is no token"):
        export_model(tmp_path / "other", tmp_path / "out", template=str(file))
    file.write_text(
        'after = ["\\n"]\nyes = "supercalifragilistic"\nscore = "none"\ntokenised = "pieces"\n', encoding="utf-8"
    )
    with pytest.raises(ModelError, match="an answer is one token"):
        export_model(tmp_path / "other", tmp_path / "out", template=str(file))


def test_the_templates_that_ship_can_all_be_read() -> None:
    assert template_names() == ["bge-reranker-v2-gemma", "monot5", "mxbai-rerank-v2", "qwen3-reranker", "zerank"]
    for name in template_names():
        template = read_template(name)
        assert template.yes
        assert template.after


def test_a_window_beyond_local_attention_is_refused(tmp_path: Path) -> None:
    save_decoder(tmp_path / "source", "mistral", 256, sliding_window=64)
    with pytest.raises(ModelError, match="8 to 64 tokens"):
        export_model(tmp_path / "source", tmp_path / "out", template="zerank", max_length=128)


@pytest.mark.parametrize("precision", ["fp16", "int8-block", "int4-block"])
def test_other_precisions_share_the_prefix_too(source: Path, tmp_path: Path, precision: str) -> None:
    report = export_model(source, tmp_path / "out", template="zerank", precision=precision)
    assert report.change is not None
    documents = [text for _, text in all_pairs()[:10]]
    with Engine(tmp_path / "out") as engine:
        assert engine.spec.precision == precision
        shared = engine.logits([("cap", document) for document in documents])
        scored = Decoder(engine.part, share=False).score(make_request("cap", documents), np.arange(10), Counts())
        alone = np.empty(10, np.float32)
        alone[scored.positions] = scored.outputs
    np.testing.assert_allclose(shared, alone, atol=1e-3 if precision == "fp16" else 1e-4, rtol=0)

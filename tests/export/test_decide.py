"""What is decided from a model's files alone: no torch, no weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cascaderank.errors import ModelError
from cascaderank.export.decide import Decision, Options, decide
from cascaderank.export.families import FAMILIES, family_of, segments_of, usable_positions
from cascaderank.export.source import open_source

BERT = {
    "model_type": "bert",
    "architectures": ["BertForSequenceClassification"],
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "pad_token_id": 0,
    "id2label": {"0": "LABEL_0"},
}
XLM_R = {
    **BERT,
    "model_type": "xlm-roberta",
    "architectures": ["XLMRobertaForSequenceClassification"],
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "pad_token_id": 1,
}
ENCODER = {**BERT, "architectures": ["BertModel"]}


def made(
    folder: Path,
    config: dict[str, Any],
    options: Options | None = None,
    *,
    limit: int | None = None,
    modules: list[tuple[str, dict[str, Any]]] | None = None,
    **settings: Any,
) -> Decision:
    """Write a folder that has only its JSON files, and decide."""
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    if settings:
        (folder / "config_sentence_transformers.json").write_text(json.dumps(settings), encoding="utf-8")
    if modules is not None:
        entries = [{"type": "sentence_transformers.models.Transformer", "path": ""}]
        for kind, values in modules:
            (folder / kind).mkdir()
            (folder / kind / "config.json").write_text(json.dumps(values), encoding="utf-8")
            entries.append({"type": f"sentence_transformers.models.{kind}", "path": kind})
        (folder / "modules.json").write_text(json.dumps(entries), encoding="utf-8")
    return decide(open_source(folder), options or Options(), limit)


@pytest.mark.parametrize(
    ("changes", "usable"),
    [
        ({"model_type": "bert", "max_position_embeddings": 512}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 8194, "pad_token_id": 1}, 8192),
        ({"model_type": "roberta", "max_position_embeddings": 514}, 512),
        ({"model_type": "modernbert", "max_position_embeddings": 8192, "pad_token_id": 50283}, 8192),
    ],
)
def test_usable_positions(changes: dict[str, Any], usable: int) -> None:
    assert usable_positions(family_of(changes, "m"), changes, "m") == usable


def test_the_window_is_the_smallest_of_what_the_files_name(tmp_path: Path) -> None:
    for number, (limit, expected) in enumerate(((None, 512), (256, 256), (100_000, 512))):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert made(folder, XLM_R, limit=limit).max_length == expected
    assert made(tmp_path, XLM_R, Options(max_length=300), limit=256).max_length == 300
    with pytest.raises(ModelError, match="max_length 514; this model takes 8 to 512"):
        made(tmp_path, XLM_R, Options(max_length=514))


def test_segments_follow_the_first_separator() -> None:
    bert, xlm_r = FAMILIES[0], FAMILIES[1]
    assert segments_of(bert, BERT, bert.pair) == (0, 0, 0, 1, 1)
    assert segments_of(bert, {**BERT, "type_vocab_size": 1}, bert.pair) == (0, 0, 0, 0, 0)
    assert segments_of(bert, BERT, bert.single) == (0, 0, 0)
    assert segments_of(xlm_r, XLM_R, xlm_r.pair) == (0, 0, 0, 0, 0, 0)


IDENTITY = "torch.nn.modules.linear.Identity"


@pytest.mark.parametrize(
    ("config", "settings", "score"),
    [
        ({}, {}, "sigmoid"),
        ({"sentence_transformers": {"activation_fn": IDENTITY}}, {}, "none"),
        ({"sbert_ce_default_activation_function": IDENTITY}, {}, "none"),
        ({"sbert_ce_default_activation_function": None}, {}, "sigmoid"),
        ({}, {"activation_fn": IDENTITY}, "none"),
        ({}, {"activation_fn": "torch.nn.modules.activation.Sigmoid"}, "sigmoid"),
        (
            {
                "sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"},
                "sbert_ce_default_activation_function": IDENTITY,
            },
            {},
            "sigmoid",
        ),
    ],
)
def test_the_activation_is_the_models_own(
    config: dict[str, Any], settings: dict[str, Any], score: str, tmp_path: Path
) -> None:
    assert made(tmp_path, {**BERT, **config}, **settings).score == score


def test_an_unknown_activation_is_asked_for(tmp_path: Path) -> None:
    settings = {"activation_fn": "torch.nn.modules.activation.Tanh"}
    with pytest.raises(ModelError, match=r"Tanh.*--score"):
        made(tmp_path, BERT, **settings)
    assert made(tmp_path, BERT, Options(score="none"), **settings).score == "none"


@pytest.mark.parametrize(
    ("labels", "columns", "score"), [({"0": "a"}, 1, "sigmoid"), ({"0": "no", "1": "yes"}, 2, "softmax[1]")]
)
def test_labels_become_columns(labels: dict[str, str], columns: int, score: str, tmp_path: Path) -> None:
    decision = made(tmp_path, {**BERT, "id2label": labels})
    assert (decision.columns, decision.score) == (columns, score)


def test_three_labels_are_no_ranking(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="3 labels"):
        made(tmp_path, {**BERT, "id2label": {"0": "a", "1": "b", "2": "c"}})


def test_a_score_that_does_not_fit_the_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"score 'softmax\[1\]' for 1 column.*none, sigmoid"):
        made(tmp_path, BERT, Options(score="softmax[1]"))


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        ({**BERT, "model_type": "longformer"}, Options(), "model_type 'longformer'; supported are bert"),
        (ENCODER, Options(), "--kind"),
        (ENCODER, Options(kind="bi_encoder"), "--pooling"),
        (ENCODER, Options(kind="cross_encoder"), "no classification head"),
        (ENCODER, Options(kind="late_interaction"), "projection"),
        (BERT, Options(kind="bi_encoder"), "files are those of a cross_encoder"),
        (BERT, Options(kind="reranker"), "expected one of cross_encoder, bi_encoder, late_interaction"),
        (ENCODER, Options(kind="bi_encoder", pooling="max"), "pooling 'max'; expected mean, cls or last_token"),
    ],
)
def test_what_cannot_be_decided_names_the_option(
    config: dict[str, Any], options: Options, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message):
        made(tmp_path, config, options)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ([("Pooling", {"pooling_mode": "attention"})], "pooling 'attention' is not supported"),
        ([("Pooling", {"pooling_mode": ["cls", "max"]})], "pooling .*'max'.* is not supported"),
        (
            [("Pooling", {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True})],
            "pooling .*is not supported",
        ),
        ([("Pooling", {"pooling_mode": "mean"}), ("Router", {})], "'Router', which cannot be exported"),
    ],
)
def test_modules_that_are_not_supported_are_named(
    modules: list[tuple[str, dict[str, Any]]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message):
        made(tmp_path, ENCODER, modules=modules)


def test_prompts_are_prefixes_and_options_win(tmp_path: Path) -> None:
    prompts = {"query": "query: ", "passage": "passage: "}
    modules = [("Pooling", {"pooling_mode": "cls"}), ("Normalize", {})]
    decision = made(tmp_path, ENCODER, modules=modules, prompts=prompts)
    assert (decision.query_prefix, decision.document_prefix) == ("query: ", "passage: ")
    assert (decision.pooling, decision.normalize) == ("cls", True)
    other = decide(open_source(tmp_path), Options(query_prefix="", document_prefix="d: "), None)
    assert (other.query_prefix, other.document_prefix) == ("", "d: ")


def test_prompts_for_neither_side_are_asked_for(tmp_path: Path) -> None:
    """e5-mistral names a prompt for each of its tasks; which of them this is for, nobody can read there."""
    prompts = {"web_search_query": "Instruct: find\nQuery: ", "sts_query": "Instruct: compare\nQuery: "}
    modules = [("Pooling", {"pooling_mode": "lasttoken"})]
    config = {**ENCODER, "model_type": "mistral", "architectures": ["MistralModel"]}
    with pytest.raises(ModelError, match=r"prompts for sts_query, web_search_query .* say .*--query-prefix TEXT"):
        made(tmp_path, config, modules=modules, prompts=prompts)
    source = open_source(tmp_path)
    with pytest.raises(ModelError, match="--document-prefix TEXT"):
        decide(source, Options(query_prefix="Query: "), None)
    decision = decide(source, Options(query_prefix="Query: ", document_prefix=""), None)
    assert (decision.query_prefix, decision.document_prefix) == ("Query: ", "")


def test_a_default_prompt_goes_before_both_sides(tmp_path: Path) -> None:
    modules = [("Pooling", {"pooling_mode": "cls"})]
    decision = made(
        tmp_path, ENCODER, modules=modules, prompts={"all": "text: "}, default_prompt_name="all"
    )  # what sentence-transformers does when a caller names no prompt
    assert (decision.query_prefix, decision.document_prefix) == ("text: ", "text: ")


def test_pooling_without_the_prompt_is_refused(tmp_path: Path) -> None:
    modules = [("Pooling", {"pooling_mode": "mean", "include_prompt": False})]
    with pytest.raises(ModelError, match="include_prompt"):
        made(tmp_path, ENCODER, modules=modules, prompts={"query": "q: "})


def test_a_folder_without_config(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json"):
        open_source(tmp_path)

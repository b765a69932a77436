"""Manifests: what is read from a folder, what identifies a model, and each key that is missing or wrong."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from cascaderank.errors import ModelError
from cascaderank.model import find_folder, installed_models, load_spec
from tiny import VOCABULARY, make_cross_encoder, make_encoder, write_manifest


def test_a_cross_encoder(models: Path) -> None:
    spec = load_spec(models / "ce2")
    assert (spec.name, spec.kind, spec.max_length, spec.vocab_size) == ("ce2", "cross_encoder", 32, len(VOCABULARY))
    assert spec.input.pair == ("[CLS]", "$query", "[SEP]", "$document", "[SEP]")
    assert spec.input.segments == (0, 0, 0, 1, 1)
    assert (spec.output.columns, spec.output.score, spec.output.squashed) == (2, "softmax[1]", True)
    assert (spec.precision, spec.batch_invariant, spec.calibration) == ("fp32", True, None)
    assert spec.model_file == models / "ce2" / "model.onnx"
    assert spec.files["model.onnx"] == hashlib.sha256(spec.model_file.read_bytes()).hexdigest()
    assert spec.manifest["source"]["licence"] == "Apache-2.0"


def test_encoders(models: Path) -> None:
    bi, late = load_spec(models / "bi"), load_spec(models / "late")
    assert (bi.output.pooling, bi.output.dimension, bi.output.normalize) == ("mean", 8, True)
    assert bi.input.query == bi.input.document == ("[CLS]", "$text", "[SEP]")
    assert (late.kind, late.output.query_length, late.output.skip_tokens) == ("late_interaction", 0, ())
    assert not late.output.squashed


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"name": "other"}, True),
        ({"source__recipe": "other"}, True),
        ({"max_length": 31}, False),
        ({"input__query_prefix": "query: "}, False),
        ({"input__segments": (0, 0, 0, 0, 0)}, False),
        ({"output__score": "sigmoid"}, False),
    ],
)
def test_the_digest_names_what_decides_a_vector_or_a_token(tmp_path: Path, changes: dict[str, Any], same: bool) -> None:
    plain = load_spec(make_cross_encoder(tmp_path / "m"))
    changed = load_spec(make_cross_encoder(tmp_path / "m", **changes))
    assert (plain.digest == changed.digest) is same


def test_the_digest_follows_the_files_and_not_the_folder(tmp_path: Path) -> None:
    first = load_spec(make_cross_encoder(tmp_path / "a", name="m"))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert load_spec(tmp_path / "b").digest == first.digest
    assert load_spec(make_cross_encoder(tmp_path / "c", graph={"bias": 1.0}, name="m")).digest != first.digest


CROSS = [
    ({"format": None}, "key 'format' is missing"),
    ({"format": 2}, "format 2; this version reads format 1"),
    ({"format": "1"}, "format is '1'"),
    ({"name": None}, "key 'name' is missing"),
    ({"name": 3}, "name is 3, expected a string"),
    ({"max_length": None}, "key 'max_length' is missing"),
    ({"max_length": 0}, "max_length is 0"),
    ({"max_length": 2.5}, "max_length is 2.5"),
    ({"vocab_size": None}, "key 'vocab_size' is missing"),
    ({"vocab_size": -1}, "vocab_size is -1"),
    ({"input__pair": None}, "[input]: key 'pair' is missing"),
    ({"input__pair": "[CLS] $query $document"}, "[input]: pair is"),
    ({"input__pair": ["[CLS]", "$query"]}, "expected $query then $document once each"),
    ({"input__pair": ["$document", "$query"]}, "expected $query then $document once each"),
    ({"input__pair": ["$query", "$document", "$document"]}, "expected $query then $document once each"),
    ({"input__pair": ["$query", "$document", "$title"]}, "expected $query then $document once each"),
    ({"input__segments": (0, 1)}, "2 segments for the 5 entries of pair"),
    ({"input__segments": None}, "segments and names.token_type_ids go together"),
    ({"input__segments": (0, 0, 0, 1, -1)}, "expected a list of segment ids"),
    ({"input__segments": (0, 0, 0, 1, True)}, "expected a list of segment ids"),
    ({"input__segments": 3}, "segments"),
    ({"input__pad_token": None}, "[input]: key 'pad_token' is missing"),
    ({"input__position_offset": -1}, "position_offset is -1"),
    ({"input__query_prefix": 3}, "query_prefix is 3"),
    ({"input__names__input_ids": None}, "expected input_ids and any of"),
    ({"input__names__token_type_ids": None}, "segments and names.token_type_ids go together"),
    ({"input__names__inputs": "x"}, "expected input_ids and any of"),
    ({"input__names__input_ids": 3}, "input_ids is 3, expected a string"),
    ({"output__name": None}, "[output]: key 'name' is missing"),
    ({"output__score": None}, "key 'score' is missing"),
    ({"output__score": "tanh"}, "score is 'tanh', expected one of none, sigmoid, softmax[1], yes-no"),
    ({"output__score": "softmax[1]"}, "score 'softmax[1]' reads 2 column(s), columns is 1"),
    ({"output__columns": 2}, "reads 1 column(s), columns is 2"),
    ({"output__columns": 0}, "columns is 0"),
    ({"precision__weights": None}, "[precision]: key 'weights' is missing"),
    ({"precision__weights": "int4"}, "weights is 'int4', expected one of fp32, fp16, int8"),
    ({"precision__batch_invariant": None}, "key 'batch_invariant' is missing"),
    ({"precision__batch_invariant": 1}, "batch_invariant is 1, expected true or false"),
    ({"precision__layout": "packed"}, "only padded graphs can be run"),
    ({"precision__layout": "ragged"}, "layout is 'ragged'"),
]
ENCODERS = [
    ("bi_encoder", {"output__dimension": None}, "key 'dimension' is missing"),
    ("bi_encoder", {"output__dimension": 0}, "dimension is 0"),
    ("bi_encoder", {"output__pooling": None}, "key 'pooling' is missing"),
    ("bi_encoder", {"output__pooling": "max"}, "pooling is 'max', expected one of mean, cls, last_token, none"),
    ("bi_encoder", {"output__normalize": "yes"}, "normalize is 'yes'"),
    ("bi_encoder", {"input__query": None}, "key 'query' is missing"),
    ("bi_encoder", {"input__document": ["[CLS]"]}, "expected $text once each"),
    ("bi_encoder", {"input__document": ["[CLS]", "$text"]}, "3 segments for the 2 entries of document"),
    ("late_interaction", {"output__query_length": 8}, "query_length 8 pads queries with mask_token; name it"),
    ("late_interaction", {"output__query_length": -1}, "query_length is -1"),
    ("late_interaction", {"output__skip_tokens": ","}, "skip_tokens is ','"),
    ("late_interaction", {"output__attend_to_expansion": 1}, "attend_to_expansion is 1"),
]


@pytest.mark.parametrize(("changes", "message"), CROSS, ids=[message for _, message in CROSS])
def test_a_cross_encoder_s_manifest_is_refused_by_key(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    refused(make_cross_encoder(tmp_path / "m", **changes), message)


@pytest.mark.parametrize(("kind", "changes", "message"), ENCODERS, ids=[message for _, _, message in ENCODERS])
def test_an_encoder_s_manifest_is_refused_by_key(
    tmp_path: Path, kind: str, changes: dict[str, Any], message: str
) -> None:
    refused(make_encoder(tmp_path / "m", kind, **changes), message)


def test_a_kind_nobody_knows(tmp_path: Path) -> None:
    folder = make_cross_encoder(tmp_path / "m")
    text = (folder / "model.toml").read_text()
    (folder / "model.toml").write_text(text.replace('"cross_encoder"', '"reranker"'))
    refused(folder, "kind is 'reranker', expected one of cross_encoder, bi_encoder, late_interaction")


def refused(folder: Path, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        load_spec(folder)
    assert message in str(caught.value)
    assert str(folder / "model.toml") in str(caught.value)


def test_hashes_are_checked_unless_told_otherwise(tmp_path: Path) -> None:
    folder = make_cross_encoder(tmp_path / "m", **{"files__model.onnx": "0" * 64})
    with pytest.raises(ModelError, match="sha256"):
        load_spec(folder)
    assert load_spec(folder, verify=False).files["model.onnx"] == "0" * 64


def test_folders_are_found_by_path_and_from_a_base(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_folder(models / "ce") == models / "ce"
    assert find_folder(str(models / "ce"), base=tmp_path) == models / "ce"
    assert find_folder("ce", base=models) == models / "ce"
    assert find_folder("../ce", base=models / "bi").resolve() == (models / "ce").resolve()
    monkeypatch.chdir(models)
    assert load_spec(find_folder("ce")).name == "ce"


def test_a_name_nobody_knows_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'no-such-model'") as caught:
        find_folder("no-such-model", base=tmp_path)
    for name in installed_models():
        assert name in str(caught.value)


def test_installed_models_are_model_folders() -> None:
    for name, folder in installed_models().items():
        assert load_spec(folder).name == name
        assert find_folder(name) == folder


def test_a_manifest_written_again_reads_again(tmp_path: Path) -> None:
    folder = make_cross_encoder(tmp_path / "m")
    write_manifest(folder, "cross_encoder", max_length=16)
    assert load_spec(folder).max_length == 16

"""Model folders that cannot be trusted or run: refused when the cascade is made, naming the folder and what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from onnx import TensorProto

from cascaderank import Cascade, ModelError, Stage
from graphs import make_external, make_misfit
from tiny import make_cross_encoder, make_encoder, write_manifest, write_tokenizer

INT64, FLOAT, INT32 = TensorProto.INT64, TensorProto.FLOAT, TensorProto.INT32
NAMES = ("input_ids", "attention_mask", "token_type_ids")


def refused(folder: Path, match: str) -> None:
    with pytest.raises(ModelError, match=f"(?s){match}") as caught:
        Cascade([Stage(folder, keep=1)]).close()
    assert str(folder) in str(caught.value)


def copy(models: Path, tmp_path: Path, name: str = "ce") -> Path:
    return Path(shutil.copytree(models / name, tmp_path / "model"))


def test_a_folder_without_a_manifest(models: Path, tmp_path: Path) -> None:
    folder = copy(models, tmp_path)
    (folder / "model.toml").unlink()
    refused(folder, r"no model\.toml; .*cascaderank export")


@pytest.mark.parametrize("content", [b"[[", b"\xff\xfe", b"format = 1"])
def test_a_manifest_that_is_none(models: Path, tmp_path: Path, content: bytes) -> None:
    folder = copy(models, tmp_path)
    (folder / "model.toml").write_bytes(content)
    refused(folder, "not valid TOML|is missing")


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_wrong_hash(models: Path, tmp_path: Path, name: str) -> None:
    folder = copy(models, tmp_path)
    with (folder / name).open("ab") as stream:
        stream.write(b" ")
    refused(folder, f"{name}: sha256 .* is not the .*re-export")


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_file_that_is_missing(models: Path, tmp_path: Path, name: str) -> None:
    folder = copy(models, tmp_path)
    (folder / name).unlink()
    refused(folder, f"{name}: listed in model.toml but missing")


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_file_the_manifest_does_not_list(tmp_path: Path, name: str) -> None:
    folder = make_cross_encoder(tmp_path / "model")
    write_manifest(folder, "cross_encoder", **{f"files__{name}": None})
    refused(folder, f"files lists no '{name}'")


def test_a_file_outside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(b"1")
    folder = make_cross_encoder(tmp_path / "model", **{"files__../secret.bin": "0" * 64})
    refused(folder, "outside the folder")


def test_a_tokenizer_that_does_not_fit_the_vocabulary(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    make_cross_encoder(folder)
    write_tokenizer(folder / "tokenizer.json", extra=["more"])
    write_manifest(folder, "cross_encoder")
    refused(folder, "tokenizer.json has ids up to 26, the model has embeddings for 26")


def test_one_tokenizer_under_two_vocabularies(tmp_path: Path) -> None:
    """The file is shared between stages, so it is checked for each model that uses it."""
    fits = make_cross_encoder(tmp_path / "fits")
    small = make_cross_encoder(tmp_path / "small", vocab_size=20)
    for folders in ((fits, small), (small, fits)):
        with pytest.raises(ModelError, match=r"small: tokenizer\.json has ids up to 25"):
            Cascade([Stage(folder, keep=1) for folder in folders])


@pytest.mark.parametrize("content", ["", "{}", "[1, 2]", '{"model": 3}'])
def test_a_tokenizer_file_that_is_none(tmp_path: Path, content: str) -> None:
    folder = make_cross_encoder(tmp_path / "model")
    (folder / "tokenizer.json").write_text(content)
    write_manifest(folder, "cross_encoder")
    refused(folder, r"tokenizer\.json: not a tokenizer file")


@pytest.mark.parametrize("key", ["input__pair", "input__pad_token"])
def test_a_token_the_tokenizer_does_not_know(tmp_path: Path, key: str) -> None:
    value = ["[BOS]", "$query", "[SEP]", "$document", "[SEP]"] if key == "input__pair" else "[BOS]"
    refused(make_cross_encoder(tmp_path / "model", **{key: value}), r"'\[BOS\]' is not in the vocabulary")


@pytest.mark.parametrize(
    "key", [{"output__skip_tokens": ["!"]}, {"output__query_length": 8, "output__mask_token": "[M]"}]
)
def test_a_late_interaction_token_the_tokenizer_does_not_know(tmp_path: Path, key: dict) -> None:
    refused(make_encoder(tmp_path / "model", "late_interaction", **key), "is not in the vocabulary")


@pytest.mark.parametrize("length", [1, 3, 4])
def test_a_window_without_room_for_a_query(tmp_path: Path, length: int) -> None:
    """Three special tokens, one of the query, one of the document: five at least."""
    refused(make_cross_encoder(tmp_path / "model", max_length=length), "max_length")


def test_a_query_length_without_room_for_a_query(tmp_path: Path) -> None:
    expanded = {"output__query_length": 2, "output__mask_token": "[MASK]"}
    refused(make_encoder(tmp_path / "model", "late_interaction", **expanded), "query_length 2 leaves no room")


# Graphs


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_graph(models: Path, tmp_path: Path, kept: float) -> None:
    folder = copy(models, tmp_path)
    whole = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    write_manifest(folder, "cross_encoder")
    refused(folder, r"model\.onnx: ")


@pytest.mark.parametrize("content", [b"not onnx at all", b"\x00" * 5000, bytes(range(256)) * 20])
def test_a_corrupt_graph(models: Path, tmp_path: Path, content: bytes) -> None:
    folder = copy(models, tmp_path)
    (folder / "model.onnx").write_bytes(content)
    write_manifest(folder, "cross_encoder")
    refused(folder, r"model\.onnx: ONNX Runtime .* cannot load it")


def test_external_data_that_is_listed(tmp_path: Path) -> None:
    with Cascade([Stage(make_external(tmp_path / "model"), keep=2)]) as cascade:
        assert cascade.rank("red cat", ["dog", "red cat"])[0].score == pytest.approx(1.0)


def test_external_data_that_is_not_listed(tmp_path: Path) -> None:
    """Weights nobody hashed are not read, even when they lie beside the graph."""
    refused(make_external(tmp_path / "model", listed=False), r"must be listed under \[files\]")


def test_external_data_that_is_missing_or_changed(tmp_path: Path) -> None:
    folder = make_external(tmp_path / "model")
    weights = (folder / "weights.bin").read_bytes()
    (folder / "weights.bin").write_bytes(b"\x01" + weights[1:])
    refused(folder, r"weights\.bin: sha256")
    (folder / "weights.bin").unlink()
    refused(folder, r"weights\.bin: listed in model.toml but missing")


def test_external_data_cut_short(tmp_path: Path) -> None:
    folder = make_external(tmp_path / "model")
    weights = (folder / "weights.bin").read_bytes()
    (folder / "weights.bin").write_bytes(weights[:16])
    write_manifest(folder, "bi_encoder")
    refused(folder, "cannot load it")


@pytest.mark.parametrize(
    ("inputs", "match"),
    [
        ({"ids": (INT64, 2), **dict.fromkeys(NAMES[1:], (INT64, 2))}, r"graph inputs are .*'ids'.*\[input.names\]"),
        (dict.fromkeys(NAMES[:2], (INT64, 2)), "graph inputs are .*token_type_ids"),
        ({**dict.fromkeys(NAMES, (INT64, 2)), "position_ids": (INT64, 2)}, "graph inputs are .*position_ids"),
        ({"input_ids": (INT32, 2), **dict.fromkeys(NAMES[1:], (INT64, 2))}, r"'input_ids' is tensor\(int32\)"),
        ({**dict.fromkeys(NAMES[:2], (INT64, 2)), NAMES[2]: (FLOAT, 2)}, r"'token_type_ids' is tensor\(float\)"),
        ({"input_ids": (INT64, 1), **dict.fromkeys(NAMES[1:], (INT64, 2))}, "'input_ids' is .* of rank 1"),
        ({"input_ids": (INT64, 3), **dict.fromkeys(NAMES[1:], (INT64, 2))}, "'input_ids' is .* of rank 3"),
    ],
    ids=["name", "missing", "unnamed", "dtype", "dtype of another", "rank 1", "rank 3"],
)
def test_inputs_that_do_not_fit(tmp_path: Path, inputs: dict, match: str) -> None:
    refused(make_misfit(tmp_path / "model", inputs=inputs), match)


@pytest.mark.parametrize(
    ("output", "match"),
    [
        ({"output": "scores"}, r"no output 'logits'; the graph has \['scores'\]"),
        ({"output_type": TensorProto.DOUBLE}, r"'logits' is tensor\(double\)"),
        ({"output_type": TensorProto.FLOAT16}, r"'logits' is tensor\(float16\)"),
        ({"output_shape": ("batch",)}, r"expected \[batch, columns\]"),
        ({"output_shape": ("batch", "length", 1)}, r"expected \[batch, columns\]"),
        ({"output_shape": ("batch", 2)}, "last dimension of 1"),
        ({"output_shape": ("batch", 5)}, "last dimension of 1"),
    ],
    ids=["missing", "double", "half", "rank 1", "rank 3", "2 columns", "5 columns"],
)
def test_an_output_that_does_not_fit(tmp_path: Path, output: dict, match: str) -> None:
    refused(make_misfit(tmp_path / "model", **output), match)


def test_a_fitting_graph_of_the_same_kind_loads(tmp_path: Path) -> None:
    """The tests above would pass on any broken graph; this one is not."""
    with Cascade([Stage(make_misfit(tmp_path / "model"), keep=1)]) as cascade:
        assert cascade.models[0].name == "model"


@pytest.mark.parametrize("dimension", [7, 16])
def test_an_encoder_of_another_dimension(tmp_path: Path, dimension: int) -> None:
    refused(make_encoder(tmp_path / "model", output__dimension=dimension), f"last dimension of {dimension}")


def test_an_encoder_that_says_it_is_pooled(tmp_path: Path) -> None:
    refused(make_encoder(tmp_path / "model", output__pooling="none"), r"expected \[batch, dimension\]")

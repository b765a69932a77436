"""Synthetic models whose scores can be computed by hand, written as real model folders.

The vocabulary is BERT's special tokens plus ``WORDS``; every word is one token. Scores:
    cross-encoder      how many (query token, document token) pairs are equal, plus ``bias``
    encoder            token vectors are rows of ``table(dimension)``, whatever their neighbours
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[Q]", "[D]", "<s>", "</s>", "<pad>")
WORDS = (
    "red",
    "green",
    "blue",
    "cat",
    "dog",
    "fish",
    "one",
    "two",
    "three",
    "query",
    ":",
    "passage",
    "sep",
    "[",
    "]",
    ",",
)
VOCABULARY = {token: number for number, token in enumerate((*SPECIAL, *WORDS))}
PAIR = ("[CLS]", "$query", "[SEP]", "$document", "[SEP]")


def ids(text: str) -> list[int]:
    """Token ids of a text of known words, by hand."""
    return [VOCABULARY.get(word, VOCABULARY["[UNK]"]) for word in text.lower().split()]


def write_tokenizer(path: Path, extra: Sequence[str] = ()) -> None:
    vocabulary = dict(VOCABULARY)
    for token in extra:
        vocabulary[token] = len(vocabulary)
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=50))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.save(str(path))


def table(dimension: int) -> np.ndarray:
    """Embedding rows float32 ``[vocabulary, dimension]``: fixed, distinct, of mixed sign."""
    generator = np.random.default_rng(7)
    return generator.standard_normal((len(VOCABULARY), dimension)).astype(np.float32)


def _constant(name: str, value: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(value, name)


def _input(name: str, kind: int = TensorProto.INT64, rank: int = 2) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, ["batch", "length", "extra"][:rank])


def _save(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: list[Any]) -> None:
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def cross_encoder_graph(
    path: Path, *, columns: int = 1, bias: float = 0.0, scale: float = 1.0, positions: bool = False, nan_word: str = ""
) -> None:
    """Counts equal (query, document) token pairs; segments tell the two apart, so wrong segment ids change the score.

    Two columns are ``[-logit, +logit] / 2``. ``nan_word`` in the document makes the output NaN. With ``positions`` the
    graph takes position_ids and adds the smallest of each row times 100, so a wrong position base shows.
    """
    node = helper.make_node
    nodes = [
        node("Cast", ["token_type_ids"], ["type"], to=TensorProto.FLOAT),
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("Mul", ["type", "mask"], ["is_document"]),
        node("Sub", ["mask", "is_document"], ["is_query"]),
        node("Unsqueeze", ["input_ids", "axis2"], ["rows"]),
        node("Unsqueeze", ["input_ids", "axis1"], ["columns_"]),
        node("Equal", ["rows", "columns_"], ["equal_bool"]),
        node("Cast", ["equal_bool"], ["equal"], to=TensorProto.FLOAT),
        node("Greater", ["input_ids", "last_special"], ["word_bool"]),
        node("Cast", ["word_bool"], ["word"], to=TensorProto.FLOAT),
        node("Mul", ["is_query", "word"], ["query_word"]),
        node("Mul", ["is_document", "word"], ["document_word"]),
        node("Unsqueeze", ["query_word", "axis2"], ["query_column"]),
        node("Unsqueeze", ["document_word", "axis1"], ["document_row"]),
        node("Mul", ["query_column", "document_row"], ["across"]),
        node("Mul", ["across", "equal"], ["matches"]),
        node("ReduceSum", ["matches", "axes12"], ["count"], keepdims=0),
        node("Mul", ["count", "scale"], ["scaled"]),
        node("Add", ["scaled", "bias"], ["biased"]),
        node("Equal", ["input_ids", "nan_id"], ["is_nan_word"]),
        node("Cast", ["is_nan_word"], ["nan_word"], to=TensorProto.FLOAT),
        node("ReduceSum", ["nan_word", "axis1"], ["nan_count"], keepdims=0),
        node("Div", ["nan_count", "nan_count"], ["nan_or_one"]),
        node("Greater", ["nan_count", "zero"], ["has_nan"]),
        node("Div", ["zero", "zero"], ["nan"]),
        node("Where", ["has_nan", "nan", "biased"], ["flat"]),
    ]
    inputs = [_input("input_ids"), _input("attention_mask"), _input("token_type_ids")]
    source = "flat"
    if positions:
        inputs.append(_input("position_ids"))
        nodes += [
            node("ReduceMin", ["position_ids"], ["first_position"], axes=[1], keepdims=0),
            node("Cast", ["first_position"], ["base"], to=TensorProto.FLOAT),
            node("Mul", ["base", "hundred"], ["base100"]),
            node("Add", ["flat", "base100"], ["with_base"]),
        ]
        source = "with_base"
    nodes.append(node("Unsqueeze", [source, "axis1"], ["logit"]))
    if columns == 2:
        nodes += [
            node("Mul", ["logit", "half"], ["yes"]),
            node("Neg", ["yes"], ["no"]),
            node("Concat", ["no", "yes"], ["logits"], axis=1),
        ]
    else:
        nodes.append(node("Identity", ["logit"], ["logits"]))
    nodes = [item for item in nodes if item.output[0] != "nan_or_one"]
    constants = [
        _constant("axis1", np.array([1])),
        _constant("axis2", np.array([2])),
        _constant("axes12", np.array([1, 2])),
        _constant("last_special", np.array(len(SPECIAL) - 1)),
        _constant("scale", np.array(scale, np.float32)),
        _constant("bias", np.array(bias, np.float32)),
        _constant("half", np.array(0.5, np.float32)),
        _constant("hundred", np.array(100.0, np.float32)),
        _constant("zero", np.array(0.0, np.float32)),
        _constant("nan_id", np.array(VOCABULARY[nan_word] if nan_word else -1)),
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", columns])
    _save(path, nodes, inputs, [output], constants)


def encoder_graph(path: Path, dimension: int = 8, *, segments: bool = True) -> None:
    """Token vectors are embedding rows: [batch, length, dimension]. The mask is read, so that the input exists."""
    node = helper.make_node
    nodes = [
        node("Gather", ["table", "input_ids"], ["hidden"]),
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["mask", "axis2"], ["mask3"]),
        node("Mul", ["mask3", "zero"], ["nothing"]),
        node("Add", ["hidden", "nothing"], ["sum"]),
    ]
    inputs = [_input("input_ids"), _input("attention_mask")]
    source = "sum"
    if segments:
        inputs.append(_input("token_type_ids"))
        nodes += [
            node("Cast", ["token_type_ids"], ["type"], to=TensorProto.FLOAT),
            node("Unsqueeze", ["type", "axis2"], ["type3"]),
            node("Add", ["sum", "type3"], ["typed"]),
        ]
        source = "typed"
    nodes.append(node("Identity", [source], ["last_hidden_state"]))
    constants = [
        _constant("table", table(dimension)),
        _constant("axis2", np.array([2])),
        _constant("zero", np.array(0.0, np.float32)),
    ]
    output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "length", dimension])
    _save(path, nodes, inputs, [output], constants)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return repr(value)


def write_manifest(folder: Path, kind: str, **changes: Any) -> Path:
    """Write model.toml beside model.onnx and tokenizer.json. ``changes`` override keys as ``section__key``; None
    removes one."""
    names = {"input_ids": "input_ids", "attention_mask": "attention_mask", "token_type_ids": "token_type_ids"}
    sections: dict[str, dict[str, Any]] = {
        "": {"format": 1, "kind": kind, "name": folder.name, "max_length": 32, "vocab_size": len(VOCABULARY)},
        "source": {"model": "synthetic", "recipe": "tests/tiny.py", "licence": "Apache-2.0", "data": []},
        "files": {
            item.name: hashlib.sha256(item.read_bytes()).hexdigest()
            for item in sorted(folder.iterdir())
            if item.name != "model.toml"
        },
        "input": {"pad_token": "[PAD]"},
        "input.names": dict(names),
        "output": {},
        "precision": {"weights": "fp32", "method": "none", "layout": "padded", "batch_invariant": True},
    }
    if kind == "cross_encoder":
        sections["input"] |= {"pair": PAIR, "segments": (0, 0, 0, 1, 1)}
        sections["output"] = {"name": "logits", "columns": 1, "score": "none"}
    elif kind == "decoder":
        sections["output"] = {"name": "logits", "columns": 1, "score": "none"}
    else:
        single = ("[CLS]", "$text", "[SEP]")
        sections["input"] |= {"query": single, "document": single, "segments": (0, 0, 0)}
        sections["output"] = {"name": "last_hidden_state", "dimension": 8, "normalize": True}
        if kind == "bi_encoder":
            sections["output"]["pooling"] = "mean"
    for name, value in changes.items():
        section, _, key = name.rpartition("__")
        section = section.replace("__", ".")
        if value is None:
            sections[section].pop(key)
        else:
            sections.setdefault(section, {})[key] = value
    lines: list[str] = []
    for section, table_ in sections.items():
        lines += [f"[{section}]"] if section else []
        lines += [f'"{key}" = {_toml(value)}' for key, value in table_.items()]
    (folder / "model.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def make_cross_encoder(folder: Path, *, graph: dict[str, Any] | None = None, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    options = dict(graph or {})
    cross_encoder_graph(folder / "model.onnx", **options)
    write_tokenizer(folder / "tokenizer.json")
    if options.get("columns") == 2:
        changes = {"output__columns": 2, "output__score": "softmax[1]", **changes}
    if options.get("positions"):
        changes = {"input__names__position_ids": "position_ids", **changes}
    return write_manifest(folder, "cross_encoder", **changes)


def make_encoder(folder: Path, kind: str = "bi_encoder", *, segments: bool = True, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    encoder_graph(folder / "model.onnx", segments=segments)
    write_tokenizer(folder / "tokenizer.json")
    if not segments:
        changes = {"input__segments": None, "input__names__token_type_ids": None, **changes}
    return write_manifest(folder, kind, **changes)

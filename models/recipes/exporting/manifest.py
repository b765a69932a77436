"""The one place that writes a model folder: tokenizer.json, then model.toml with the hash of every other file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w
from tokenizers import Tokenizer

SEGMENTED = {"input_ids": "input_ids", "attention_mask": "attention_mask", "token_type_ids": "token_type_ids"}
PREFIXES = {"query_prefix": "", "document_prefix": "", "pad_token": "[PAD]", "position_offset": 0}
PAIR_INPUT: dict[str, Any] = {
    "pair": ["[CLS]", "$query", "[SEP]", "$document", "[SEP]"],
    "segments": [0, 0, 0, 1, 1],
    **PREFIXES,
    "names": SEGMENTED,
}
TEXT_INPUT: dict[str, Any] = {
    "query": ["[CLS]", "$text", "[SEP]"],
    "document": ["[CLS]", "$text", "[SEP]"],
    "segments": [0, 0, 0],
    **PREFIXES,
    "names": SEGMENTED,
}


def write_folder(folder: Path, tokenizer: Tokenizer, manifest: Mapping[str, Any]) -> None:
    """Write tokenizer.json and model.toml beside a finished model.onnx; `[files]` is filled in here."""
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=False), encoding="utf-8")
    names = ("model.onnx", "tokenizer.json")
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    table = {key: value for key, value in manifest.items() if not isinstance(value, Mapping)}
    sections = {key: value for key, value in manifest.items() if isinstance(value, Mapping)}
    ordered = {"source": sections.pop("source"), "files": hashes, **sections}
    (folder / "model.toml").write_text(tomli_w.dumps({"format": 1, **table, **ordered}), encoding="utf-8")

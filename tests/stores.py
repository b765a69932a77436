"""Stores without models: documents whose tokens and vectors follow from their texts, and a store's content as plain
values to compare."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from cascaderank.kernels import Ragged
from cascaderank.store import Part, Schema, Store, TokenVectors, checksums

DIMENSION = 6
LATE = 4


def schema(precision: str = "fp32", **changes: Any) -> Schema:
    """One tokenizer with few tokens and one with many, a bi-encoder and a late-interaction model."""
    parts = {
        "tokens": {"few": "uint16", "many": "int32"},
        "vectors": {"bi": DIMENSION},
        "token_vectors": {"late": LATE},
        "models": {"bi": "the bi-encoder", "late": "the late one"},
    }
    return Schema(precision, **{**parts, **changes})


def _vectors(text: str, rows: int, dimension: int) -> np.ndarray:
    generator = np.random.default_rng(zlib.crc32(text.encode()))
    vectors = generator.standard_normal((rows, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def part_of(documents: Mapping[str, str]) -> Part:
    """Tokens are the text's bytes (plus 100000 for the tokenizer with many), a token vector for each and one more."""
    texts = list(documents.values())
    raw = [text.encode() for text in texts]
    offsets = np.concatenate([[0], np.cumsum([len(item) for item in raw], dtype=np.int64)])
    few = np.frombuffer(b"".join(raw), np.uint8).astype(np.int64)
    late = [_vectors(text, len(item) + 1, LATE) for text, item in zip(texts, raw, strict=True)]
    return Part(
        list(documents),
        checksums(texts),
        {"few": Ragged(few, offsets), "many": Ragged(few + 100_000, offsets)},
        {"bi": np.concatenate([np.empty((0, DIMENSION), np.float32), *(_vectors(t, 1, DIMENSION) for t in texts)])},
        {
            "late": TokenVectors(
                np.concatenate([np.empty((0, LATE), np.float32), *late]), offsets + np.arange(len(offsets))
            )
        },
    )


def in_memory(documents: Mapping[str, str], precision: str = "fp32") -> Store:
    return Store.of(schema(precision), [part_of(documents)])


def content(store: Store) -> dict[str, tuple[Any, ...]]:
    """Everything the store gives for each of its ids, in any order of rows."""
    ids = list(store.ids)
    rows = store.find(ids)
    sums = store.checksums_of(rows).tolist()
    texts: dict[str, list[list[int]]] = {name: [] for name in ids}
    for key in store.schema.tokens:
        found, positions = store.tokens(key, rows)
        assert sorted(positions.tolist()) == list(range(len(ids)))
        for text, position in enumerate(positions.tolist()):
            texts[ids[position]].append(found.ids[found.cu_seqlens[text] : found.cu_seqlens[text + 1]].tolist())
    query = np.linspace(-1, 1, 2 * LATE, dtype=np.float32).reshape(2, LATE)
    vectors = store.vectors("bi", rows).tolist()
    dots = store.dot("bi", np.linspace(-1, 1, DIMENSION, dtype=np.float32), rows).tolist()
    late = store.maxsim("late", query, rows, False).tolist()
    return {name: (sums[i], texts[name], vectors[i], dots[i], late[i]) for i, name in enumerate(ids)}


def documents_of(count: int, start: int = 0, word: str = "text") -> dict[str, str]:
    return {f"d{number}": f"{word} {number}" * (number % 4) for number in range(start, start + count)}

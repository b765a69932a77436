"""Every function of the extension with arguments as they should be: what the boundary tests spoil and count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cascaderank import _core  # noqa: TID251  the boundary is under test

Call = dict[str, Any]


def int64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def form() -> _core.Template:
    return _core.Template([101, _core.QUERY, 102, _core.DOCUMENT, 102], [0, 0, 0, 1, 1], 0, 0, 16)


def fusion() -> _core.Fusion:
    return _core.Fusion("last", "z-score", 60.0, [], [])


def pool(collected: bool = False) -> _core.Pool:
    made = _core.Pool()
    made.reset(2, None, 1, fusion())
    if collected:
        made.collect(0, int64(0, 1), np.ones(2, np.float32), 1)
    return made


def vocabulary() -> Call:
    """Entries [UNK], red and ##s."""
    return {
        "pieces": b"[UNK]red##s",
        "cu_pieces": int64(0, 5, 8, 11),
        "ids": int64(0, 1, 2),
        "unknown": 0,
        "continuation": "##",
        "max_characters": 100,
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": True,
        "lowercase": True,
    }


TEXTS = {"ids": int64(5, 6, 7), "cu_seqlens": int64(0, 1, 3), "rows": int64(1, 0)}
FLOATS = np.arange(12, dtype=np.float32)


def fill() -> Call:
    return {
        "query": int64(9, 8),
        **{name: array.copy() for name, array in TEXTS.items()},
        "lengths": int64(7, 6),
        "form": form(),
        "order": int64(0, 1),
        "bounds": int64(0, 1, 2),
        "widths": int64(7, 6),
        "packed": False,
        **{name: np.zeros(13, np.int64) for name in ("input_ids", "attention_mask", "token_type_ids", "position_ids")},
    }


def stored_ids(dtype: type[np.generic]) -> Call:
    return {"ids": np.arange(5, 11).astype(dtype), "cu_seqlens": int64(0, 2, 6), "rows": int64(1, 0)}


def strings() -> Call:
    return {"ids": np.frombuffer(b"lruheapqatexit", np.uint8).copy(), "cu_bytes": int64(0, 3, 8, 14)}


def id_table() -> np.ndarray:
    table = np.zeros(_core.id_table_size(3), np.int64)
    _core.index_ids(**strings(), table=table)
    return table


def late(**documents: np.ndarray) -> Call:
    return {
        "query": FLOATS[:8].copy().reshape(2, 4),
        "query_mask": int64(1, 1),
        **documents,
        "document_mask": int64(1, 1, 1),
        "cu_seqlens": int64(0, 1, 3),
        "rows": int64(0, 1),
        "length_normalize": False,
        "out": np.zeros(2, np.float32),
    }


# name -> (function, arguments as they should be, names of the arrays that are written)
CALLS: dict[str, tuple[Callable[..., Any], Callable[[], Call], tuple[str, ...]]] = {
    "sequence_lengths": (
        _core.sequence_lengths,
        lambda: {
            **{name: array.copy() for name, array in TEXTS.items()},
            "query_length": 1,
            "form": form(),
            "lengths": np.zeros(2, np.int64),
        },
        ("lengths",),
    ),
    "plan_batches": (
        _core.plan_batches,
        lambda: {
            "lengths": int64(3, 5),
            "token_budget": 16,
            "max_rows": 4,
            "window": 4,
            "width_multiple": 1,
            "packed": False,
            "order": np.zeros(2, np.int64),
            "bounds": np.zeros(3, np.int64),
            "widths": np.zeros(2, np.int64),
        },
        ("order", "bounds", "widths"),
    ),
    "fill_batches": (_core.fill_batches, fill, ("input_ids", "attention_mask", "token_type_ids", "position_ids")),
    "gather_ids_uint16": (
        _core.gather_ids_uint16,
        lambda: {**stored_ids(np.uint16), "out": np.zeros(6, np.int64)},
        ("out",),
    ),
    "gather_ids_int32": (
        _core.gather_ids_int32,
        lambda: {**stored_ids(np.int32), "out": np.zeros(6, np.int64)},
        ("out",),
    ),
    "id_table_size": (_core.id_table_size, lambda: {"count": 3}, ()),
    "index_ids": (_core.index_ids, lambda: {**strings(), "table": np.zeros(8, np.int64)}, ("table",)),
    "find_ids": (
        _core.find_ids,
        lambda: {
            **strings(),
            "table": id_table(),
            "wanted": np.frombuffer(b"heapqatexits", np.uint8).copy(),
            "cu_wanted": int64(0, 5, 12),
            "out": np.zeros(2, np.int64),
        },
        ("out",),
    ),
    "dot_rows_fp16": (
        _core.dot_rows_fp16,
        lambda: {
            "query": FLOATS[:4].copy(),
            "matrix": FLOATS.astype(np.float16).view(np.uint16).reshape(3, 4),
            "rows": int64(2, 0),
            "out": np.zeros(2, np.float32),
        },
        ("out",),
    ),
    "dot_rows_int8": (
        _core.dot_rows_int8,
        lambda: {
            "query": FLOATS[:4].copy(),
            "matrix": FLOATS.astype(np.int8).reshape(3, 4),
            "scales": np.ones(3, np.float32),
            "rows": int64(2, 0),
            "out": np.zeros(2, np.float32),
        },
        ("out",),
    ),
    "maxsim_fp16": (
        _core.maxsim_fp16,
        lambda: late(documents=FLOATS.astype(np.float16).view(np.uint16).reshape(3, 4)),
        ("out",),
    ),
    "maxsim_int8": (
        _core.maxsim_int8,
        lambda: late(documents=FLOATS.astype(np.int8).reshape(3, 4), scales=np.ones(3, np.float32)),
        ("out",),
    ),
    "topk": (_core.topk, lambda: {"scores": FLOATS.copy(), "out": np.zeros(2, np.int64)}, ("out",)),
    "pool_embeddings": (
        _core.pool_embeddings,
        lambda: {
            "hidden": FLOATS.copy().reshape(2, 3, 2),
            "mask": np.ones((2, 3), np.int64),
            "pooling": "mean",
            "normalize": True,
            "out": np.zeros((2, 2), np.float32),
        },
        ("out",),
    ),
    "normalize_rows": (_core.normalize_rows, lambda: {"matrix": FLOATS.copy().reshape(3, 4)}, ("matrix",)),
    "dot_rows": (
        _core.dot_rows,
        lambda: {
            "query": FLOATS[:4].copy(),
            "matrix": FLOATS.copy().reshape(3, 4),
            "rows": int64(2, 0),
            "out": np.zeros(2, np.float32),
        },
        ("out",),
    ),
    "gather_tokens": (
        _core.gather_tokens,
        lambda: {
            "hidden": FLOATS.copy().reshape(2, 3, 2),
            "keep": np.array([[1, 0, 1], [1, 0, 0]], np.int64),
            "normalize": False,
            "out": np.zeros((3, 2), np.float32),
            "cu_out": np.zeros(3, np.int64),
        },
        ("out", "cu_out"),
    ),
    "maxsim": (
        _core.maxsim,
        lambda: {
            "query": FLOATS[:4].copy().reshape(2, 2),
            "query_mask": int64(1, 1),
            "documents": FLOATS[:6].copy().reshape(3, 2),
            "document_mask": int64(1, 1, 1),
            "cu_seqlens": int64(0, 1, 3),
            "rows": int64(0, 1),
            "length_normalize": False,
            "out": np.zeros(2, np.float32),
        },
        ("out",),
    ),
    "Calibration.write_log_odds": (
        lambda **call: _core.Calibration(1.0, 2.0, 0.5, [], []).write_log_odds(**call),
        lambda: {"logits": FLOATS[:3].copy(), "out": np.zeros(3, np.float64)},
        ("out",),
    ),
    "explore": (
        _core.explore,
        lambda: {
            "cu_candidates": int64(0, 2, 3, 4),
            "first_scores": FLOATS[:4].copy(),
            "logits": FLOATS.copy().reshape(3, 4),
            "gains": FLOATS[:4].copy(),
            "ideal": FLOATS[1:4].copy(),
            "cost": FLOATS.copy().reshape(3, 4),
            "fixed": FLOATS[:3].copy(),
            "least_gain": 1.0,
            "fusion": fusion(),
            "depth": 10,
            "keeps": np.array([[0, 0, 0], [1, 1, 0], [2, 1, 1]], np.int64),
            **{name: np.ones((3, 3), np.float32) for name in ("min_logits", "margins", "masses")},
            "temperatures": FLOATS[1:4].copy(),
            **{name: np.zeros((3, 3), np.float32) for name in ("ndcg", "recall", "ms")},
            "pairs": np.zeros((3, 3, 3), np.int64),
        },
        ("ndcg", "recall", "ms", "pairs"),
    ),
    "text_bytes": (_core.text_bytes, lambda: {"texts": ["red", "é"]}, ()),
    "WordPiece.__init__": (lambda **call: _core.WordPiece(**call), vocabulary, ()),
    "WordPiece.encode": (
        lambda **call: _core.WordPiece(**vocabulary()).encode(**call),
        lambda: {
            "texts": ["Reds", "é"],
            "threads": 2,
            "ids": np.zeros(6, np.int64),
            "cu_seqlens": np.zeros(3, np.int64),
        },
        ("ids", "cu_seqlens"),
    ),
    "Pool.reset": (
        lambda **call: pool().reset(**call),
        lambda: {"size": 2, "first_scores": np.ones(2, np.float32), "stages": 1, "fusion": fusion()},
        (),
    ),
    "Pool.collect": (
        lambda **call: pool().collect(**call),
        lambda: {"stage": 0, "positions": int64(0, 1), "outputs": np.ones(2, np.float32), "columns": 1},
        (),
    ),
}

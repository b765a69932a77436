"""Dot products with stored vectors: 1000 rows of 384 dimensions gathered from many, kept in 32, 16 and 8 bits.

Rivals are NumPy and, where installed, SimSIMD and USearch. None of them reads scattered rows of another matrix, so each
gathers them first, as its users have to; what they take of contiguous rows alone is a case of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from kernel_case import Call, Case

from cascaderank.kernels import Int8Rows, VectorRows, dot_rows
from cascaderank.store.columns import narrow

_KEPT = 50_000  # the rows asked for are the same in every call, so they stay in a cache; store_speed.py draws anew
_ROWS = 1000
_DIMENSION = 384


def stored_cases(random: np.random.Generator) -> list[Case]:
    matrix = random.standard_normal((_KEPT, _DIMENSION)).astype(np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    query = matrix[0] + 0.5 * matrix[1]
    query /= np.linalg.norm(query)
    rows = random.choice(_KEPT, _ROWS, replace=False)
    first = np.arange(_ROWS)
    halves = narrow(matrix, "fp16")
    bytes_ = narrow(matrix, "int8")
    return [
        _case("1000 of 50000 x 384, fp32", matrix, query, rows, 1e-5, wanted=1.0),
        _case("1000 of 50000 x 384, fp16", halves, query, rows, 2e-3, wanted=1.0),
        _case("1000 of 50000 x 384, int8", bytes_, query, rows, 1e-2, wanted=1.0),
        _case("1000 rows in order, fp32", matrix[:_ROWS].copy(), query, first, 1e-5),
    ]


def _case(
    name: str, kept: VectorRows, query: np.ndarray, rows: np.ndarray, tolerance: float, wanted: float | None = None
) -> Case:
    values = kept.values if isinstance(kept, Int8Rows) else kept
    in_order = len(values) == len(rows)

    def picked() -> np.ndarray:
        return values if in_order else values[rows]

    def scaled(products: np.ndarray) -> np.ndarray:
        return products * kept.scales[rows] if isinstance(kept, Int8Rows) else products

    def numpy_dot() -> np.ndarray:
        return scaled(picked().astype(np.float32, copy=False) @ query)

    others: dict[str, Call] = {"numpy": numpy_dot}
    narrow_query, unit = _as_kept(query, values.dtype)
    if find_spec("simsimd"):
        others["simsimd"] = _simsimd(picked, narrow_query, unit, scaled)
    if find_spec("usearch") and values.dtype != np.int8:  # its int8 is a cosine: another answer
        others["usearch"] = _usearch(picked, narrow_query)

    def same(ours: Any, theirs: Any) -> bool:
        return bool(np.allclose(ours, theirs, rtol=0, atol=tolerance))

    return Case(f"dot products, {name}", lambda: dot_rows(query, kept, rows), others, same, wanted)


def _as_kept(query: np.ndarray, dtype: np.dtype[Any]) -> tuple[np.ndarray, float]:
    """The query in the rows' type, as these libraries want both sides alike, and what one unit of it stands for."""
    if dtype != np.int8:
        return query.astype(dtype), 1.0
    unit = float(np.abs(query).max()) / 127
    return np.rint(query / unit).astype(np.int8), unit


def _simsimd(picked: Callable[[], np.ndarray], query: np.ndarray, unit: float, scaled: Callable[..., Any]) -> Call:
    import simsimd

    return lambda: scaled(np.asarray(simsimd.cdist(query[None], picked(), "dot"), np.float32)[0] * np.float32(unit))


def _usearch(picked: Callable[[], np.ndarray], query: np.ndarray) -> Call:
    from usearch.index import MetricKind, search

    def call() -> np.ndarray:
        found = search(picked(), query, _ROWS, MetricKind.IP, exact=True, threads=1)
        scores = np.empty(_ROWS, np.float32)
        scores[found.keys] = 1 - found.distances
        return scores

    return call

"""Slow, obvious twins of the vector kernels: float64, one Python loop per sentence of the kernels' contract."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


def unit(vector: Float64) -> Float64:
    """The vector over its L2 norm; a zero vector stays zero."""
    norm = math.sqrt(math.fsum(float(value) ** 2 for value in vector))
    return vector / norm if norm > 0 else vector


def pool_embeddings(hidden: Float32, mask: Int64, pooling: str, normalize: bool) -> Float64:
    """One vector per row of ``hidden [B, L, H]`` from the tokens where ``mask [B, L]`` is 1."""
    pooled = np.zeros((hidden.shape[0], hidden.shape[2]))
    for row in range(hidden.shape[0]):
        attended = [hidden[row, i].astype(np.float64) for i in range(hidden.shape[1]) if mask[row, i] == 1]
        if pooling == "cls":
            vector = attended[0]
        elif pooling == "last_token":
            vector = attended[-1]
        else:
            vector = sum(attended[1:], attended[0]) / len(attended)
        pooled[row] = unit(vector) if normalize else vector
    return pooled


def dot_rows(query: Float32, matrix: Float32, rows: Int64) -> Float64:
    """``query . matrix[row]`` for each row, summed exactly."""
    return np.array([math.fsum(float(a) * float(b) for a, b in zip(query, matrix[row], strict=True)) for row in rows])


def dot_rows_int8(query: Float32, values: NDArray[np.int8], scales: Float32, rows: Int64) -> Float64:
    """The query in whole steps of its largest magnitude / 32767, then integers, then both scales."""
    largest = max(abs(float(value)) for value in query)
    step = largest / 32767
    steps = [round(float(value) / step) if largest else 0 for value in query]
    sums = [sum(a * int(b) for a, b in zip(steps, values[row], strict=True)) for row in rows]
    return np.array([total * step * float(scales[row]) for total, row in zip(sums, rows, strict=True)])


def gather_tokens(hidden: Float32, keep: Int64, normalize: bool) -> tuple[Float64, Int64]:
    """Kept vectors end to end and their offsets."""
    kept: list[Float64] = []
    offsets = [0]
    for row in range(hidden.shape[0]):
        for i in range(hidden.shape[1]):
            if keep[row, i] == 1:
                vector = hidden[row, i].astype(np.float64)
                kept.append(unit(vector) if normalize else vector)
        offsets.append(len(kept))
    return np.array(kept).reshape(len(kept), hidden.shape[2]), np.array(offsets, np.int64)


def maxsim(query: Float32, documents: list[Float32], length_normalize: bool) -> Float64:
    """Sum over query tokens of the largest dot product with a token of each document; everything given counts."""
    scores = []
    for document in documents:
        best = [max(dot_rows(token, document, np.arange(len(document)))) for token in query]
        scores.append(math.fsum(best) / (len(query) if length_normalize else 1))
    return np.array(scores)

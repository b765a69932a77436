"""The kernels, each beside what one would write in its place with NumPy or a Python loop; same input, same answer.

``test_kernels.py`` times them one by one under pytest-benchmark, ``kernels.py`` alternates them for the ratios.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from kernel_case import Case
from packing_case import packing
from stored_cases import stored_cases

from cascaderank.kernels import (
    Fusion,
    PlanRule,
    Pool,
    dot_rows,
    gather_tokens,
    maxsim,
    pool_embeddings,
    topk,
)


def cases(seed: int = 1) -> list[Case]:
    random = np.random.default_rng(seed)
    return [
        _topk(random),
        packing(random, "packing, one pair a run", PlanRule(16_384, 1, 1 << 40)),
        packing(random, "packing, 16384 tokens a run", PlanRule(16_384, 128, 1 << 40)),
        _collect(random),
        _request(random),
        _pooling(random),
        _dot_rows(random),
        *stored_cases(random),
        _gather_tokens(random),
        _maxsim(random),
    ]


def _close(tolerance: float) -> Callable[[Any, Any], bool]:
    return lambda ours, theirs: bool(np.allclose(ours, theirs, rtol=tolerance, atol=tolerance))


def _topk(random: np.random.Generator) -> Case:
    scores = random.standard_normal(1000).astype(np.float32)

    def numpy_negated() -> np.ndarray:
        best = np.argpartition(-scores, 99)[:100]
        return best[np.argsort(-scores[best])]

    def numpy_ascending() -> np.ndarray:
        best = np.argpartition(scores, 900)[900:]
        return best[scores[best].argsort()[::-1]]

    rivals = {"numpy, negated": numpy_negated, "numpy, reversed": numpy_ascending}
    return Case("top-k, 100 of 1000", lambda: topk(scores, 100), rivals, np.array_equal, 3.0)


def _collect(random: np.random.Generator) -> Case:
    outputs = random.standard_normal((1000, 2)).astype(np.float32)
    positions = random.permutation(1000)
    fusion = Fusion("last", "z-score", 60.0, [0.0, 1.0], [])
    pool = Pool()
    flat = outputs.reshape(-1)

    def ours() -> Any:
        pool.reset(1000, None, 1, fusion)
        pool.collect(0, positions, flat, 2)
        return pool

    def numpy_collect() -> Any:
        logits = np.full(1000, np.nan, np.float32)
        found = outputs[:, 1] - outputs[:, 0]
        if not np.isfinite(found).all():
            raise ValueError("not finite")
        if not np.isnan(logits[positions]).all():
            raise ValueError("written twice")
        logits[positions] = found
        return logits

    def same(pool: Any, logits: Any) -> bool:
        pool.prune(0, 1000, None, None)
        order, _, _, found = pool.finish(1000)
        return np.array_equal(found[:, 0], logits[order])

    return Case("collecting 1000 scores of 2 columns", ours, {"numpy": numpy_collect}, same)


def _request(random: np.random.Generator) -> Case:
    """What a request does besides the models: 1000 candidates, two stages that keep 100 and 20, convex fusion."""
    first, one, two = (random.standard_normal(1000).astype(np.float32) for _ in range(3))
    fusion = Fusion("convex", "z-score", 60.0, [1.0, 1.0, 1.0], [])
    pool = Pool()

    def ours() -> Any:
        pool.reset(1000, first, 2, fusion)
        for stage, (scores, keep) in enumerate(((one, 100), (two, 20))):
            alive = pool.alive()
            pool.collect(stage, np.arange(len(alive)), scores[alive], 1)
            pool.prune(stage, keep, None, None)
        return pool.finish(20)[0]

    def z_score(scores: np.ndarray) -> np.ndarray:
        values = scores.astype(np.float64)
        return (values - values.mean()) / values.std()

    def numpy_request() -> Any:
        if not np.isfinite(first).all():
            raise ValueError("not finite")
        alive = np.argsort(-first, kind="stable")
        known = [first]
        for scores, keep in ((one, 100), (two, 20)):
            known.append(scores)
            if not np.isfinite(scores[alive]).all():
                raise ValueError("not finite")
            fused = sum(z_score(source[alive]) for source in known)
            alive = alive[np.argsort(-fused, kind="stable")[:keep]]
        return alive

    return Case("pool: 1000 -> 100 -> 20, convex", ours, {"numpy": numpy_request}, np.array_equal)


def _pooling(random: np.random.Generator) -> Case:
    """32 rows of up to 128 tokens and 384 dimensions, mean over the attended ones, normalised."""
    hidden = random.standard_normal((32, 128, 384)).astype(np.float32)
    mask = (np.arange(128) < random.integers(40, 129, (32, 1))).astype(np.int64)
    out = np.empty((32, 384), np.float32)

    def ours() -> Any:
        pool_embeddings(hidden, mask, "mean", True, out)
        return out

    def numpy_pool() -> Any:
        weights = mask[:, :, None].astype(np.float32)
        vectors = (hidden * weights).sum(1) / weights.sum(1)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    return Case("mean pooling, 32 x 128 x 384", ours, {"numpy": numpy_pool}, _close(1e-5))


def _dot_rows(random: np.random.Generator) -> Case:
    matrix = random.standard_normal((8000, 384)).astype(np.float32)
    query = random.standard_normal(384).astype(np.float32)
    rows = random.choice(8000, 1000, replace=False)
    return Case(
        "dot products, 1000 rows of 8000 x 384",
        lambda: dot_rows(query, matrix, rows),
        {"numpy": lambda: matrix[rows] @ query},
        _close(1e-4),
    )


def _ragged_tokens(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """100 documents of 120 to 240 unit vectors of 128 dimensions."""
    lengths = random.integers(120, 241, 100)
    tokens = random.standard_normal((int(lengths.sum()), 128)).astype(np.float32)
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    return tokens, np.concatenate([[0], np.cumsum(lengths)])


def _gather_tokens(random: np.random.Generator) -> Case:
    hidden = random.standard_normal((32, 180, 128)).astype(np.float32)
    keep = (np.arange(180) < random.integers(60, 181, (32, 1))).astype(np.int64)
    total = int(keep.sum())

    def ours() -> Any:
        out, cu_seqlens = np.empty((total, 128), np.float32), np.empty(33, np.int64)
        gather_tokens(hidden, keep, True, out, cu_seqlens)
        return out

    def numpy_gather() -> Any:
        kept = hidden[keep.astype(bool)]
        return kept / np.linalg.norm(kept, axis=1, keepdims=True)

    return Case("token vectors of 32 documents", ours, {"numpy": numpy_gather}, _close(1e-5))


def _maxsim(random: np.random.Generator) -> Case:
    tokens, cu_seqlens = _ragged_tokens(random)
    query = random.standard_normal((32, 128)).astype(np.float32)
    query /= np.linalg.norm(query, axis=1, keepdims=True)
    attended, everything = np.ones(32, np.int64), np.empty(0, np.int64)
    rows = np.arange(100)
    starts = cu_seqlens[:-1]
    bounds = cu_seqlens.tolist()

    def ours() -> Any:
        out = np.empty(100, np.float32)
        maxsim(query, attended, tokens, everything, cu_seqlens, rows, False, out)
        return out

    def numpy_whole() -> Any:
        return np.maximum.reduceat(query @ tokens.T, starts, axis=1).sum(0)

    def numpy_loop() -> Any:
        return np.array([(query @ tokens[a:b].T).max(1).sum() for a, b in itertools.pairwise(bounds)], np.float32)

    rivals = {"numpy, one product": numpy_whole, "numpy, per document": numpy_loop}
    return Case("MaxSim, 32 x 128 against 100 x 180", ours, rivals, _close(1e-4))

"""What a stage costs: milliseconds as a function of pairs and tokens, fitted from measured runs.

Micro-batches are no part of it: their number is that of the pairs (CPU), one (a query's vector), or a share of pairs or
tokens (a device), so that a fit could not tell their cost from the other parts; docs/tuning.md has what is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cascaderank.cascade import Cascade
from cascaderank.evaluate.requests import Request
from cascaderank.flow import Flow
from cascaderank.job import clock
from cascaderank.kernels import Fusion, Pool
from cascaderank.stages import Counts
from cascaderank.store import Store
from cascaderank.tune.scores import work_of

Progress = Callable[[int, int], None]
SIZES = (2, 5, 12, 30, 80)
_LAST = Fusion("last", "z-score", 60.0, [], [])


@dataclass(frozen=True, slots=True)
class StageCost:
    """Milliseconds of one stage in one request: ``fixed + per_pair * pairs + per_token * tokens``; ``error`` is the
    median relative error over the ``points`` it was fitted on."""

    fixed: float
    per_pair: float
    per_token: float
    error: float
    points: int

    def predict(self, pairs: ArrayLike, tokens: ArrayLike) -> NDArray[np.float64]:
        found: NDArray[np.float64] = (
            self.fixed + self.per_pair * np.asarray(pairs, float) + self.per_token * np.asarray(tokens, float)
        )
        return found


def fit_cost(pairs: Sequence[float], tokens: Sequence[float], ms: Sequence[float]) -> StageCost:
    """Least absolute relative errors (by reweighted least squares, which keeps a slow outlier from deciding) with no
    negative part: of all subsets of the three parts the one that errs least."""
    target = np.asarray(ms, np.float64)
    parts = np.stack([np.ones_like(target), np.asarray(pairs, float), np.asarray(tokens, float)], axis=1)
    best: tuple[float, NDArray[np.float64]] | None = None
    for count in (1, 2, 3):
        for used in combinations(range(3), count):
            solution = _relative_fit(parts[:, used], target)
            if (solution < 0).any():
                continue
            error = float(np.mean(np.abs(parts[:, used] @ solution - target) / target))
            if best is None or error < best[0] - 1e-9:
                whole = np.zeros(3)
                whole[list(used)] = solution
                best = error, whole
    assert best is not None  # a constant alone is never negative
    fixed, per_pair, per_token = best[1].tolist()
    errors = np.abs(parts @ best[1] - target) / target
    return StageCost(fixed, per_pair, per_token, float(np.median(errors)), len(target))


def _relative_fit(parts: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = 1.0 / target
    for _ in range(20):
        solution = np.asarray(np.linalg.lstsq(parts * weights[:, None], target * weights, rcond=None)[0], np.float64)
        relative = np.abs(parts @ solution - target) / target
        weights = 1.0 / (target * np.sqrt(np.maximum(relative, 1e-3)))
    found: NDArray[np.float64] = solution
    return found


class CostMeter:
    """Times every stage on the first candidates of each request, in several sizes: ``rounds`` of one request and one
    size, all stages one after another as a cascade would in turn, so that a change of the machine's load meets all of
    them alike. Collecting and pruning are part of it."""

    def __init__(self, flow: Flow, requests: Sequence[Request], store: Store, truncate_query: bool = False) -> None:
        self._flow, self._store, self._truncate_query = flow, store, truncate_query
        rounds = [(request, size) for request in requests for size in SIZES if size <= len(request.ids)]
        self.rounds = rounds or [(request, len(request.ids)) for request in requests]
        self._points: list[list[tuple[float, float, float]]] = [[] for _ in flow.scorers]
        self._pool = Pool()

    def run(self, request: Request, size: int) -> None:
        """One round."""
        work, stages = work_of(request, self._store, self._truncate_query), len(self._flow.scorers)
        self._pool.reset(work.candidates.size, work.candidates.scores, stages, _LAST)
        everything = self._pool.alive()
        for stage, scorer in enumerate(self._flow.scorers):
            # A fresh pool per stage: each is timed on the first pass's best, whatever the stage before dropped.
            self._pool.reset(work.candidates.size, work.candidates.scores, stages, _LAST)
            counts, begun = Counts(), clock()
            scored = scorer.score(work, everything[:size], counts)
            self._pool.collect(stage, scored.positions, scored.outputs, scored.columns)
            self._pool.prune(stage, max(1, size // 4), None, None)
            self._points[stage].append((size, counts.tokens, (clock() - begun) * 1e3))

    def run_all(self, progress: Progress | None = None) -> None:
        for number, (request, size) in enumerate(self.rounds, start=1):
            self.run(request, size)
            if progress is not None:
                progress(number, len(self.rounds))

    def take(self) -> list[StageCost]:
        """What the rounds since the last call add up to, one per stage; they are forgotten then."""
        points, self._points = self._points, [[] for _ in self._flow.scorers]
        return [fit_cost(*(list(column) for column in zip(*own, strict=True))) for own in points]


def measure_overhead(cascade: Cascade, requests: Sequence[Request], store: Store) -> float:
    """Milliseconds of a request that belong to no stage: reading candidates, finishing the order (median)."""
    rest = []
    for request in requests:
        begun = clock()
        ranking = request.answer(cascade, store)
        rest.append((clock() - begun) * 1e3 - sum(stage.total_ms for stage in ranking.trace.stages))
    return float(np.median(rest))

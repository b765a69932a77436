"""A budget as a share: of the time that scoring every candidate takes, which means the same on any machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cascaderank.evaluate.metrics import bootstrap_interval
from cascaderank.kernels import Choices, Int64
from cascaderank.tune.explore import Explorer
from cascaderank.tune.pareto import Float32, Float64, best_uncut


@dataclass(frozen=True, slots=True)
class Reference:
    """What a share is taken of: cut-offs without a cut (0 for a stage left out) and their predicted P50."""

    keeps: tuple[int, ...]
    p50_ms: float


def uncut_places(keeps: Int64) -> Int64:
    """Places of the choices that cut nothing, stages left out or not; not that of the first pass alone."""
    found: Int64 = np.flatnonzero((keeps > 0).any(axis=1) & ((keeps == keeps.max()) | (keeps == 0)).all(axis=1))
    return found


def find_reference(explorer: Explorer, keeps: Int64, choosing: Int64) -> Reference:
    """The reference of a share, by the queries that choose."""
    rows = keeps[uncut_places(keeps)]
    explored = explorer.run(Choices.fixed(rows), choosing)
    p50 = np.median(explored.ms, axis=1).astype(np.float64)
    place = reference_place(explored.ndcg, p50)
    return Reference(tuple(rows[place].tolist()), float(p50[place]))


def reference_place(ndcg: Float32, ms: Float64) -> int:
    """The slowest of the choices ``[c, queries]`` of which no loss against the best is proven (95 % bootstrap interval
    of the paired difference). Not the best itself: where an encoder over stored vectors comes first by a hair, a share
    of its few milliseconds would leave no room for what is as good and was meant to be made cheaper."""
    best = ndcg[best_uncut(ndcg, np.arange(len(ndcg)))].astype(np.float64)
    good = [place for place, own in enumerate(ndcg) if bootstrap_interval(best - own, samples=2000)[0] <= 0.0]
    return max(good, key=lambda place: float(ms[place]))

"""Cut-offs per query: a margin, a minimum, or the softmax mass, each beside the fixed cut-offs it must beat."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascaderank.kernels import Choices, Explored, Int64, ScoreTable
from cascaderank.tune.explore import Explorer, candidates_of
from cascaderank.tune.pareto import as_good

Float32 = NDArray[np.float32]
KINDS = ("margin", "min_score", "dynamic")
_SHARES = (0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.05)
_QUANTILES = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
_MASSES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
_TEMPERATURES = np.geomspace(0.05, 20.0, 40)
_WIDER = (1.0, 1.5, 2.0, 4.0)
PAYS = 0.95  # of the fixed cut-offs' milliseconds: what a policy must save to be worth a further number


@dataclass(frozen=True, slots=True)
class Policy:
    """A rule per query on top of ``keeps``; limits are NaN where they do not hold. ``choice`` has one row."""

    kind: str
    setting: float
    choice: Choices


def scales(table: ScoreTable, queries: Int64) -> Float32:
    """The usual distance in logits between the best and the worst candidate of a query, per stage (median)."""
    spreads = [
        np.ptp(table.logits[:, table.cu_candidates[query] : table.cu_candidates[query + 1]], axis=1)
        for query in queries.tolist()
    ]
    found: Float32 = np.median(np.stack(spreads), axis=0).astype(np.float32)
    return np.maximum(found, np.float32(1e-6))


def learn_temperatures(table: ScoreTable, queries: Int64) -> Float32:
    """Per stage the temperature under which softmax(logit / T) puts most log mass on the relevant candidates, from a
    grid around the spread of the logits; float32 ``[stages]``."""
    found = np.ones(table.stages, np.float32)
    for stage in range(table.stages):
        scale = float(np.std(table.logits[stage])) or 1.0
        losses = np.zeros(len(_TEMPERATURES))
        for query in queries.tolist():
            own = slice(int(table.cu_candidates[query]), int(table.cu_candidates[query + 1]))
            relevant = table.relevant[own]
            if not relevant.any():
                continue
            logits = table.logits[stage, own].astype(np.float64)
            weights = np.exp((logits - logits.max())[None, :] / (scale * _TEMPERATURES)[:, None])
            losses -= np.log(np.maximum(weights[:, relevant].sum(axis=1) / weights.sum(axis=1), 1e-30))
        found[stage] = scale * _TEMPERATURES[int(np.argmin(losses))]
    return found


def policies(explorer: Explorer, keeps: Int64, choosing: Int64, most: int) -> Iterator[Policy]:
    """Policies to try around fixed cut-offs ``keeps`` ``[stages]``: every stage that runs, but the last, may keep less
    per query, and up to four times as many. One number per kind, the same for all stages."""
    ran = np.flatnonzero(keeps)
    limited = ran[:-1]
    if not limited.size:
        return
    table = explorer.table
    spread, temperatures = scales(table, choosing), learn_temperatures(table, choosing)
    inside = candidates_of(table, choosing)
    none = np.full((1, len(keeps)), np.nan, np.float32)
    for wider in _WIDER:
        wide = keeps.copy()
        wide[limited] = np.minimum(np.round(keeps[limited] * wider).astype(np.int64), most)
        row = wide[None, :]

        def limit(values: NDArray[np.floating[Any]]) -> Float32:
            filled: Float32 = none.copy()
            filled[0, limited] = values[limited]
            return filled

        for share in _SHARES:
            yield Policy("margin", share, Choices(row, none, limit(share * spread), none, temperatures))
        for quantile in _QUANTILES:
            lowest = limit(np.quantile(table.logits[:, inside], quantile, axis=1))
            yield Policy("min_score", quantile, Choices(row, lowest, none, none, temperatures))
        for mass in _MASSES:
            yield Policy("dynamic", mass, Choices(row, none, none, limit(np.full(len(keeps), mass)), temperatures))


def tune_policies(
    explorer: Explorer, keeps: Int64, choosing: Int64, most: int
) -> tuple[Explored, dict[str, tuple[Policy, Explored]]]:
    """What the fixed cut-offs give on the queries used to choose, and per kind the policy with the smallest mean
    predicted milliseconds among those as good as they are."""
    fixed = explorer.run(Choices.fixed(keeps[None, :]), choosing)
    best: dict[str, tuple[Policy, Explored]] = {}
    for policy in policies(explorer, keeps, choosing, most):
        found = explorer.run(policy.choice, choosing)
        known = best.get(policy.kind)
        if known is not None and float(found.ms.mean()) >= float(known[1].ms.mean()):
            continue
        if as_good(fixed.ndcg[0], found.ndcg[0]):
            best[policy.kind] = policy, found
    return fixed, best

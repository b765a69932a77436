"""One number per hit that never rises down the ranking, for APIs whose clients sort by it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cascaderank.results import Ranking

_STEP = 1e-4  # between the groups that different stages ordered, relative to the score's own size


def relevance(ranking: Ranking) -> NDArray[np.float64]:
    """Scores float64 ``[m]`` in the ranking's order, finite and never rising.

    Those that reached the deepest stage keep the score that ordered them. Scores of different stages are of different
    scales, so a group that only an earlier stage scored is moved down as a whole, just below the group before it,
    where it is not below that already; within a group the differences stay. Fused or pruned orders that a score
    contradicts are levelled to the score above. Hits nothing is known of follow at the bottom, each below the last.
    """
    values = np.array(ranking.values, np.float64)
    groups = np.flatnonzero(np.diff(ranking.reached)) + 1
    floor = np.inf
    for start, stop in zip((0, *groups), (*groups, len(values)), strict=True):
        group = values[start:stop]
        if not len(group):
            continue
        step = _STEP * max(1.0, abs(floor)) if np.isfinite(floor) else _STEP
        if np.isnan(group).any():
            group[:] = (floor if np.isfinite(floor) else 0.0) - step * np.arange(1, len(group) + 1)
        top = group.max()
        if top >= floor:
            group -= top - floor + step
        np.minimum.accumulate(group, out=group)
        floor = group[-1]
    return values


def deepest_logits(ranking: Ranking) -> NDArray[np.float64]:
    """Raw logits float64 ``[m]`` of the last stage that scored each hit, in the ranking's order; what no stage scored
    is put just below the smallest."""
    if ranking.logits is None:
        return relevance(ranking)
    reached = ranking.reached
    values = np.full(len(reached), np.nan)
    scored = np.flatnonzero(reached >= 0)
    values[scored] = ranking.logits[scored, reached[scored]]
    least = float(values[scored].min()) if len(scored) else 0.0
    rest = np.flatnonzero(np.isnan(values))
    values[rest] = least - _STEP * np.arange(1, len(rest) + 1)
    return values

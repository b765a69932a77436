"""One number per hit that falls down the ranking, since clients sort by it again (LlamaIndex's does)."""

from __future__ import annotations

import math

import numpy as np

from cascaderank.results import Ranking

_STEP = 1e-4  # between the groups that different stages ordered, relative to the score's own size


def relevance(ranking: Ranking) -> list[float]:
    """One score per hit in the ranking's order, finite and strictly falling.

    Those that reached the deepest stage keep the score that ordered them. Scores of different stages are of different
    scales, so a group that only an earlier stage scored is moved down as a whole, just below the group before it,
    where it is not below that already; within a group the differences stay. An equal score (or one that contradicts
    the order) is put one float64 step below the one above, less than the float32 scores of a model can tell apart, so
    that sorting by score gives this order. Hits nothing is known of follow at the bottom, each below the last.
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
        floor = group.min()
    falling = bool((values[1:] < values[:-1]).all())
    return list(values.tolist()) if falling else _made_to_fall(values.tolist())


def _made_to_fall(values: list[float]) -> list[float]:
    above = math.inf
    for place, value in enumerate(values):
        if value >= above:
            values[place] = value = math.nextafter(above, -math.inf)
        above = value
    return values


def deepest_logits(ranking: Ranking) -> list[float]:
    """The raw logit of the last stage that scored each hit, in the ranking's order; what no stage scored is put just
    below the smallest. A fusion's order need not be theirs."""
    if ranking.logits is None:
        return relevance(ranking)
    reached = ranking.reached
    values = np.full(len(reached), np.nan)
    scored = np.flatnonzero(reached >= 0)
    values[scored] = ranking.logits[scored, reached[scored]]
    least = float(values[scored].min()) if len(scored) else 0.0
    rest = np.flatnonzero(np.isnan(values))
    values[rest] = least - _STEP * np.arange(1, len(rest) + 1)
    return list(values.tolist())

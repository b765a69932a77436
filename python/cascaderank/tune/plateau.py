"""The plateau rule: for each stage, given what the stage before lets through, the smallest cut-off that loses nothing
that matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cascaderank.evaluate.metrics import bootstrap_interval
from cascaderank.kernels import Choices, Int64
from cascaderank.tune.explore import Explorer

TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class Point:
    """Recall@keep after a stage (of the first pass's relevant candidates) and what it loses against keeping all that
    the stage before lets through; intervals are 95 % bootstrap intervals over the queries that have
    a relevant candidate."""

    keep: int
    recall: float
    recall_interval: tuple[float, float]
    loss: float
    loss_interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """One stage's recall@k conditional on ``entering`` candidates of the stage before. ``chosen`` is the smallest
    cut-off whose loss is at most ``tolerance`` by the upper end of its interval."""

    stage: str
    entering: int
    tolerance: float
    chosen: int
    points: tuple[Point, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def plateau_curves(
    explorer: Explorer, names: Sequence[str], grid: Sequence[int], queries: Int64, tolerance: float = TOLERANCE
) -> list[Curve]:
    """One curve per stage, each conditional on the choices before it. Queries without a relevant candidate take no
    part: counted as losing nothing they would make every loss look smaller. Raises ``InputError`` for no others."""
    queries = explorer.with_relevant(queries)
    chosen: list[int] = []
    curves = []
    for place, name in enumerate(names):
        entering = chosen[-1] if chosen else max(grid)
        keeps = [keep for keep in grid if keep <= entering]
        rows = np.zeros((len(keeps), len(names)), np.int64)
        rows[:, :place] = chosen
        rows[:, place] = keeps
        recall = explorer.run(Choices.fixed(rows), queries).recall.astype(np.float64)
        losses = recall[-1] - recall  # the last row keeps everything that entered
        points = tuple(
            Point(keep, float(own.mean()), bootstrap_interval(own), float(lost.mean()), bootstrap_interval(lost))
            for keep, own, lost in zip(keeps, recall, losses, strict=True)
        )
        chosen.append(next(point.keep for point in points if point.loss_interval[1] <= tolerance))
        curves.append(Curve(name, entering, tolerance, chosen[-1], points))
    return curves

"""Percentiles of recorded times, how sure the P99 is, and the percentile file that HdrHistogram's plotters read.

Every latency is kept as it was measured (8 bytes each), so percentiles are exact and there is nothing to configure;
a histogram with buckets would save memory that a run of some million requests does not need.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p999": 0.999}
ENOUGH_FOR_P99 = 368
"""Of fewer values even the largest is below the true P99 in more than 2.5 of 100 runs (0.99 ** 367 = 0.02502)."""
_SAMPLES = 500


def tail(values: Sequence[float] | NDArray[np.float64]) -> dict[str, float] | None:
    """P50, P95, P99, P99.9 by nearest rank (each is a measured value), maximum and mean; None for no values."""
    data = np.asarray(values, np.float64)
    if not data.size:
        return None
    points = np.quantile(data, list(PERCENTILES.values()), method="inverted_cdf").tolist()
    return {
        **dict(zip(PERCENTILES, points, strict=True)),
        "max": float(data.max()),
        "mean": float(data.mean()),
    }


def p99_interval(values: Sequence[float] | NDArray[np.float64], seed: int = 0) -> tuple[float, float] | None:
    """95 % interval of the P99 of latencies in the order they were due; None below ``ENOUGH_FOR_P99`` values.

    The wider end of two, on either side. Order statistics (how many of n values lie above the true P99 is binomial) are
    exact for independent values. Neighbours share a queue, so beside them values are drawn anew in blocks about the
    square root of n long: Künsch, "The jackknife and the bootstrap for general stationary observations", 1989.
    """
    data = np.asarray(values, np.float64)
    if data.size < ENOUGH_FOR_P99:
        return None
    order = np.argsort(data, kind="stable")
    low, high = _order_statistics(data[order])
    drawn = _drawn_in_blocks(data[order], order, seed)
    return min(low, drawn[0]), max(high, drawn[1])


def _order_statistics(ordered: NDArray[np.float64]) -> tuple[float, float]:
    """Of ``ordered`` (ascending, at least ``ENOUGH_FOR_P99``), those that bound its P99 with 2.5 % on each side."""
    count = ordered.size
    most = int(0.01 * count + 10 * math.sqrt(0.01 * count)) + 20
    above = np.arange(min(most, count))
    steps = np.log((count - above) / (above + 1)) + math.log(0.01 / 0.99)
    logs = count * math.log(0.99) + np.concatenate([[0.0], np.cumsum(steps[:-1])])
    up_to = np.cumsum(np.exp(logs))  # P(at most so many values above the true P99)
    upper = int(np.searchsorted(up_to, 0.025, side="right")) - 1
    lower = int(np.searchsorted(up_to, 0.975)) + 1
    return float(ordered[count - lower]), float(ordered[count - upper - 1])


def _drawn_in_blocks(ordered: NDArray[np.float64], order: NDArray[np.intp], seed: int) -> tuple[float, float]:
    """``order[i]`` is when ``ordered[i]`` was due, as a rank."""
    length = math.isqrt(ordered.size)
    owners = order // length
    blocks = int(owners.max()) + 1
    generator = np.random.default_rng(seed)
    found = np.empty(_SAMPLES)
    for sample in range(_SAMPLES):
        times = np.bincount(generator.integers(0, blocks, blocks), minlength=blocks)
        weights = np.cumsum(times[owners])  # how many values of the drawn blocks are no larger
        found[sample] = ordered[np.searchsorted(weights, math.ceil(0.99 * weights[-1]))]
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def write_hgrm(path: Path, values: Sequence[float]) -> None:
    """Latencies in milliseconds as HdrHistogram's percentile distribution (``.hgrm``), five steps per halving of what
    is left above, as its own tools write it."""
    data = np.sort(np.asarray(values, np.float64))
    lines = [f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}", ""]
    for share in _steps(data.size):
        place = max(math.ceil(share * data.size), 1)
        left = f"{1.0 / (1.0 - share):14.2f}" if share < 1.0 else ""
        lines.append(f"{data[place - 1]:12.3f} {share:14.12f} {place:10d} {left}".rstrip())
    mean, deviation, most = (float(data.mean()), float(data.std()), float(data[-1])) if data.size else (0.0, 0.0, 0.0)
    lines += [
        f"#[Mean    = {mean:12.3f}, StdDeviation   = {deviation:12.3f}]",
        f"#[Max     = {most:12.3f}, Total count    = {data.size:12d}]",
        "#[Buckets = 1, SubBuckets     = 1]",  # readers expect the line; these values were never in buckets
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _steps(count: int) -> list[float]:
    """Shares from 0 to 1: each halving of the distance to 1 in five steps, until one value is left above."""
    if not count:
        return []
    shares, low, gap = [], 0.0, 0.5
    while True:
        shares += [low + gap * step / 5 for step in range(5)]
        low += gap
        if (1.0 - low) * count < 1.0:
            return [*shares, 1.0]
        gap /= 2

"""Percentile bootstrap intervals, 95 %, of means over sets; those over queries are the engine's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

RESAMPLES = 2000


def resampled_means(values: np.ndarray, seed: int = 0, resamples: int = RESAMPLES) -> np.ndarray:
    """float64 [resamples, ...]: means of `values` [queries, ...] over queries drawn anew, with replacement."""
    rows = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    return np.stack([values[row].mean(axis=0) for row in rows])


def middle(samples: np.ndarray) -> tuple[float, float]:
    """The limits of the middle 95 % of resampled values [resamples]."""
    low, high = np.quantile(samples, [0.025, 0.975])
    return float(low), float(high)


def interval_over_sets(
    sets: Sequence[np.ndarray], value: Callable[[np.ndarray], np.ndarray] = lambda means: means, seed: int = 0
) -> tuple[float, float]:
    """Of `value` of the mean over sets of each set's mean over queries; queries are drawn within their set.

    Sets are [queries] or, where `value` needs several systems of the same queries (a ratio), [queries, systems];
    `value` takes [resamples] or [resamples, systems] and gives [resamples].
    """
    means = np.mean([resampled_means(values, seed + number) for number, values in enumerate(sets)], axis=0)
    return middle(value(means))

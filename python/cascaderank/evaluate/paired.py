"""Two systems on the same queries: the difference, its interval, and whether chance alone would give as much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cascaderank.errors import MissingExtraError
from cascaderank.evaluate.metrics import bootstrap_interval

TEST = "paired randomisation test (signs of the differences, two-sided)"
_RESAMPLES = 9_999


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """``difference`` is the mean of (this - other) over queries, ``interval`` its 95 % bootstrap interval."""

    difference: float
    interval: tuple[float, float]
    p_value: float


def compare(these: Sequence[float], others: Sequence[float], seed: int = 0) -> PairedDifference:
    """Compare two systems' values per query.

    The test asks how often as large a mean difference comes up when each query's two values are swapped at random
    (Smucker, Allan and Carterette, CIKM 2007): exactly up to 13 queries, from 9,999 samples beyond. Raises
    ``MissingExtraError`` without scipy.
    """
    try:
        from scipy.stats import permutation_test
    except ImportError as error:
        raise MissingExtraError(
            "comparing cascades needs the package scipy, which is not installed; pip install 'cascaderank[evaluate]'"
        ) from error
    differences = np.subtract(these, others)
    if differences.size < 2 or not differences.any():
        p_value = 1.0  # nothing to swap: any assignment gives the same mean
    else:
        found: Any = permutation_test(
            (differences,), _mean, permutation_type="samples", vectorized=True, n_resamples=_RESAMPLES,
            rng=np.random.default_rng(seed),
        )  # fmt: skip
        p_value = float(found.pvalue)
    return PairedDifference(float(differences.mean()), bootstrap_interval(differences, seed), p_value)


def _mean(values: Any, axis: int) -> Any:
    return np.mean(values, axis=axis)

"""How two scorings of the same pairs agree: differences of what was measured, and of the order it makes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascaderank.export.pairs import LIST_LENGTH, LISTS
from cascaderank.export.report import Agreement

Float32 = NDArray[np.float32]

RESOLUTION = 1e-6


@dataclass(frozen=True, slots=True)
class Measured:
    """One scoring of the pairs: ``scores`` float32 ``[pairs]`` order them, ``values`` ``[pairs, n]`` are compared."""

    scores: Float32
    values: Float32


def compare(found: Measured, expected: Measured) -> Agreement:
    """Largest and mean absolute difference of the values, and the mean tau-b of the scores within each random list,
    which are the last pairs of both."""
    differences = np.abs(found.values.astype(np.float64) - expected.values)
    per_pair = differences.max(axis=1)
    lists = [scored.scores[-LISTS * LIST_LENGTH :].reshape(LISTS, LIST_LENGTH) for scored in (found, expected)]
    taus = [tau for tau in map(kendall_tau, *lists) if not math.isnan(tau)]
    return Agreement(
        pairs=len(found.scores),
        max_abs_diff=float(per_pair.max()),
        mean_abs_diff=float(differences.mean()),
        kendall_tau=sum(taus) / len(taus) if taus else math.nan,
        worst=int(per_pair.argmax()),
    )


def kendall_tau(left: Float32, right: Float32) -> float:
    """Kendall's tau-b of two float32 ``[n]`` scorings: 1 the same order, -1 reversed, ties counted as ties.

    Scores within ``RESOLUTION`` of each other (times the largest above 1) are tied: fp32 sums cannot order them.
    Kendall, "The treatment of ties in ranking problems", Biometrika 1945. NaN where one of them is constant.
    """
    upper = np.triu_indices(len(left), 1)
    signs = [_signs(values.astype(np.float64))[upper] for values in (left, right)]
    norm = math.sqrt(float(np.abs(signs[0]).sum()) * float(np.abs(signs[1]).sum()))
    return float((signs[0] * signs[1]).sum()) / norm if norm else math.nan


def _signs(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Who is above whom, int64 ``[n, n]`` of -1, 0 and 1."""
    differences = np.subtract.outer(values, values)
    differences[np.abs(differences) <= RESOLUTION * max(1.0, float(np.abs(values).max(initial=0.0)))] = 0.0
    return np.sign(differences).astype(np.int64)

"""Which method to use: cross-validation by query, least log loss on the queries held back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascaderank.calibrate.methods import fit
from cascaderank.calibrate.pairs import LabelledPairs
from cascaderank.calibration import METHODS, Calibration
from cascaderank.errors import InputError
from cascaderank.evaluate.reliability import RAW, Reliability, measure_reliability
from cascaderank.kernels import Calibration as NativeCalibration
from cascaderank.kernels import log_odds

FOLDS = 5


@dataclass(frozen=True, slots=True)
class MethodResult:
    """A method on queries that each fit did not see, all folds together; ``method`` may be ``RAW``."""

    method: str
    held_back: Reliability


def apply(calibration: Calibration, logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log-odds as the engine computes them."""
    native = NativeCalibration(
        calibration.low, calibration.high, calibration.offset, calibration.logits, calibration.log_odds
    )
    return log_odds(native, logits)


def split_queries(queries: NDArray[np.int64], seed: int = 0) -> list[NDArray[np.bool_]]:
    """``FOLDS`` (or fewer, for fewer queries) masks of what is held back: queries whole, drawn by a seeded shuffle."""
    names = np.random.default_rng(seed).permutation(np.unique(queries))
    return [np.isin(queries, names[start::FOLDS]) for start in range(min(FOLDS, len(names)))]


def compare_methods(pairs: LabelledPairs, seed: int = 0) -> list[MethodResult]:
    """``RAW`` first, then every method of ``calibration.METHODS``.

    Raises ``InputError`` where a fold leaves no relevant, or no other, pair to fit on.
    """
    folds = split_queries(pairs.queries, seed)
    results = [MethodResult(RAW, measure_reliability(pairs.logits.astype(np.float64), pairs.labels))]
    for method in METHODS:
        values = np.empty(len(pairs.logits))
        for held in folds:
            if not 0 < pairs.labels[~held].sum() < (~held).sum():
                raise InputError(
                    "calibration: without a fold of the queries the rest has relevant pairs only, or none; give more"
                )
            values[held] = apply(fit(method, pairs.logits[~held], pairs.labels[~held]), pairs.logits[held])
        results.append(MethodResult(method, measure_reliability(values, pairs.labels)))
    return results


def choose_method(results: list[MethodResult]) -> MethodResult:
    """The fitted method of least log loss; among equals the one with fewer parameters, as they are listed."""
    return min((result for result in results if result.method != RAW), key=lambda result: result.held_back.log_loss)


def helps(raw: Reliability, fitted: Reliability) -> bool:
    """Whether a calibration is worth having: on held-back queries less log loss and at most half the error."""
    return fitted.log_loss < raw.log_loss and fitted.ece <= raw.ece / 2.0

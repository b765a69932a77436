"""How well probabilities keep their word: expected calibration error, Brier score, log loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascaderank.kernels import log_odds
from cascaderank.model import ModelSpec
from cascaderank.outputs import native_calibration

Float64 = NDArray[np.float64]
BINS = 15
RAW = "raw"
"""The sigmoid of the logit as it is: what calibration is compared with."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """``ece``: expected calibration error over ``BINS`` equally wide bins (Guo et al., 2017), ``ece_equal_mass`` over
    as many bins of equally many pairs, which a few relevant pairs among many others do not hide from. ``brier``: mean
    squared error. ``log_loss``: mean negative log likelihood in nats. ``curve`` has one entry per filled bin of equal
    mass: mean probability, share of relevant pairs, pairs."""

    ece: float
    ece_equal_mass: float
    brier: float
    log_loss: float
    curve: tuple[tuple[float, float, int], ...]


def measure_reliability(log_odds: Float64, labels: NDArray[np.bool_]) -> Reliability:
    """Of probabilities given as ``log_odds`` ``[n]``, so that those next to 0 and 1 keep their digits."""
    chances = 1.0 / (1.0 + np.exp(-np.clip(log_odds, -700.0, 700.0)))
    wide = np.minimum((chances * BINS).astype(np.int64), BINS - 1)
    ranks = np.empty(len(chances), np.int64)
    ranks[np.argsort(chances, kind="stable")] = np.arange(len(chances))
    even = ranks * BINS // len(chances)
    signs = np.where(labels, 1.0, -1.0)
    curve = _bins(chances, labels, even)
    return Reliability(
        ece=_error(_bins(chances, labels, wide), len(chances)),
        ece_equal_mass=_error(curve, len(chances)),
        brier=float(np.mean((chances - labels) ** 2)),
        log_loss=float(np.logaddexp(0.0, -signs * log_odds).mean()),
        curve=tuple(curve),
    )


def _bins(chances: Float64, labels: NDArray[np.bool_], bins: NDArray[np.int64]) -> list[tuple[float, float, int]]:
    counts = np.bincount(bins, minlength=BINS)
    sums = np.bincount(bins, weights=chances, minlength=BINS)
    relevant = np.bincount(bins, weights=labels, minlength=BINS)
    return [
        (float(sums[place] / counts[place]), float(relevant[place] / counts[place]), int(counts[place]))
        for place in np.flatnonzero(counts).tolist()
    ]


def _error(bins: list[tuple[float, float, int]], pairs: int) -> float:
    return sum(abs(chance - share) * count for chance, share, count in bins) / pairs


def stage_reliability(
    names: Sequence[str],
    specs: Sequence[ModelSpec],
    logits: Sequence[NDArray[np.float32]],
    labels: Sequence[NDArray[np.bool_]],
) -> list[dict[str, Any]]:
    """One entry per stage whose model has a calibration and that scored relevant and other pairs: the raw sigmoid's
    ``Reliability`` beside the calibrated one's, as plain data. ``logits`` and ``labels`` are ``[pairs]`` per stage."""
    found = []
    for name, spec, own, relevant in zip(names, specs, logits, labels, strict=True):
        native, fitted = native_calibration(spec), spec.calibration
        if native is None or fitted is None or not 0 < relevant.sum() < len(relevant):
            continue
        found.append(
            {
                "stage": name,
                "model": spec.name,
                "pairs": len(relevant),
                "relevant": int(relevant.sum()),
                "fitted_on": dict(fitted.fitted_on),
                "curves": [
                    {"method": RAW, **asdict(measure_reliability(own.astype(np.float64), relevant))},
                    {"method": fitted.method, **asdict(measure_reliability(log_odds(native, own), relevant))},
                ],
            }
        )
    return found

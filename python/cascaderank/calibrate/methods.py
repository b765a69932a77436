"""The four ways to fit a calibration: temperature, Platt, beta and isotonic, each by least log loss."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascaderank.calibrate.extras import require
from cascaderank.calibration import Calibration, line
from cascaderank.errors import InputError

Float64 = NDArray[np.float64]
_LEAST = 1e-3  # the least slope or weight: a map that were level would lose the order


def fit(method: str, logits: NDArray[np.floating[Any]], labels: NDArray[np.bool_]) -> Calibration:
    """Fit one of ``calibration.METHODS`` to ``logits`` ``[n]`` and ``labels`` ``[n]`` (relevant or not).

    temperature, one parameter (Guo et al., "On Calibration of Modern Neural Networks", 2017); platt, two (Platt, 1999);
    beta, three, on the sigmoid of the logit (Kull, Silva Filho and Flach, 2017); isotonic, a free increasing table
    (Zadrozny and Elkan, 2002). Slopes stay above 0, so a model's order is never turned round. Raises
    ``MissingExtraError`` without scipy or scikit-learn.
    """
    exact = logits.astype(np.float64)
    if method == "temperature":
        (slope,), _ = fit_logistic(exact[:, None], labels, intercept=False)
        return Calibration("temperature", float(slope), float(slope))
    if method == "platt":
        (slope,), offset = fit_logistic(exact[:, None], labels)
        return line(float(slope), offset)
    if method == "beta":
        sides = np.stack([-np.logaddexp(0.0, -exact), np.logaddexp(0.0, exact)], axis=1)
        (low, high), offset = fit_logistic(sides, labels)
        return Calibration("beta", float(low), float(high), offset)
    if method == "isotonic":
        return _fit_isotonic(exact, labels)
    raise InputError(f"calibration method {method!r}; expected temperature, platt, beta or isotonic")


def fit_logistic(features: Float64, labels: NDArray[np.bool_], *, intercept: bool = True) -> tuple[Float64, float]:
    """Logistic regression with weights of at least 0.001: (weights ``[d]``, intercept), by least mean log loss.

    ``features`` is float64 ``[n, d]``. Features are scaled while fitting, so that their units do not matter.
    """
    optimize, special = require("scipy.optimize"), require("scipy.special")
    scale = np.maximum(np.abs(features).mean(axis=0), 1e-12)
    scaled = features / scale
    signs = np.where(labels, 1.0, -1.0)

    def loss(parameters: Float64) -> tuple[float, Float64]:
        margins = signs * (scaled @ parameters[:-1] + parameters[-1])
        slopes = -signs * special.expit(-margins) / len(signs)
        return float(np.logaddexp(0.0, -margins).mean()), np.append(scaled.T @ slopes, slopes.sum())

    bounds = [(_LEAST * width, None) for width in scale] + [(None, None) if intercept else (0.0, 0.0)]
    start = np.append(np.ones(features.shape[1]), 0.0)
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-14})
    return np.maximum(found.x[:-1] / scale, _LEAST), float(found.x[-1])


def _fit_isotonic(logits: Float64, labels: NDArray[np.bool_]) -> Calibration:
    """Probabilities of 0 and 1, which a finite sample cannot show, are moved in by the rule of succession.

    A model's logits are float32, and a manifest tells no finer ones apart: logits that are equal so share a knot.
    """
    isotonic = require("sklearn.isotonic").IsotonicRegression(y_min=0.0, y_max=1.0)
    isotonic.fit(logits.astype(np.float32).astype(np.float64), labels.astype(np.float64))
    knots = np.asarray(isotonic.X_thresholds_, np.float64)
    least = 1.0 / (len(labels) + 2.0)
    chances = np.clip(np.asarray(isotonic.y_thresholds_, np.float64), least, 1.0 - least)
    log_odds = np.log(chances / (1.0 - chances))
    return Calibration("isotonic", logits=tuple(knots.tolist()), log_odds=tuple(log_odds.tolist()))

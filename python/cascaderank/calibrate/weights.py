"""Weights of the fusion `weighted`: logistic regression of relevance on the sources' calibrated log-odds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascaderank.calibrate.choose import split_queries
from cascaderank.calibrate.methods import fit, fit_logistic
from cascaderank.calibrate.pairs import LabelledPairs
from cascaderank.cascade import Cascade
from cascaderank.errors import ConfigError, InputError
from cascaderank.evaluate.reliability import measure_reliability
from cascaderank.evaluate.requests import Request
from cascaderank.kernels import Calibration as NativeCalibration
from cascaderank.kernels import log_odds
from cascaderank.outputs import missing_calibration
from cascaderank.store import Store

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class SourceScores:
    """What was learned from: ``first`` float32 ``[n]`` first-pass scores, ``stages`` float64 ``[n, stages]`` calibrated
    log-odds, and labels and queries as of ``LabelledPairs``. Only candidates that every stage scored."""

    first: NDArray[np.float32]
    stages: NDArray[np.float64]
    labels: NDArray[np.bool_]
    queries: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LearnedWeights:
    """``first`` is the first pass's weight and its line ``(a, b)``; ``stages`` one weight per stage, all adding up to
    1: an average of log-odds, which orders as the learned sum does and is no probability any more.

    Log losses compare like with like: a logistic regression on the last stage's log-odds alone, and one on all sources,
    each with its own scale and intercept and asked about queries that it was not fitted on. The models' calibrations
    are taken as they are; where those were fitted on the same queries, both sides know of them.
    """

    first: tuple[float, float, float]
    stages: tuple[float, ...]
    queries: int
    pairs: int
    relevant: int
    last_log_loss: float
    weighted_log_loss: float


def collect_scores(
    cascade: Cascade,
    requests: Sequence[Request],
    qrels: dict[str, dict[str, int]],
    store: Store | None,
    relevant_from: int,
    progress: Progress | None = None,
) -> SourceScores:
    """Run the cascade and keep, of the candidates that reached the last stage, what every source said of them.

    Raises ``ConfigError`` for a stage without calibration, ``InputError`` where nothing reached the last stage.
    """
    maps: list[NativeCalibration] = []
    for stage, spec in zip(cascade.config.stages, cascade.models, strict=True):
        fitted = spec.calibration
        if fitted is None:
            raise ConfigError(f"stage {spec.name!r}: weights need {missing_calibration(stage, spec)}")
        maps.append(NativeCalibration(fitted.low, fitted.high, fitted.offset, fitted.logits, fitted.log_odds))
    first, logits, labels, queries = [], [], [], []
    for number, request in enumerate(requests):
        ranking = request.answer(cascade, store)
        assert ranking.logits is not None
        places = np.flatnonzero(~np.isnan(ranking.logits).any(axis=1))
        indices = ranking.order[places]
        first.append(np.array(request.scores, np.float32)[indices])
        logits.append(ranking.logits[places])
        grades = qrels[request.query_id]
        labels += [grades.get(request.ids[index], 0) >= relevant_from for index in indices.tolist()]
        queries += [number] * len(indices)
        if progress is not None:
            progress(number + 1, len(requests))
    if not labels:
        raise InputError("weights: no candidate was scored by all stages; look at `when`, min_score and the candidates")
    table = np.concatenate(logits)
    columns = [log_odds(each, np.ascontiguousarray(table[:, place])) for place, each in enumerate(maps)]
    marks, groups = np.array(labels, np.bool_), np.array(queries, np.int64)
    LabelledPairs(table[:, -1], marks, groups)  # refuses what cannot be learned from
    return SourceScores(np.concatenate(first), np.stack(columns, axis=1), marks, groups)


def learn_weights(scores: SourceScores, seed: int = 0) -> LearnedWeights:
    """Weights of at least a thousandth each, so that none turns an order round; compared by cross-validation."""
    weights, a, b, _ = _fit(scores, np.ones(len(scores.labels), np.bool_))
    last = scores.stages[:, -1:]
    sum_values, last_values = np.empty(len(scores.labels)), np.empty(len(scores.labels))
    for held in split_queries(scores.queries, seed):
        fold_weights, fold_a, fold_b, offset = _fit(scores, ~held)
        sum_values[held] = _features(scores, fold_a, fold_b)[held] @ fold_weights + offset
        (scale,), offset = fit_logistic(last[~held], scores.labels[~held])
        last_values[held] = last[held, 0] * scale + offset
    shares = weights / weights.sum()
    return LearnedWeights(
        (float(shares[0]), a, b),
        tuple(shares[1:].tolist()),
        len(np.unique(scores.queries)),
        len(scores.labels),
        int(scores.labels.sum()),
        measure_reliability(last_values, scores.labels).log_loss,
        measure_reliability(sum_values, scores.labels).log_loss,
    )


def _features(scores: SourceScores, a: float, b: float) -> NDArray[np.float64]:
    return np.column_stack([a * scores.first.astype(np.float64) + b, scores.stages])


def _fit(scores: SourceScores, rows: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float, float, float]:
    """The first pass's line, then the weights of all sources: (weights, a, b, intercept)."""
    first = fit("platt", scores.first[rows], scores.labels[rows])
    weights, offset = fit_logistic(_features(scores, first.low, first.offset)[rows], scores.labels[rows])
    return weights, first.low, first.offset, offset

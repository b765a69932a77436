"""Weights of a fusion, learned from scores whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from cascaderank.calibrate import measure_reliability
from cascaderank.calibrate.weights import SourceScores, learn_weights

pytest.importorskip("scipy", reason="needs scipy: pip install 'cascaderank[evaluate]'")

SIZE = 20_000


def scores_of(truth: np.ndarray, *stages: np.ndarray) -> SourceScores:
    """A first pass of noise, and as many pairs of each of 100 queries; relevant by the log-odds ``truth``."""
    generator = np.random.default_rng(7)
    labels = generator.random(SIZE) < 1 / (1 + np.exp(-truth))
    first = generator.normal(size=SIZE).astype(np.float32)
    return SourceScores(first, np.stack(stages, axis=1), labels, np.arange(SIZE) % 100)


def test_a_last_stage_that_knows_everything_is_level_with_the_sum_however_wrong_its_unit() -> None:
    """Log-odds three times too large and moved: that is no merit of the other sources."""
    generator = np.random.default_rng(1)
    truth, noise = generator.normal(-1.0, 2.0, SIZE), generator.normal(0.0, 2.0, SIZE)
    scores = scores_of(truth, noise, 3.0 * truth + 4.0)
    found = learn_weights(scores)
    assert found.weighted_log_loss == pytest.approx(found.last_log_loss, abs=1e-3)
    assert found.last_log_loss == pytest.approx(measure_reliability(truth, scores.labels).log_loss, abs=1e-3)


def test_two_sources_that_know_a_half_each_are_better_than_one() -> None:
    halves = np.random.default_rng(2).normal(0.0, 1.5, (2, SIZE))
    found = learn_weights(scores_of(halves.sum(axis=0), *halves))
    assert found.weighted_log_loss < found.last_log_loss - 0.05
    assert found.stages[0] == pytest.approx(found.stages[1], rel=0.1)
    assert found.first[0] + sum(found.stages) == pytest.approx(1.0)

"""What work costs, learned from the work."""

from __future__ import annotations

import numpy as np
import pytest

from cascaderank.cost import Cost


def test_nothing_known_costs_nothing() -> None:
    assert Cost().estimate(100) == 0.0


def test_it_learns_a_call_that_costs_something_and_attention() -> None:
    """Seconds = call + linear + quadratic part, with noise: foretold within a third at every size seen."""
    cost, generator = Cost(), np.random.default_rng(1)

    def seconds(tokens: int) -> float:
        return 1e-4 + 2e-5 * tokens + 5e-8 * tokens**2

    for tokens in generator.integers(8, 512, 2000).tolist():
        cost.observe(tokens, seconds(tokens) * generator.uniform(0.9, 1.1))
    for tokens in (8, 20, 60, 130, 300, 511):
        assert cost.estimate(tokens) == pytest.approx(seconds(tokens), rel=1 / 3)


def test_a_size_never_seen_gets_the_nearest_rate() -> None:
    cost = Cost()
    cost.observe(100, 0.1)
    cost.observe(1000, 2.0)
    assert cost.estimate(10) == pytest.approx(0.01)
    assert cost.estimate(4000) == pytest.approx(8.0)


def test_a_run_that_was_interrupted_hardly_moves_it() -> None:
    cost = Cost()
    for _ in range(20):
        cost.observe(100, 0.01)
    cost.observe(100, 10.0)
    assert cost.estimate(100) < 0.0115


def test_a_machine_that_became_slower_is_noticed_within_some_runs() -> None:
    cost = Cost()
    for _ in range(100):
        cost.observe(100, 0.01)
    for _ in range(30):
        cost.observe(100, 0.04)
    assert cost.estimate(100) == pytest.approx(0.04, rel=0.1)


def test_what_took_no_time_or_had_no_size_is_no_observation() -> None:
    cost = Cost()
    cost.observe(0, 1.0)
    cost.observe(10, 0.0)
    assert cost.estimate(10) == 0.0

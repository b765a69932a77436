"""The guarantee: p-values that are valid, a test that stops in time, and a promise kept over many random samples."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascaderank.errors import InputError
from cascaderank.tune.guarantee import (
    binomial_p_value,
    binomial_tail,
    certify,
    check_sample,
    fixed_path,
    hoeffding_bentkus_p_value,
    margin_path,
    queries_needed,
    smallest_alpha,
)


@given(st.integers(0, 30), st.integers(1, 30), st.sampled_from([1, 5, 50, 90]))
def test_binomial_tail_is_exact(count: int, trials: int, percent: int) -> None:
    share = Fraction(percent, 100)
    expected = sum(
        math.comb(trials, hits) * share**hits * (1 - share) ** (trials - hits)
        for hits in range(min(count, trials) + 1)
    )  # fmt: skip
    assert binomial_tail(count, trials, percent / 100) == pytest.approx(float(expected), rel=1e-9)


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=40), st.sampled_from([0.01, 0.1, 0.4]))
def test_the_p_value_is_the_formula_of_the_paper(losses: list[float], alpha: float) -> None:
    count, mean = len(losses), sum(losses) / len(losses)
    capped = min(mean, alpha)
    entropy = (1 - capped) * math.log((1 - capped) / (1 - alpha)) + (
        capped * math.log(capped / alpha) if capped else 0.0
    )
    bentkus = math.e * binomial_tail(math.ceil(sum(losses)), count, alpha)
    assert hoeffding_bentkus_p_value(losses, alpha) == pytest.approx(min(1.0, math.exp(-count * entropy), bentkus))


@pytest.mark.parametrize("p_value", [binomial_p_value, hoeffding_bentkus_p_value])
def test_p_values_are_valid_at_the_edge(p_value) -> None:
    """Where the true risk is alpha, p <= delta happens in no more than a share delta of samples (and noise)."""
    generator = np.random.default_rng(5)
    rounds, count, alpha = 3000, 120, 0.05
    small = np.array([p_value(generator.random(count) < alpha, alpha) for _ in range(rounds)])
    for delta in (0.05, 0.1, 0.2):
        noise = 3 * math.sqrt(delta * (1 - delta) / rounds)
        assert (small <= delta).mean() <= delta + noise


@pytest.mark.parametrize(("alpha", "confidence", "needed"), [(0.01, 0.95, 299), (0.05, 0.95, 59), (0.1, 0.9, 22)])
def test_how_many_queries_are_needed(alpha: float, confidence: float, needed: int) -> None:
    assert queries_needed(alpha, confidence) == needed
    for p_value in (binomial_p_value, hoeffding_bentkus_p_value):
        assert p_value([0.0] * needed, alpha) <= 1 - confidence
        assert p_value([0.0] * (needed - 1), alpha) > 1 - confidence
    assert smallest_alpha(needed, confidence) <= alpha < smallest_alpha(needed - 1, confidence)
    check_sample(needed, alpha, confidence)
    with pytest.raises(InputError, match=rf"needs {needed} queries.*{2 * needed} in all.*here are {needed - 1}"):
        check_sample(needed - 1, alpha, confidence)


@pytest.mark.parametrize(("alpha", "confidence"), [(0.0, 0.9), (1.0, 0.9), (0.1, 1.0)])
def test_settings_without_a_meaning_are_refused(alpha: float, confidence: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        check_sample(100, alpha, confidence)


def test_testing_stops_at_the_first_setting_that_fails() -> None:
    """A later setting with less loss is not looked at: its luck would cost the guarantee."""
    rows = np.zeros((4, 100))
    rows[2, :30] = 1.0
    found = certify(rows, 0.1, 0.95, binary=True)
    assert found.step == 1
    assert len(found.p_values) == 3
    assert found.test == "exact binomial"
    assert certify(rows[:2], 0.1, 0.95, binary=False).step == 1
    assert certify(rows[2:], 0.1, 0.95, binary=True).step == 0  # not even the first passes; nothing is cut


def test_paths_start_from_no_cut_and_only_get_tighter() -> None:
    path = fixed_path(1000, [100, 20, 5])
    assert path[0].tolist() == [1000, 1000, 1000]
    assert path[-1].tolist() == [10, 1, 1]
    assert (np.diff(path, axis=0) <= 0).all()
    assert (np.diff(path, axis=1) <= 0).all()
    margins = margin_path([4.0, 8.0])
    assert np.isnan(margins[0]).all()
    assert margins[1].tolist() == [4.0, 8.0]
    assert (np.diff(margins[1:], axis=0) < 0).all()


@pytest.mark.parametrize("binary", [True, False])
def test_the_promise_holds_over_random_splits(binary: bool) -> None:
    """A population of queries whose losses grow along the path. Over 200 random samples, the true risk of what was
    certified exceeds alpha in no more than delta of them, but for binomial noise; and something is certified."""
    generator = np.random.default_rng(11)
    population, steps, alpha, delta, splits = 20_000, 40, 0.05, 0.1, 200
    hardness = generator.beta(0.6, 3.0, population)
    depth = np.linspace(0.0, 1.0, steps)[:, None]
    if binary:
        losses = (generator.random(population)[None, :] < hardness[None, :] * depth).astype(float)
    else:
        losses = np.round(4 * hardness[None, :] * depth) / 4
    risks = losses.mean(axis=1)
    assert risks[-1] > 2 * alpha
    exceeded, certified = 0, []
    for _ in range(splits):
        sample = generator.choice(population, 200, replace=False)
        step = certify(losses[:, sample], alpha, 1 - delta, binary=binary).step
        exceeded += risks[step] > alpha
        certified.append(step)
    noise = 3 * math.sqrt(delta * (1 - delta) / splits)
    assert exceeded / splits <= delta + noise
    assert np.median(certified) >= 3  # not by certifying nothing

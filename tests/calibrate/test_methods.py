"""Fits on synthetic logits whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from cascaderank.calibrate import LabelledPairs, choose_method, compare_methods, fit, measure_reliability
from cascaderank.calibrate.choose import RAW, apply, helps, split_queries
from cascaderank.calibrate.methods import fit_logistic
from cascaderank.calibration import METHODS
from cascaderank.errors import InputError

pytest.importorskip("scipy", reason="needs scipy: pip install 'cascaderank[evaluate]'")
isotonic = pytest.importorskip("sklearn.isotonic", reason="needs scikit-learn: pip install 'cascaderank[evaluate]'")

SIZE = 20_000


def draw(log_odds: np.ndarray, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).random(len(log_odds)) < 1 / (1 + np.exp(-log_odds))


@pytest.fixture(scope="module")
def logits() -> np.ndarray:
    return np.random.default_rng(4).normal(1.0, 3.0, SIZE).astype(np.float32)


def test_platt_recovers_its_line(logits: np.ndarray) -> None:
    found = fit("platt", logits, draw(0.7 * logits - 2.0))
    assert found.parameters() == {"a": pytest.approx(0.7, abs=0.03), "b": pytest.approx(-2.0, abs=0.08)}


def test_temperature_recovers_it(logits: np.ndarray) -> None:
    assert fit("temperature", logits, draw(logits / 4.0)).parameters() == {"temperature": pytest.approx(4.0, rel=0.05)}


def test_beta_recovers_both_slopes(logits: np.ndarray) -> None:
    truth = 1.5 * np.logaddexp(0, logits) - 0.3 * np.logaddexp(0, -logits) - 1.0
    found = fit("beta", logits, draw(truth))
    assert (found.low, found.high, found.offset) == pytest.approx((0.3, 1.5, -1.0), abs=0.1)


def test_isotonic_is_scikit_learn_s_table_and_increases(logits: np.ndarray) -> None:
    labels = draw(np.where(logits > 0, 1.0, -3.0))
    found = fit("isotonic", logits, labels)
    chances = 1 / (1 + np.exp(-apply(found, logits)))
    expected = isotonic.IsotonicRegression().fit(logits, labels).predict(logits)
    assert np.abs(chances - expected).max() < 2e-3  # moved in from 0 and 1, and straight in log-odds between knots
    order = np.argsort(logits, kind="stable")
    assert (np.diff(apply(found, logits)[order])[np.diff(logits[order]) > 0] > 0).all()


def test_a_model_that_orders_backwards_is_not_turned_round(logits: np.ndarray) -> None:
    for method in METHODS:
        values = apply(fit(method, logits, draw(-logits)), np.array([-3.0, 0.0, 3.0], np.float32))
        assert values[0] < values[1] < values[2]


def test_logistic_regression_does_not_mind_units() -> None:
    generator = np.random.default_rng(6)
    features = generator.normal(size=(SIZE, 2))
    labels = draw(2.0 * features[:, 0] + 0.5 * features[:, 1] - 1.0)
    weights, offset = fit_logistic(features * [1000.0, 0.001], labels)
    assert (*(weights * [1000.0, 0.001]), offset) == pytest.approx((2.0, 0.5, -1.0), abs=0.1)


def test_reliability_by_hand() -> None:
    """Four pairs of 0.5, one relevant; two of 0.9, both relevant."""
    chances = np.array([0.5] * 4 + [0.9] * 2)
    found = measure_reliability(np.log(chances / (1 - chances)), np.array([1, 0, 0, 0, 1, 1], bool))
    assert found.ece == pytest.approx((4 * 0.25 + 2 * 0.1) / 6)
    assert found.brier == pytest.approx((4 * 0.25 + 2 * 0.01) / 6)
    assert found.log_loss == pytest.approx(-(4 * np.log(0.5) + 2 * np.log(0.9)) / 6)
    assert found.ece_equal_mass == pytest.approx((0.5 * 4 + 2 * 0.1) / 6)  # six bins of one pair


def test_probabilities_that_are_right_have_next_to_no_error(logits: np.ndarray) -> None:
    exact = logits.astype(np.float64)
    assert measure_reliability(exact, draw(exact)).ece < 0.01
    assert measure_reliability(exact * 1e6, draw(exact)).log_loss < np.inf


def pairs_of(logits: np.ndarray, labels: np.ndarray, queries: int) -> LabelledPairs:
    return LabelledPairs(logits, labels, np.arange(len(logits)) % queries)


def test_the_method_that_is_true_wins_and_halves_the_error(logits: np.ndarray) -> None:
    some = logits[:4000]
    results = compare_methods(pairs_of(some, draw(0.5 * some - 3.0), 50))
    assert [result.method for result in results] == [RAW, *METHODS]
    chosen = choose_method(results)
    assert chosen.method in ("platt", "beta")  # a line is a beta map of equal slopes
    assert helps(results[0].held_back, chosen.held_back)


def test_nothing_helps_where_the_logits_are_right_already(logits: np.ndarray) -> None:
    some = logits[:4000]
    results = compare_methods(pairs_of(some, draw(some), 50))
    assert not helps(results[0].held_back, choose_method(results).held_back)


def test_queries_are_held_back_whole() -> None:
    queries = np.repeat(np.arange(13), 3)
    folds = split_queries(queries)
    assert len(folds) == 5
    assert (np.sum(folds, axis=0) == 1).all()
    for held in folds:
        assert not set(queries[held]) & set(queries[~held])
    assert len(split_queries(np.array([0, 1]))) == 2


@pytest.mark.parametrize(
    ("labels", "queries", "message"),
    [
        ([True, False], [0, 0], "1 query; at least 2"),
        ([False, False], [0, 1], "0 of 2 pairs are relevant"),
        ([True, True], [0, 1], "2 of 2 pairs are relevant"),
    ],
)
def test_pairs_that_teach_nothing_are_refused(labels: list[bool], queries: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LabelledPairs(np.zeros(2, np.float32), np.array(labels), np.array(queries))


def test_a_fold_without_both_kinds_is_refused() -> None:
    pairs = LabelledPairs(np.zeros(4, np.float32), np.array([True, False, False, False]), np.array([0, 0, 1, 1]))
    with pytest.raises(InputError, match="give more"):
        compare_methods(pairs)

"""Calibrations in manifests: read, bound to the model, applied to hits and limits."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrated import add_calibration
from cascaderank import Cascade, ConfigError, ModelError, Stage, kernels
from cascaderank.model import load_spec
from ranking import COUNTS, QUERY, TEXTS
from tiny import make_cross_encoder

PARAMETERS: dict[str, dict[str, Any]] = {
    "temperature": {"temperature": 2.0},
    "platt": {"a": 0.5, "b": -1.0},
    "beta": {"low": 0.5, "high": 2.0, "offset": -1.0},
    "isotonic": {"logits": [0.0, 1.0, 3.0], "log_odds": [-2.0, 0.0, 0.0]},
}
BY_HAND = {
    "temperature": lambda x: x / 2,
    "platt": lambda x: x / 2 - 1,
    "beta": lambda x: 2 * math.log1p(math.exp(x)) - 0.5 * math.log1p(math.exp(-x)) - 1,
    "isotonic": lambda x: -2 + 2 * min(x, 1.0),
}


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


@pytest.mark.parametrize("method", PARAMETERS)
def test_a_hit_has_the_probability_of_the_manifest_s_map(tmp_path: Path, method: str) -> None:
    folder = add_calibration(make_cross_encoder(tmp_path / "m"), method, **PARAMETERS[method])
    assert load_spec(folder).calibration.parameters() == PARAMETERS[method]
    with Cascade([Stage(folder, keep=7)]) as cascade:
        ranking = cascade.rank(QUERY, TEXTS)
    for hit in ranking:
        assert hit.score == COUNTS[hit.index]  # a score stays the model's own
        assert hit.probability == pytest.approx(sigmoid(BY_HAND[method](COUNTS[hit.index])), abs=1e-5)


def test_inside_a_plateau_the_order_is_the_logits(tmp_path: Path) -> None:
    """All but the first pass says the opposite; a table that is level everywhere still orders by logit."""
    level = add_calibration(make_cross_encoder(tmp_path / "m"), "isotonic", logits=[0.0, 9.0], log_odds=[0.0, 0.0])
    with Cascade([Stage(level, keep=7)], fusion="weighted") as cascade:
        ranking = cascade.rank(QUERY, TEXTS, scores=[-count for count in COUNTS])
    assert [COUNTS[hit.index] for hit in ranking] == sorted(COUNTS, reverse=True)


def test_min_probability_is_a_limit_on_the_logit(tmp_path: Path) -> None:
    folder = add_calibration(make_cross_encoder(tmp_path / "m"), a=2.0, b=-4.0)
    with Cascade([Stage(folder, keep=7, min_probability=0.5)]) as cascade:
        ranking = cascade.rank(QUERY, TEXTS)
    assert ranking.kept == 3  # counts 2, 3 and 4: log-odds 0, 2 and 4
    assert [hit.probability >= 0.5 for hit in ranking] == [True] * 3 + [False] * 4


def test_of_two_limits_the_higher_one_counts(tmp_path: Path) -> None:
    folder = add_calibration(make_cross_encoder(tmp_path / "m"), a=2.0, b=-4.0)
    for limits, kept in (({"min_score": 3.0}, 2), ({"min_score": 1.0}, 3)):
        with Cascade([Stage(folder, keep=7, min_probability=0.5, **limits)]) as cascade:
            assert cascade.rank(QUERY, TEXTS).kept == kept


def test_without_a_calibration_there_is_no_probability(models: Path) -> None:
    with Cascade([Stage(models / "ce", keep=7)]) as cascade:
        assert {hit.probability for hit in cascade.rank(QUERY, TEXTS)} == {None}
    with pytest.raises(ConfigError, match=r"(?s)'ce'.*min_probability needs.*calibrate"):
        Cascade([Stage(models / "ce", keep=7, min_probability=0.5)])


def test_a_probability_is_of_the_stage_that_was_reached(tmp_path: Path, models: Path) -> None:
    folder = add_calibration(make_cross_encoder(tmp_path / "m"), a=1.0, b=0.0)
    with Cascade([Stage(models / "bi", keep=2), Stage(folder, keep=2)]) as cascade:
        ranking = cascade.rank(QUERY, TEXTS)
    assert [hit.probability is not None for hit in ranking] == [True] * 2 + [False] * 5


def test_a_squashed_model_s_logits_are_kept_beside_its_scores(tmp_path: Path) -> None:
    folder = make_cross_encoder(tmp_path / "m", graph={"bias": 30.0}, output__score="sigmoid")
    with Cascade([Stage(folder, keep=7)]) as cascade:
        ranking = cascade.rank(QUERY, TEXTS)
    assert {hit.score for hit in ranking} == {1.0}
    assert ranking.logits.tolist() == [[COUNTS[index] + 30.0] for index in ranking.order.tolist()]


@pytest.mark.parametrize(
    ("method", "parameters", "message"),
    [
        ("sigmoid", {}, "method is 'sigmoid', expected one of temperature, platt, beta, isotonic"),
        ("platt", {"a": 1.0}, "key 'b' is missing"),
        ("platt", {"a": -1.0, "b": 0.0}, "must keep the order"),
        ("temperature", {"temperature": 0.0}, "must keep the order"),
        ("beta", {"low": 1.0, "high": 0.0, "offset": 0.0}, "must keep the order"),
        ("isotonic", {"logits": [0.0, 0.0], "log_odds": [0.0, 1.0]}, "logits that increase"),
        ("isotonic", {"logits": [0.0, 1.0], "log_odds": [1.0, 0.0]}, "never decrease"),
        ("isotonic", {"logits": [0.0], "log_odds": []}, "1 logits and 0 log_odds"),
        ("isotonic", {"logits": ["a"], "log_odds": [0.0]}, "expected a list of finite numbers"),
    ],
)
def test_what_is_no_calibration_is_refused(
    tmp_path: Path, method: str, parameters: dict[str, Any], message: str
) -> None:
    folder = add_calibration(make_cross_encoder(tmp_path / "m"), method, **parameters)
    with pytest.raises(ModelError, match=message):
        load_spec(folder)


def test_a_calibration_of_another_model_is_refused_with_what_to_do(tmp_path: Path) -> None:
    other = load_spec(make_cross_encoder(tmp_path / "other", graph={"bias": 1.0})).digest
    folder = add_calibration(make_cross_encoder(tmp_path / "m"), a=1.0, b=0.0, model=other)
    with pytest.raises(ModelError, match=r"(?s)fitted to model.*cascaderank calibrate.*remove \[calibration\]"):
        load_spec(folder)


def test_the_digest_ignores_the_calibration(tmp_path: Path) -> None:
    folder = make_cross_encoder(tmp_path / "m")
    before = load_spec(folder).digest
    assert load_spec(add_calibration(folder, a=2.0, b=1.0)).digest == before


@given(st.sampled_from(sorted(PARAMETERS)), st.floats(0.05, 0.95))
def test_the_first_logit_passes_and_the_one_before_does_not(method: str, limit: float) -> None:
    slopes = {"temperature": (0.5, 0.5, 0.0), "platt": (0.5, 0.5, -1.0), "beta": (0.5, 2.0, -1.0)}
    table = PARAMETERS["isotonic"] if method == "isotonic" else {"logits": [], "log_odds": []}
    native = kernels.Calibration(*slopes.get(method, (1.0, 1.0, 0.0)), table["logits"], table["log_odds"])
    wanted = math.log(limit / (1 - limit))
    found = native.first_logit(wanted)
    if math.isinf(found):
        assert method == "isotonic"
        assert not -2.01 < wanted < 0.01  # the table does not reach so far
        return
    around = np.array([found - abs(found) * 1e-3 - 1e-3, found + abs(found) * 1e-3 + 1e-3], np.float32)
    below, above = kernels.log_odds(native, around).tolist()
    assert below < wanted <= above

"""Fusion in a cascade: the first pass and every stage, against the slow reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import reference
from calibrated import add_calibration
from cascaderank import (
    Cascade,
    ConfigError,
    Stage,
)
from cascaderank.config import CascadeConfig
from ranking import COUNTS, QUERY, TEXTS, summary
from tiny import make_cross_encoder


@pytest.mark.parametrize("fusion", ["last", "rrf", "convex"])
@pytest.mark.parametrize("normalisation", ["z-score", "min-max"])
@pytest.mark.parametrize("first", [False, True])
def test_fusion_equals_the_reference(models: Path, fusion: str, normalisation: str, first: bool) -> None:
    """The values of those that reached the last stage, over the first pass and both stages."""
    scores = [0.5, 0.1, 0.2, 0.9, 0.8, 0.7, 0.0]
    stages = [Stage(models / "bi", keep=5, weight=0.5), Stage(models / "ce", keep=2)]
    with Cascade(stages, fusion=fusion, normalisation=normalisation, rrf_k=7.0, weights={"first": 2.0}) as cascade:
        ranking = cascade.rank(QUERY, TEXTS, scores=scores if first else None)
        bi = {hit.index: hit.scores[0] for hit in ranking}
    slow = reference.Pool(
        7, np.float32(scores).tolist() if first else None, 2, fusion, normalisation, 7.0, [2.0, 0.5, 1.0]
    )
    for stage, (keep, logits) in enumerate(((5, bi), (2, dict(enumerate(COUNTS))))):
        slow.collect(stage, range(len(slow.alive)), [logits[index] for index in slow.alive])
        slow.prune(stage, keep, None, None)
    assert ranking.order.tolist() == slow.order()
    assert [hit.score for hit in ranking] == pytest.approx([slow.settled[i].value for i in slow.order()], abs=1e-6)


def test_the_first_pass_takes_part_with_its_weight(models: Path) -> None:
    """With nearly all the weight it decides; with none it does not."""
    first = [float(index == 4) for index in range(7)]
    for weight, best in ((100.0, 4), (0.0, 6)):
        with Cascade([Stage(models / "ce", keep=7)], fusion="convex", weights={"first": weight}) as cascade:
            assert cascade.rank(QUERY, TEXTS, scores=first)[0].index == best


def test_a_missing_first_pass_leaves_the_others_proportions(models: Path) -> None:
    stages = [Stage(models / "bi", keep=7), Stage(models / "ce", keep=7)]
    with Cascade(stages, fusion="convex", weights={"first": 5.0}) as heavy, Cascade(stages, fusion="convex") as light:
        assert summary(heavy.rank(QUERY, TEXTS)) == summary(light.rank(QUERY, TEXTS))


def test_weighted_fusion_adds_calibrated_log_odds(tmp_path: Path) -> None:
    one = add_calibration(make_cross_encoder(tmp_path / "one"), a=1.0, b=-1.0)
    two = add_calibration(make_cross_encoder(tmp_path / "two", graph={"scale": 0.5}), a=3.0, b=-1.0)
    with Cascade([Stage(one, keep=7, weight=3.0), Stage(two, keep=7)], fusion="weighted") as cascade:
        ranking = cascade.rank(QUERY, TEXTS, scores=[float(index) for index in range(7)])

    by_hand = {i: 0.75 * (count - 1) + 0.25 * (3 * count / 2 - 1) for i, count in enumerate(COUNTS)}
    assert [hit.score for hit in ranking] == pytest.approx([by_hand[index] for index in ranking.order.tolist()])
    # Ties keep the previous order, which is the first pass's: 5 before 1, 4 before 0.
    assert ranking.order.tolist() == [6, 2, 3, 5, 1, 4, 0]
    assert ranking[0].probability == pytest.approx(1 / (1 + np.exp(-(3 * 4 / 2 - 1))))  # of the stage it reached


def test_weighted_fusion_takes_a_calibrated_first_pass(tmp_path: Path) -> None:
    folder = add_calibration(make_cross_encoder(tmp_path / "m"), a=1.0, b=0.0)
    config = CascadeConfig((Stage(folder, keep=7),), fusion="weighted", first_weight=3.0, first_calibration=(2.0, -1.0))
    first = [float(index) for index in range(7)]
    with Cascade(config) as cascade:
        ranking = cascade.rank(QUERY, TEXTS, scores=first)
    by_hand = {i: 0.75 * (2 * first[i] - 1) + 0.25 * count for i, count in enumerate(COUNTS)}
    assert [hit.score for hit in ranking] == pytest.approx([by_hand[index] for index in ranking.order.tolist()])


def test_weighted_fusion_over_an_uncalibrated_stage_is_refused(models: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?s)'ce'.*calibration.*convex"):
        Cascade([Stage(models / "ce", keep=1)], fusion="weighted")

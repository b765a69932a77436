"""A trial says in this process what it found in another."""

from __future__ import annotations

from pathlib import Path

import pytest

from cascaderank import Cascade, CascadeConfig, CascadeError, ModelError, ScoreError, Stage
from cascaderank.trial import Trial, check
from tiny import make_cross_encoder


def test_it_finds_how_each_stage_runs(models: Path) -> None:
    """One row a run is said for the second stage, so there is nothing to choose for it."""
    stages = (Stage(models / "ce", keep=5), Stage(models / "ce2", keep=3, max_rows=1, threads=1))
    plan, nothing = Trial().run(CascadeConfig(stages, workers=2), None)
    assert plan is not None
    assert (plan.lanes, plan.threads) in {(2, 1), (1, 2)}
    assert nothing is None


def test_errors_come_through_as_they_are(tmp_path: Path) -> None:
    folder = make_cross_encoder(tmp_path / "ce", graph={"nan_word": "[UNK]"})
    with pytest.raises(CascadeError, match="not a finite number") as found:
        Trial().run(CascadeConfig((Stage(folder, keep=5),)), None)
    assert type(found.value).__name__ == "ScoreError"


def test_a_stage_that_skips_few_candidates_is_tried_as_well(models: Path, tmp_path: Path) -> None:
    folder = make_cross_encoder(tmp_path / "broken", graph={"nan_word": "[UNK]"})
    stages = (Stage(models / "ce", keep=5), Stage(folder, keep=3, candidates_over=3))
    with Cascade(CascadeConfig(stages)) as cascade, pytest.raises(ScoreError, match=r"'broken'.*not a finite number"):
        check(cascade)


def test_one_that_takes_for_ever_is_given_up(models: Path) -> None:
    with pytest.raises(ModelError, match=r"more than 0\.01 s"):
        Trial(patience_s=0.01).run(CascadeConfig((Stage(models / "ce", keep=5),)), None)


def test_after_its_end_there_are_no_more(models: Path) -> None:
    trial = Trial()
    trial.end()
    with pytest.raises(CascadeError, match="was ended"):
        trial.run(CascadeConfig((Stage(models / "ce", keep=5),)), None)

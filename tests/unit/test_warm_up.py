"""How a stage runs is measured, what the cascade file says stays, and no score changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cascaderank import Cascade, Stage
from cascaderank.warm_up import RunPlan
from ranking import QUERY, random_texts, summary
from tiny import make_cross_encoder


def test_plans_are_compared_and_one_is_used(models: Path) -> None:
    with Cascade([Stage(models / "ce", keep=5)], workers=2) as cascade:
        (found,) = cascade.warm_up()
    assert found.stage == "ce"
    assert len(found.compared) == 4  # one row side by side, two threads in one run, two sizes of shared runs
    assert all(plan.seconds > 0 for plan in found.compared)
    assert found.plan.seconds == min(plan.seconds for plan in found.compared)
    assert (found.plan.lanes, found.plan.threads) in {(2, 1), (1, 2)}
    assert "side by side" in str(found.plan)


@pytest.mark.parametrize(
    "pinned", [{"threads": 1, "max_rows": 1}, {"threads": 2, "token_budget": 64}, {"threads": 1, "token_budget": 64}]
)
def test_what_the_file_says_stays(models: Path, pinned: dict[str, int]) -> None:
    with Cascade([Stage(models / "ce", keep=5, **pinned)], workers=2) as cascade:
        (found,) = cascade.warm_up()
    assert found.compared == ()
    assert found.plan.threads == pinned["threads"]
    assert found.plan.lanes == 2 // pinned["threads"]
    assert found.plan.token_budget == pinned.get("token_budget", found.plan.token_budget)


def test_plans_that_were_found_before_are_taken_as_they_are(models: Path) -> None:
    """One that differs from what the stage would do by itself in all it can; nothing is measured, no score changes."""
    plan = RunPlan(token_budget=64, max_rows=3, lanes=1, threads=2)
    texts = random_texts(12, 3)
    with Cascade([Stage(models / "ce", keep=5), Stage(models / "ce2", keep=3)], workers=2) as cascade:
        before = summary(cascade.rank(QUERY, texts))
        first, second = cascade.warm_up([plan, None])
        assert (first.plan, first.compared) == (plan, ())
        assert second.compared
        assert summary(cascade.rank(QUERY, texts)) == before
        with pytest.raises(ValueError, match="shorter"):
            cascade.warm_up([plan])


def test_a_model_that_is_not_batch_invariant_never_shares_a_run(tmp_path: Path) -> None:
    folder = make_cross_encoder(tmp_path / "alone", precision__batch_invariant=False)
    with Cascade([Stage(folder, keep=5)], workers=2) as cascade:
        (found,) = cascade.warm_up()
    assert {plan.max_rows for plan in found.compared} == {1}


def test_one_worker_leaves_little_to_choose(models: Path) -> None:
    with Cascade([Stage(models / "ce", keep=5, max_rows=1)], workers=1) as cascade:
        (found,) = cascade.warm_up()
    assert found.compared == ()
    assert str(found.plan) == "one row a run, 1 run side by side"


def test_warmed_or_not_the_scores_are_the_same(models: Path) -> None:
    stages = [Stage(models / "bi", keep=30), Stage(models / "late", keep=20), Stage(models / "ce", keep=10)]
    texts = random_texts(100)
    with Cascade(stages) as cold, Cascade(stages, workers=4) as warm:
        expected = cold.rank(QUERY, texts)
        warm.warm_up()
        found = warm.rank(QUERY, texts)
    assert [hit[:2] for hit in summary(found)] == [hit[:2] for hit in summary(expected)]
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5, atol=1e-6)

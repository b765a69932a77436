"""``early_stop`` in a cascade: the same answer from fewer pairs, and the trace says how many fewer."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibrated import add_calibration
from cascaderank import Cascade, ConfigError, Stage
from cascaderank.config import CascadeConfig
from ranking import QUERY, random_texts
from tiny import make_cross_encoder

TEXTS = random_texts(60)
FIRST = [float(len(TEXTS) - place) for place in range(len(TEXTS))]


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Log-odds between -1 and 1 whatever the count of equal words."""
    folder = make_cross_encoder(tmp_path_factory.mktemp("early") / "m")
    return add_calibration(folder, "isotonic", logits=[0.0, 4.0], log_odds=[-1.0, 1.0])


def config(folder: Path, *, early: bool, keep: int = 5, **stage: float) -> CascadeConfig:
    return CascadeConfig(
        (Stage(folder, keep=keep, **stage),), fusion="weighted", first_calibration=(0.2, -6.0), early_stop=early
    )


@pytest.mark.parametrize("top_n", [1, 3, 5, None])
def test_the_answer_is_that_of_scoring_everybody(bounded: Path, top_n: int | None) -> None:
    with Cascade(config(bounded, early=True)) as early, Cascade(config(bounded, early=False)) as full:
        one, other = (cascade.rank(QUERY, TEXTS, scores=FIRST, top_n=top_n) for cascade in (early, full))
    kept = top_n or 5
    assert [(hit.id, hit.score) for hit in one[:kept]] == [(hit.id, hit.score) for hit in other[:kept]]
    stage = one.trace.stages[0]
    assert 0 < stage.spared == 60 - stage.scored
    assert "could not get through" in stage.note
    assert not one.degraded
    assert len(one) == len(other)  # nobody is missing: those spared follow in the first pass's order
    assert other.trace.stages[0].spared == 0


def test_an_unbounded_calibration_spares_nobody(tmp_path: Path) -> None:
    folder = add_calibration(make_cross_encoder(tmp_path / "m"), a=1.0, b=0.0)
    with Cascade(config(folder, early=True)) as cascade:
        assert cascade.rank(QUERY, TEXTS, scores=FIRST).trace.stages[0].spared == 0


@pytest.mark.parametrize("limit", [{"min_score": 1.0}, {"min_probability": 0.5}, {"margin": 1.0}])
def test_a_stage_with_limits_is_scored_in_full(bounded: Path, limit: dict[str, float]) -> None:
    with Cascade(config(bounded, early=True, **limit)) as early, Cascade(config(bounded, early=False, **limit)) as full:
        one, other = (cascade.rank(QUERY, TEXTS, scores=FIRST) for cascade in (early, full))
    assert one.trace.stages[0].spared == 0
    assert one.order.tolist() == other.order.tolist()


def test_other_fusions_are_never_decided_early(bounded: Path) -> None:
    with pytest.raises(ConfigError, match="early_stop with fusion 'convex'"):
        CascadeConfig((Stage(bounded, keep=1),), fusion="convex", early_stop=True)

"""``cascaderank profile``: the steps of a request add up to its time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cascaderank.cli.main import main
from cascaderank.errors import InputError
from cascaderank.evaluate.profile import MODEL, request_steps, summarize_steps
from cascaderank.evaluate.profile_plot import check_profile_plot
from cascaderank.results import StageTrace, Trace


def test_profile_of_a_folder(
    cascade_file: Path, beir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, plot = tmp_path / "profile.json", tmp_path / "profile.svg"
    arguments = ["profile", str(cascade_file), "--data", str(beir), "--requests", "5", "--json", str(out)]
    assert main([*arguments, "--plot", str(plot)]) == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["requests"] == 5
    assert {step["stage"] for step in found["steps"]} == {"request", "bi", "ce"}
    assert 0 < found["outside_share"][1] < 1
    assert "<svg" in plot.read_text(encoding="utf-8")
    printed = capsys.readouterr().out
    for text in ("outside session.run", "plan and pack", "collect and prune", "of a request"):
        assert text in printed


def test_steps_add_up_to_the_request() -> None:
    stage = StageTrace(
        "ce", "cross_encoder", "cpu", 9, 9, 3, tokenize_ms=1.0, pack_ms=2.0, run_ms=60.0, model_ms=50.0, prune_ms=0.5,
        total_ms=64.0,
    )  # fmt: skip
    steps = request_steps(Trace((stage,), total_ms=70.0, read_ms=3.0, finish_ms=2.0), 71.5)
    assert sum(steps.values()) == pytest.approx(71.5)
    assert steps["ce", MODEL] == 50.0
    assert steps["ce", "hand over, uneven ends"] == 10.0
    assert steps["ce", "rest"] == pytest.approx(0.5)
    profile = summarize_steps([steps, {}, steps], [71.5, 1.0, 71.5])
    assert profile.outside_share[1] == pytest.approx(1 - 50 / 71.5)
    held = {(step.stage, step.name): step for step in profile.steps}
    assert held["ce", MODEL].ms == 50.0
    assert held["ce", MODEL].low == 25.0  # a request without the stage took 0 ms in it


def test_a_plot_of_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"\.png or \.svg"):
        check_profile_plot(Path("profile.html"))

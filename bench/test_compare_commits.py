"""The regression guard finds a planted slow-down and calls noise noise."""

from __future__ import annotations

import time

import pytest
from compare_commits import Round, alternate_rounds, judge


def planted(side: str) -> Round:
    """A workload whose second step sleeps longer in the new tree."""
    found = {}
    for step, seconds in (("steady", 0.004), ("slowed", 0.008 if side == "new" else 0.004)):
        started = time.perf_counter()
        time.sleep(seconds)
        found[step] = time.perf_counter() - started
    return found


def test_a_planted_sleep_is_found() -> None:
    old, new = alternate_rounds(planted, 7)
    verdicts = {one.step: one for one in judge(old, new, 0.4)}
    assert verdicts["slowed"].slower
    assert not verdicts["steady"].slower
    backwards = {one.step: one for one in judge(new, old, 0.4)}
    assert backwards["slowed"].faster
    assert not backwards["slowed"].slower


def test_an_interval_that_reaches_the_threshold_is_noise() -> None:
    """The median is 20 % slower; a quarter of the rounds are not."""
    old = [{"step": 1.0}] * 8
    new = [{"step": seconds} for seconds in (0.9, 0.95, 1.0, 1.2, 1.2, 1.3, 1.3, 1.4)]
    (verdict,) = judge(old, new, 0.05)
    assert verdict.ratio.median == pytest.approx(1.2)
    assert verdict.word == "same"


def test_every_other_round_begins_with_the_new_commit() -> None:
    order: list[str] = []

    def run(side: str) -> Round:
        order.append(side)
        return {"step": 1.0}

    alternate_rounds(run, 3)
    assert order == ["old", "new", "new", "old", "old", "new"]


def test_rounds_that_do_not_match_are_refused() -> None:
    with pytest.raises(SystemExit, match="1 rounds of the old commit, 0 of the new"):
        judge([{"step": 1.0}], [], 0.05)

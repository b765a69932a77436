"""A sweep on a target whose capacity is known, what it says of one that answers nobody, and the promises it judges."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from cascaderank.errors import CascadeError
from cascaderank.evaluate.load import Reply
from cascaderank.evaluate.load.record import clock
from cascaderank.evaluate.load.run import LoadBench, LoadSettings, judge
from loads import Fake, requests


def no_bar(text: str) -> AbstractContextManager[Callable[[int, int], None]]:
    del text
    return nullcontext(lambda done, total: None)


def bench(behave: Callable[[int], float | Reply], **settings: Any) -> tuple[LoadBench, list[float | None]]:
    deadlines: list[float | None] = []

    def target(deadline_ms: float | None) -> Fake:
        deadlines.append(deadline_ms)
        return Fake(behave)

    settings = {"duration_s": 0.4, "step_s": 0.4, "settle_s": 0.1, "patience_s": 5.0, "lateness_ms": 1e4, **settings}
    qrels = {request.query_id: {"a": 1} for request in requests()}
    return LoadBench(target, requests(), qrels, LoadSettings(**settings), no_bar), deadlines


def test_a_sweep_finds_the_capacity() -> None:
    """One server of 20 ms a request answers at most 50 a second, however many come."""
    subject, deadlines = bench(lambda number: 0.02, deadline_ms=150.0, shares=(0.7, 1.5), duration_s=0.8)
    found = subject.sweep()
    assert set(deadlines[:-2]) == {None}  # neither the closed loop nor the search knows a hurry
    assert deadlines[-2:] == [150.0, 150.0]
    assert 20 < found["closed_loop"]["throughput_per_s"] <= 52.5
    assert 10 < found["saturation_rate"] < 80  # short steps of a Poisson process: chance has a say
    assert found["closed_loop"]["ndcg_10"] == 1.0
    assert [point["share"] for point in found["points"]] == [0.7, 1.5]
    assert all(point["throughput_per_s"] <= 52.5 for point in found["points"])


def test_a_target_that_answers_nobody_is_said_so() -> None:
    subject, _ = bench(lambda number: Reply("failed", clock(), "HTTP 404"), step_s=0.1)
    with pytest.raises(CascadeError, match=r"HTTP 404.*is the address the right one"):
        subject.sweep()


def test_a_deadline_that_nobody_can_meet_is_no_saturation() -> None:
    subject, _ = bench(lambda number: 0.02, step_s=0.2, deadline_ms=1.0, shares=(0.7,))
    found = subject.sweep()
    assert found["saturation_rate"] > 10.0
    assert found["points"][0]["in_time_share"] == 0.0


def test_a_target_that_always_leaves_something_out_follows_no_rate() -> None:
    subject, _ = bench(lambda number: Reply("answered", clock(), degraded=True), step_s=0.05)
    with pytest.raises(CascadeError, match="shorter than one request takes"):
        subject.sweep()


def test_promises_are_judged_by_the_shares_that_were_measured() -> None:
    def point(share: float, **changes: Any) -> dict[str, Any]:
        base = {"share": share, "ms": {"p50": 100.0, "p99": 240.0}, "deadline_ms": 300.0, "in_time_share": 0.9995}
        return {**base, "goodput_per_s": 9.5, "overdue": 0, **changes}

    good = judge([point(0.7), point(1.0), point(1.5)], 10.0)
    assert [(bar["reached"], bar["met"]) for bar in good] == [(2.4, True), (0.9995, True), (0.95, True), (0.0, True)]
    bad = judge([point(0.7, in_time_share=0.99, ms={"p50": 1.0, "p99": 2.6}), point(1.5, overdue=1)], 11.0)
    assert [bar["met"] for bar in bad] == [False, False, False, False]
    assert [bar["bar"] for bar in judge([point(0.7, deadline_ms=None)], 10.0)] == ["P99 over P50 at 70 %"]
    assert judge([point(0.5), point(1.2)], 10.0) == []

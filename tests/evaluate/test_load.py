"""The open loop: when it sends, what it counts, and what a closed loop would have hidden."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
import pytest

from cascaderank.errors import InputError
from cascaderank.evaluate.load import Reply, closed_loop, open_loop, poisson_arrivals, summarize_load
from cascaderank.evaluate.load.saturation import find_saturation
from loads import Fake, requests, run, sent


def test_arrivals_are_a_poisson_process() -> None:
    """Of independent exponential gaps mean and standard deviation are 1 / rate; counts per second have their mean as
    variance; the same seed draws the same. Bounds: four standard errors."""
    times = poisson_arrivals(50.0, 400.0, seed=3)
    assert np.array_equal(times, poisson_arrivals(50.0, 400.0, seed=3))
    assert not np.array_equal(times[:100], poisson_arrivals(50.0, 400.0, seed=4)[:100])
    assert times[0] >= 0.0
    assert times[-1] < 400.0
    gaps = np.diff(times)
    assert (gaps >= 0).all()
    assert len(times) == pytest.approx(20_000, abs=4 * np.sqrt(20_000))
    assert gaps.mean() == pytest.approx(0.02, rel=4 / np.sqrt(len(gaps)))
    assert gaps.std() == pytest.approx(0.02, rel=8 / np.sqrt(len(gaps)))
    counts = np.bincount(times.astype(int), minlength=400)
    assert counts.var() / counts.mean() == pytest.approx(1.0, abs=4 * np.sqrt(2 / 400))


@pytest.mark.parametrize(("rate", "duration"), [(0.0, 1.0), (1.0, -1.0), (float("nan"), 1.0), (1.0, float("inf"))])
def test_no_arrivals_of_nonsense(rate: float, duration: float) -> None:
    with pytest.raises(InputError, match="positive and finite"):
        poisson_arrivals(rate, duration)


def test_a_stall_costs_everybody_who_came_in_it() -> None:
    """One server, 1 ms a request, but the fifth takes 0.4 s. Requests are due every 20 ms: the open loop goes on
    sending, and those due in the stall wait for its rest. A closed loop sends nothing meanwhile and sees one slow
    request, however much of the time the stall was."""
    due = np.arange(30) * 0.02
    target = Fake(lambda number: 0.4 if number == 4 else 0.001)
    found = asyncio.run(open_loop(target, requests(), due))
    latencies = np.array([one.latency_ms for one in found])
    ends = found[4].done_s
    assert ends - found[4].due_s >= 0.4
    for one in found[5:20]:
        assert one.sent_s < ends  # nobody waited for the stall to send
        assert one.latency_ms >= (ends - one.due_s) * 1e3  # and each waited for its rest
    assert latencies[5] > 350
    assert np.percentile(latencies, 90) > 300

    stalled = Fake(lambda number: 0.4 if number == 4 else 0.001)
    closed = asyncio.run(closed_loop(stalled, requests(), 1, 0.55))
    times = sorted(one.latency_ms for one in closed)
    assert times[-1] >= 400
    assert times[-2] < 200  # all but one


def test_a_driver_that_is_held_up_counts_it_and_says_so() -> None:
    """The target blocks the event loop itself for 0.2 s: what was due meanwhile is sent late, its latency counts from
    when it was due, and the run is not called valid."""
    due = np.arange(40) * 0.01

    class Blocking(Fake):
        async def answer(self, request: Any, late_ms: float = 0.0) -> Reply:
            if len(self.started) == 3:
                time.sleep(0.2)
            return await super().answer(request, late_ms)

    target = Blocking(lambda number: 0.0)
    found = asyncio.run(open_loop(target, requests(), due))
    assert found[4].lateness_ms > 150
    assert target.late_ms == pytest.approx([max(0.0, one.lateness_ms) for one in found])  # and the target is told
    assert found[4].latency_ms >= found[4].lateness_ms
    summary = summarize_load(run(*found, duration_s=0.4))
    assert summary["lateness_ms"]["p99"] > 150
    assert summary["valid"] is False
    assert summarize_load(run(*found, duration_s=0.4), lateness_ms=10_000)["valid"] is True


def test_who_is_not_answered_is_given_up() -> None:
    target = Fake(lambda number: 30.0 if number == 1 else 0.0)
    found = asyncio.run(open_loop(target, requests(), np.array([0.0, 0.01, 0.02]), patience_s=0.1))
    assert [one.reply.status for one in found] == ["answered", "unanswered", "answered"]
    assert target.cancelled == 1
    assert found[1].latency_ms >= 99
    assert found[2].latency_ms >= 85  # it stood behind the second


def test_a_fault_of_a_target_ends_the_run() -> None:
    def broken(number: int) -> float:
        raise ZeroDivisionError(number)

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(open_loop(Fake(broken), requests(), np.array([0.0, 0.01])))
    assert caught.group_contains(ZeroDivisionError)
    with pytest.raises(InputError, match="no requests"):
        asyncio.run(open_loop(Fake(lambda number: 0.0), [], np.array([0.0])))


def test_counts_and_rates() -> None:
    """Ten seconds, a deadline of 100 ms: three in time (one degraded), one late, one overdue, and one of each kind."""
    found = summarize_load(
        run(
            sent(0.0, 50.0),
            sent(1.0, 99.9, degraded=True),
            sent(2.0, 104.0),
            sent(3.0, 106.0),
            sent(4.0, 3.0, "refused"),
            sent(5.0, 2.0, "failed"),
            sent(6.0, 60_000.0, "unanswered"),
            sent(9.99, 90.0),
            deadline_ms=100.0,
        )
    )
    assert (found["requests"], found["answered"], found["in_time"], found["late"]) == (8, 5, 3, 2)
    assert (found["overdue"], found["degraded"], found["unanswered"]) == (1, 1, 1)
    assert (found["refused"], found["failed"]) == ({"Some": 1}, {"Some": 1})
    assert found["in_time_share"] == pytest.approx(3 / 8)
    assert found["sent_per_s"] == pytest.approx(0.8)
    # The last one was answered in time, but after the measurement's end.
    assert found["throughput_per_s"] == pytest.approx(0.4)
    assert found["goodput_per_s"] == pytest.approx(0.2)
    assert found["whole_per_s"] == pytest.approx(0.1)
    assert found["ms"]["max"] == 60_000.0  # who waited in vain is no reason to look faster
    assert found["ms"]["p50"] == pytest.approx(99.9)
    assert found["refused_ms"]["max"] == pytest.approx(3.0)
    assert found["p99_interval"] is None


def test_what_fills_the_queue_is_not_measured() -> None:
    found = summarize_load(run(sent(0.5, 900.0), sent(1.5, 10.0), sent(11.5, 10.0), settle_s=1.0))
    assert found["requests"] == 1
    assert found["ms"]["max"] == pytest.approx(10.0)
    assert found["throughput_per_s"] == pytest.approx(0.2)  # the first one's answer came within the measurement


def test_quality_of_the_answers() -> None:
    """The only relevant document is second in every answer: 1 / log2(3)."""
    found = summarize_load(run(sent(0.0, 1.0), sent(1.0, 1.0), sent(2.0, 1.0, "failed")), {"q0": {"b": 1}})
    assert found["ndcg_10"] == pytest.approx(1 / np.log2(3))


def test_nothing_was_sent() -> None:
    found = summarize_load(run())
    assert found["ms"] is None
    assert found["in_time_share"] == 0.0


@pytest.mark.parametrize("start", [1.0, 20.0, 95.0, 400.0])
def test_saturation_is_found(start: float) -> None:
    """A target that follows up to 100 a second and answers 100 above."""

    def measure(rate: float) -> dict[str, float]:
        return {"rate": rate, "requests": 1, "sent_per_s": rate, "whole_per_s": min(rate, 100.0)}

    found = find_saturation(measure, start)
    if start >= 20.0:  # a dozen steps from 1 do not reach it; what they found is still what was followed
        assert found.rate * 1.05 >= 100
        assert found.rate <= 100 / 0.95
        assert found.throughput == pytest.approx(100.0)
    assert len(found.steps) <= 12
    assert found.rate <= 100 / 0.95


def test_nothing_is_followed() -> None:
    found = find_saturation(lambda rate: {"requests": 5, "sent_per_s": rate, "whole_per_s": 0.0}, 10.0)
    assert found.rate == 0.0

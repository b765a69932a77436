"""Where a target saturates: the largest rate its answers still follow. Arithmetic over measurements, no clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

FOLLOWS = 0.95
"""A rate is followed where this share of the requests sent is matched by whole answers in the same time."""
_STEP = 1.25
_MOST = 12
Measure = Callable[[float], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Saturation:
    """``rate`` is the largest rate that was followed, ``throughput`` the most whole answers a second that any rate
    of the search got; ``steps`` are the summaries, in the order in which they were measured."""

    rate: float
    throughput: float
    steps: tuple[Mapping[str, Any], ...]


def follows(step: Mapping[str, Any]) -> bool:
    """By answers that left nothing out: a cascade that shrinks its cut-offs follows nearly any rate, with ever less.
    Against what was sent, not against the nominal rate: a Poisson process is off its rate by chance."""
    return bool(step["requests"] and step["whole_per_s"] >= FOLLOWS * step["sent_per_s"])


def find_saturation(measure: Measure, start: float, precision: float = 0.05) -> Saturation:
    """Step up from ``start`` (or down to a rate that is followed), then halve the gap until it is ``precision`` of the
    rate; ``measure(rate)`` gives a run's summary. At most a dozen measurements."""
    steps: list[Mapping[str, Any]] = []

    def ok(rate: float) -> bool:
        steps.append(measure(rate))
        return follows(steps[-1])

    good, bad, rate = 0.0, 0.0, start
    while len(steps) < _MOST:
        if ok(rate):
            good = rate
        else:
            bad = rate
        if bad and good:
            break
        rate = rate * _STEP if good else rate / _STEP
    while good and bad and bad - good > precision * good and len(steps) < _MOST:
        middle = (good + bad) / 2
        if ok(middle):
            good = middle
        else:
            bad = middle
    return Saturation(good, max(step["whole_per_s"] for step in steps), tuple(steps))

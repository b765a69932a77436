"""Where each millisecond of a request goes: every step of every stage, from the traces, so that they add up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cascaderank.cascade import Cascade
from cascaderank.errors import InputError
from cascaderank.evaluate.requests import Request
from cascaderank.results import StageTrace, Trace
from cascaderank.store import Store

Progress = Callable[[int, int], None]
REQUEST = "request"
MODEL = "model"
"""The one step that is inside ``session.run``; everything else is counted as outside."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of one stage (or of the ``request`` itself) over all requests: milliseconds as median and quartiles, and
    the median of its share of a request."""

    stage: str
    name: str
    ms: float
    low: float
    high: float
    share: float

    def to_dict(self) -> dict[str, Any]:
        return {"stage": self.stage, "step": self.name, "ms": [self.low, self.ms, self.high], "share": self.share}


@dataclass(frozen=True, slots=True)
class Profile:
    """``total_ms`` and ``outside_share`` are (lower quartile, median, upper quartile) of a request's time and of the
    part of it outside ``session.run``; ``steps`` in the order of events."""

    requests: int
    total_ms: tuple[float, float, float]
    outside_share: tuple[float, float, float]
    steps: tuple[Step, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "total_ms": self.total_ms,
            "outside_share": self.outside_share,
            "steps": [step.to_dict() for step in self.steps],
        }


def profile_requests(
    cascade: Cascade,
    requests: Sequence[Request],
    store: Store | None,
    *,
    repeats: int,
    top_n: int | None = None,
    progress: Progress | None = None,
) -> Profile:
    """Answer ``repeats`` requests one after another, going round ``requests``, after a warm-up that is not counted.

    A request's time is from the call to the last hit read. Raises ``InputError`` without requests.
    """
    if repeats < 1 or not requests:
        raise InputError(f"profile: {repeats} requests of {len(requests)} queries; need 1 of each")
    cascade.warm_up()
    for request in requests[:3]:
        request.answer(cascade, store, top_n=top_n)
    measured: list[dict[tuple[str, str], float]] = []
    totals: list[float] = []
    for number in range(repeats):
        request = requests[number % len(requests)]
        begun = time.perf_counter()
        ranking = request.answer(cascade, store, top_n=top_n)
        list(ranking)
        total = (time.perf_counter() - begun) * 1e3
        measured.append(request_steps(ranking.trace, total))
        totals.append(total)
        if progress is not None:
            progress(number + 1, repeats)
    return summarize_steps(measured, totals)


def request_steps(trace: Trace, total_ms: float) -> dict[tuple[str, str], float]:
    """Milliseconds by (stage, step); they add up to ``total_ms``, the caller's own time of the whole request."""
    steps = {(REQUEST, "read ids and texts, store rows, the query"): trace.read_ms}
    for stage in trace.stages:
        steps |= {(stage.name, name): ms for name, ms in _stage_steps(stage).items()}
    staged = sum(stage.total_ms for stage in trace.stages)
    steps[REQUEST, "between stages"] = trace.total_ms - trace.read_ms - trace.finish_ms - staged
    steps[REQUEST, "fuse and finish"] = trace.finish_ms
    steps[REQUEST, "call and hits"] = total_ms - trace.total_ms
    return steps


def _stage_steps(stage: StageTrace) -> dict[str, float]:
    """``model`` is per worker: what others wait for while one still runs is "hand over, uneven ends"."""
    known = {
        "tokenise, store": stage.tokenize_ms,
        "plan and pack": stage.pack_ms,
        MODEL: stage.model_ms,
        "hand over, uneven ends": stage.run_ms - stage.model_ms,
        "collect and prune": stage.prune_ms,
    }
    return {**known, "rest": stage.total_ms - sum(known.values())}


def summarize_steps(measured: Sequence[dict[tuple[str, str], float]], totals: Sequence[float]) -> Profile:
    """Medians over requests; a step that a request did not have (its stage was skipped) took it 0 ms."""
    keys = list(dict.fromkeys(key for steps in measured for key in steps))
    whole = np.asarray(totals, np.float64)
    found, inside = [], np.zeros(len(totals))
    for stage, name in keys:
        ms = np.array([steps.get((stage, name), 0.0) for steps in measured])
        low, middle, high = np.quantile(ms, (0.25, 0.5, 0.75)).tolist()
        found.append(Step(stage, name, middle, low, high, float(np.median(ms / whole))))
        if name == MODEL:
            inside += ms
    return Profile(len(totals), _quartiles(whole), _quartiles(1.0 - inside / whole), tuple(found))


def _quartiles(values: Any) -> tuple[float, float, float]:
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
    return float(low), float(middle), float(high)

"""How long a cascade takes: a closed loop over requests, and what its traces add up to."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from cascaderank.cascade import Cascade
from cascaderank.errors import InputError
from cascaderank.evaluate.requests import Request
from cascaderank.results import StageTrace, Trace
from cascaderank.store import Store

Progress = Callable[[int, int], None]
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class Timing:
    """One request: milliseconds from call to answer, and its trace."""

    query_id: str
    ms: float
    degraded: bool
    trace: Trace


@dataclass(frozen=True, slots=True)
class LatencyRun:
    """A closed loop: ``concurrency`` callers, each sending its next request when the last was answered."""

    timings: tuple[Timing, ...]
    wall_s: float
    concurrency: int


def measure_latency(
    cascade: Cascade,
    requests: Sequence[Request],
    store: Store | None,
    *,
    repeats: int,
    concurrency: int = 1,
    deadline_ms: float | None = None,
    progress: Progress | None = None,
) -> LatencyRun:
    """Send ``repeats`` requests, going round ``requests``, after a warm-up that is not measured."""
    if repeats < 1 or concurrency < 1 or not requests:
        raise InputError(f"bench: {repeats} requests, {concurrency} callers, {len(requests)} queries; need 1 of each")
    cascade.warm_up()
    for request in requests[:3]:
        request.answer(cascade, store)
    timings: list[Timing | None] = [None] * repeats
    take, finished = count().__next__, count(1).__next__  # atomic under the interpreter lock

    def caller() -> None:
        while (number := take()) < repeats:
            request = requests[number % len(requests)]
            begun = time.perf_counter()
            ranking = request.answer(cascade, store, deadline_ms=deadline_ms)
            ms = (time.perf_counter() - begun) * 1e3
            timings[number] = Timing(request.query_id, ms, ranking.degraded, ranking.trace)
            done = finished()
            if progress is not None:
                progress(done, repeats)

    started = time.perf_counter()
    if concurrency == 1:
        caller()
    else:
        with ThreadPoolExecutor(concurrency, thread_name_prefix="bench") as pool:
            for future in [pool.submit(caller) for _ in range(concurrency)]:
                future.result()
    wall_s = time.perf_counter() - started
    return LatencyRun(tuple(timing for timing in timings if timing is not None), wall_s, concurrency)


def spread(values: Sequence[float]) -> dict[str, float]:
    """P50, P95, P99 by nearest rank (each is a measured value), the maximum and the mean."""
    points = np.percentile(values, PERCENTILES, method="inverted_cdf").tolist()
    found = {f"p{percent}": float(point) for percent, point in zip(PERCENTILES, points, strict=True)}
    return {**found, "max": float(max(values)), "mean": float(np.mean(values))}


def summarize(run: LatencyRun) -> dict[str, Any]:
    """What the run adds up to; times in milliseconds, rates per second of the whole run.

    ``pairs_per_s`` counts query-document pairs a cross-encoder scored, ``tokens_per_s`` all tokens sent to models,
    ``padding`` the share of the tensors that was padding, ``outside_share`` the share of the requests' time not spent
    inside ``session.run``.
    """
    timings = run.timings
    stages = [stage for timing in timings for stage in timing.trace.stages]
    names = list(dict.fromkeys(stage.name for stage in stages))
    total = sum(timing.trace.total_ms for timing in timings)
    pairs = sum(stage.scored for stage in stages if stage.kind == "cross_encoder")
    return {
        "requests": len(timings),
        "concurrency": run.concurrency,
        "wall_s": run.wall_s,
        "requests_per_s": len(timings) / run.wall_s,
        "ms": spread([timing.ms for timing in timings]),
        "degraded": sum(timing.degraded for timing in timings),
        "pairs_per_s": pairs / run.wall_s,
        "tokens_per_s": sum(stage.tokens for stage in stages) / run.wall_s,
        "padding": _padding(stages),
        "outside_ms": spread([timing.trace.outside_ms for timing in timings]),
        "outside_share": sum(timing.trace.outside_ms for timing in timings) / total if total else 0.0,
        "stages": [_stage([stage for stage in stages if stage.name == name], run.wall_s) for name in names],
    }


def _stage(traces: Sequence[StageTrace], wall_s: float) -> dict[str, Any]:
    scored = sum(trace.scored for trace in traces)
    return {
        "name": traces[0].name,
        "kind": traces[0].kind,
        "provider": traces[0].provider,
        "requests": len(traces),
        "candidates_in": float(np.mean([trace.candidates_in for trace in traces])),
        "candidates_out": float(np.mean([trace.candidates_out for trace in traces])),
        "ms": spread([trace.total_ms for trace in traces]),
        "model_ms": float(np.mean([trace.model_ms for trace in traces])),
        "scored_per_s": scored / wall_s,
        "tokens_per_pair": sum(trace.tokens for trace in traces) / scored if scored else 0.0,
        "padding": _padding(traces),
        "truncated_documents": sum(trace.truncated_documents for trace in traces),
    }


def _padding(traces: Sequence[StageTrace]) -> float:
    """Share of padding over several stages, each weighted by the size of its tensors."""
    tokens = sum(trace.tokens for trace in traces)
    tensors = sum(trace.tokens / (1.0 - trace.padding) for trace in traces if trace.tokens)
    return 1.0 - tokens / tensors if tensors else 0.0

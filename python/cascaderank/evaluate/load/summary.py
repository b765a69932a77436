"""What a load run adds up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cascaderank.evaluate.load.record import LoadRun, Sent
from cascaderank.evaluate.load.tails import p99_interval, tail
from cascaderank.evaluate.metrics import bootstrap_interval, ndcg

LATENESS_MS = 10.0
"""A driver whose P99 of lateness is above this, and above ``LATENESS_SHARE`` of the P50, measured itself."""
LATENESS_SHARE = 0.1
TOLERANCE = 1.05
"""An answer up to this many times the deadline old counts as late, one still older as ``overdue``."""
Qrels = Mapping[str, Mapping[str, int]]


def summarize_load(run: LoadRun, qrels: Qrels | None = None, lateness_ms: float = LATENESS_MS) -> dict[str, Any]:
    """Counts and latencies of the requests due within the measurement; rates of what happened within it.

    ``goodput_per_s`` counts answers within the deadline (all answers where there is none), ``whole_per_s`` those of
    them that left nothing out, ``throughput_per_s`` all answers. ``ms`` are answers and, as lower bounds, the requests
    that nobody answered; refusals and failures have figures of their own. ``in_time_share`` is of all requests,
    refused ones included. ``valid`` is False where the driver sent too late for the latencies to be the target's.
    """
    sent = run.measured
    answered = [one for one in sent if one.reply.status == "answered"]
    waited = run.waited_ms
    deadline = run.deadline_ms
    in_time = sum(_in_time(one, deadline) for one in answered)
    ends = run.settle_s + run.duration_s
    finished = [one for one in run.sent if one.reply.status == "answered" and run.settle_s <= one.done_s < ends]
    times, lateness = tail(waited), tail([one.lateness_ms for one in sent])
    found: dict[str, Any] = {
        "rate": run.rate,
        "duration_s": run.duration_s,
        "deadline_ms": deadline,
        "requests": len(sent),
        "sent_per_s": len(sent) / run.duration_s,
        "throughput_per_s": len(finished) / run.duration_s,
        "goodput_per_s": sum(_in_time(one, deadline) for one in finished) / run.duration_s,
        "whole_per_s": sum(_in_time(one, deadline) and not one.reply.degraded for one in finished) / run.duration_s,
        "answered": len(answered),
        "in_time": in_time,
        "in_time_share": in_time / len(sent) if sent else 0.0,
        "late": len(answered) - in_time,
        "overdue": 0 if deadline is None else sum(one.latency_ms > deadline * TOLERANCE for one in answered),
        "degraded": sum(one.reply.degraded for one in answered),
        "degraded_share": sum(one.reply.degraded for one in answered) / len(answered) if answered else 0.0,
        "refused": _count(sent, "refused"),
        "failed": _count(sent, "failed"),
        "unanswered": sum(one.reply.status == "unanswered" for one in sent),
        "ms": times,
        "p99_interval": p99_interval(waited),
        "refused_ms": tail([one.latency_ms for one in sent if one.reply.status == "refused"]),
        "lateness_ms": lateness,
        "valid": True,
        "stages": _stages(answered),
    }
    if lateness is not None:
        allowed = max(lateness_ms, LATENESS_SHARE * times["p50"]) if times is not None else lateness_ms
        found["valid"] = lateness["p99"] <= allowed
        found["lateness_allowed_ms"] = allowed
    if qrels is not None and (values := _ndcg(answered, qrels)):
        found["ndcg_10"], found["ndcg_10_interval"] = float(np.mean(values)), bootstrap_interval(values)
    return found


def _in_time(one: Sent, deadline: float | None) -> bool:
    return deadline is None or one.latency_ms <= deadline


def _count(sent: Sequence[Sent], status: str) -> dict[str, int]:
    """By what they are: an exception's class, an HTTP status."""
    return dict(sorted(Counter(one.reply.what for one in sent if one.reply.status == status).items()))


def _stages(answered: Sequence[Sent]) -> list[dict[str, Any]]:
    """Each stage's time as the target tells it; ``before`` is what the target's own time does not account for: the
    queue in front of it, the driver's lateness, the network."""
    times: dict[str, list[float]] = {}
    for one in answered:
        if one.reply.total_ms is not None:
            times.setdefault("before", []).append(one.latency_ms - one.reply.total_ms)
        for name, ms in one.reply.stages:
            times.setdefault(name, []).append(ms)
    return [{"name": name, "requests": len(values), "ms": tail(values)} for name, values in times.items()]


def _ndcg(answered: Sequence[Sent], qrels: Qrels) -> list[float]:
    """nDCG@10 of each answer; of the same query and order it is computed once."""
    known: dict[tuple[str, bytes], float] = {}
    values = []
    for one in answered:
        if one.reply.top is None:
            continue
        key = (one.request.query_id, one.reply.top.tobytes())
        if key not in known:
            ids = [one.request.ids[index] for index in one.reply.top.tolist()]
            known[key] = ndcg(qrels[one.request.query_id], ids)
        values.append(known[key])
    return values

"""The chosen cascade run for real: are its quality and its latency what the table said?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cascaderank.cascade import Cascade
from cascaderank.evaluate.latency import spread
from cascaderank.evaluate.metrics import ndcg
from cascaderank.evaluate.requests import Request, ranked_ids
from cascaderank.job import clock
from cascaderank.kernels import Explored
from cascaderank.store import Store
from cascaderank.tune.cost import CostMeter

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Checked:
    """One value per request: milliseconds from call to answer, and nDCG@10."""

    ms: tuple[float, ...]
    ndcg: tuple[float, ...]


def run_check(
    cascade: Cascade,
    requests: Sequence[Request],
    qrels: Mapping[str, Mapping[str, int]],
    store: Store,
    meter: CostMeter,
    progress: Progress | None = None,
) -> Checked:
    """Answer every request once, after a warm-up. The meter's rounds are run again in between, on their own requests:
    a prediction from them is of the same minutes as what is measured, so that a machine that became busier since the
    choice is not taken for an error of the model."""
    cascade.warm_up()
    for request in requests[:3]:
        request.answer(cascade, store)
    took, quality = [], []
    for number, request in enumerate(requests):
        begun = clock()
        ranking = request.answer(cascade, store)
        took.append((clock() - begun) * 1e3)
        quality.append(ndcg(qrels[request.query_id], ranked_ids(ranking, request.ids)))
        share = len(meter.rounds) / len(requests)
        for own in meter.rounds[round(number * share) : round((number + 1) * share)]:
            meter.run(*own)
        if progress is not None:
            progress(number + 1, len(requests))
    return Checked(tuple(took), tuple(quality))


def compare_check(checked: Checked, chosen: Explored, again: Explored) -> dict[str, Any]:
    """Measured beside what the table said: ``chosen`` by the costs that the choice was made with, ``again`` by those
    fitted during the check; one choice each, the checked queries. The errors are the predicted P50 over the measured
    one, less 1; ``ndcg_differs`` counts queries whose measured nDCG@10 is not the explored one."""
    measured = spread(checked.ms)
    before, now = float(np.median(chosen.ms[0])), float(np.median(again.ms[0]))
    return {
        "requests": len(checked.ms),
        "predicted_p50_ms": before,
        "predicted_again_p50_ms": now,
        "measured_p50_ms": measured["p50"],
        "measured_p95_ms": measured["p95"],
        "ms_error": before / measured["p50"] - 1.0,
        "ms_error_again": now / measured["p50"] - 1.0,
        "predicted_ndcg_10": float(chosen.ndcg[0].mean()),
        "measured_ndcg_10": float(np.mean(checked.ndcg)),
        "ndcg_differs": int((np.abs(chosen.ndcg[0] - np.array(checked.ndcg)) > 1e-5).sum()),
        "per_request": {
            "predicted_ms": chosen.ms[0].tolist(),
            "predicted_again_ms": again.ms[0].tolist(),
            "measured_ms": list(checked.ms),
        },
    }

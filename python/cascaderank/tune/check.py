"""The chosen cascade run for real: are its quality and its latency what the table said?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascaderank.cascade import Cascade
from cascaderank.evaluate.metrics import ndcg
from cascaderank.evaluate.requests import Request, ranked_ids
from cascaderank.schedule import clock
from cascaderank.store import Store

Progress = Callable[[int, int], None]


def check_prediction(
    cascade: Cascade,
    requests: Sequence[Request],
    qrels: Mapping[str, Mapping[str, int]],
    store: Store,
    predicted_ms: NDArray[np.float32],
    predicted_ndcg: NDArray[np.float32],
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Answer every request once, after a warm-up; predictions are per request. ``ms_error`` is the predicted P50 over
    the measured one, less 1; ``ndcg_differs`` counts queries whose measured nDCG@10 is not the explored one."""
    cascade.warm_up()
    for request in requests[:3]:
        request.answer(cascade, store)
    took, quality = [], []
    for number, request in enumerate(requests, start=1):
        begun = clock()
        ranking = request.answer(cascade, store)
        took.append((clock() - begun) * 1e3)
        quality.append(ndcg(qrels[request.query_id], ranked_ids(ranking, request.ids)))
        if progress is not None:
            progress(number, len(requests))
    predicted, measured = float(np.median(predicted_ms)), float(np.median(took))
    return {
        "requests": len(requests),
        "predicted_p50_ms": predicted,
        "measured_p50_ms": measured,
        "measured_p95_ms": float(np.percentile(took, 95, method="inverted_cdf")),
        "ms_error": predicted / measured - 1.0,
        "predicted_ndcg_10": float(predicted_ndcg.mean()),
        "measured_ndcg_10": float(np.mean(quality)),
        "ndcg_differs": int((np.abs(predicted_ndcg - np.array(quality)) > 1e-5).sum()),
        "per_request": {"predicted_ms": [float(value) for value in predicted_ms], "measured_ms": took},
    }

"""The cascade beside its last model over all candidates, alternating in one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cascaderank.cascade import Cascade
from cascaderank.errors import InputError
from cascaderank.evaluate.metrics import bootstrap_interval, ndcg
from cascaderank.evaluate.requests import Request, ranked_ids
from cascaderank.evaluate.variants import last_alone
from cascaderank.store import Store

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Milliseconds and nDCG@10 per query, of the cascade and of its last model (``model``) over all candidates."""

    model: str
    candidates: int
    query_ids: tuple[str, ...]
    cascade_ms: tuple[float, ...]
    reference_ms: tuple[float, ...]
    cascade_ndcg_10: tuple[float, ...]
    reference_ndcg_10: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """``speedup`` is the median of the queries' ratios; intervals are 95 % bootstrap intervals over queries.
        ``ndcg_10_difference`` is cascade minus reference, paired by query."""
        ratios = np.divide(self.reference_ms, self.cascade_ms)
        difference = np.subtract(self.cascade_ndcg_10, self.reference_ndcg_10)
        return {
            "model": self.model,
            "candidates": self.candidates,
            "queries": len(self.query_ids),
            "cascade_ms": float(np.median(self.cascade_ms)),
            "reference_ms": float(np.median(self.reference_ms)),
            "speedup": float(np.median(ratios)),
            "mean_speedup": float(ratios.mean()),
            "mean_speedup_interval": bootstrap_interval(ratios),
            "cascade_ndcg_10": float(np.mean(self.cascade_ndcg_10)),
            "reference_ndcg_10": float(np.mean(self.reference_ndcg_10)),
            "ndcg_10_difference": float(difference.mean()),
            "ndcg_10_difference_interval": bootstrap_interval(difference),
            "per_query": {
                "query_id": self.query_ids,
                "cascade_ms": self.cascade_ms,
                "reference_ms": self.reference_ms,
                "cascade_ndcg_10": self.cascade_ndcg_10,
                "reference_ndcg_10": self.reference_ndcg_10,
            },
        }


def compare_with_last_model(
    cascade: Cascade,
    requests: Sequence[Request],
    qrels: Mapping[str, Mapping[str, int]],
    store: Store | None,
    progress: Progress | None = None,
) -> Comparison:
    """Answer every request both ways, the order of the two changing from request to request."""
    if not requests:
        raise InputError("reference: no requests to compare on")
    reference = Cascade(last_alone(cascade.config))
    try:
        for one in (cascade, reference):
            one.warm_up()
        rows: list[tuple[float, float, float, float]] = []
        for number, request in enumerate(requests):
            relevant = qrels[request.query_id]
            found: dict[bool, tuple[float, float]] = {}
            for is_cascade in (True, False) if number % 2 == 0 else (False, True):
                begun = time.perf_counter()
                ranking = request.answer(cascade if is_cascade else reference, store)
                ms = (time.perf_counter() - begun) * 1e3
                found[is_cascade] = ms, ndcg(relevant, ranked_ids(ranking, request.ids))
            rows.append((found[True][0], found[False][0], found[True][1], found[False][1]))
            if progress is not None:
                progress(number + 1, len(requests))
        model = reference.names[0]
    finally:
        reference.close()
    columns = [tuple(column) for column in zip(*rows, strict=True)]
    most = max(len(request.ids) for request in requests)
    return Comparison(model, most, tuple(request.query_id for request in requests), *columns)

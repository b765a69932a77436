"""How well a cascade ranks: recall and nDCG of the first pass and after each stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from cascaderank.cascade import Cascade
from cascaderank.evaluate.metrics import bootstrap_interval, ndcg, recall
from cascaderank.evaluate.requests import Request, ranked_ids
from cascaderank.evaluate.variants import load_prefixes
from cascaderank.results import Ranking
from cascaderank.store import Store

Progress = Callable[[int, int], None]
FIRST_PASS = "first pass"


@dataclass(frozen=True, slots=True)
class PointQuality:
    """The order at one point of the cascade. ``kept`` candidates went on; the lists hold one value per query."""

    name: str
    kept: int
    recall_kept: tuple[float, ...]
    recall_10: tuple[float, ...]
    ndcg_10: tuple[float, ...]

    def to_dict(self, first: PointQuality) -> dict[str, Any]:
        """Means, 95 % bootstrap intervals over queries, and the paired gain in nDCG@10 over ``first``."""
        gain = np.subtract(self.ndcg_10, first.ndcg_10)
        return {
            "name": self.name,
            "kept": self.kept,
            "recall_kept": float(np.mean(self.recall_kept)),
            "recall_10": float(np.mean(self.recall_10)),
            "ndcg_10": float(np.mean(self.ndcg_10)),
            "ndcg_10_interval": bootstrap_interval(self.ndcg_10),
            "gain": float(gain.mean()),
            "gain_interval": bootstrap_interval(gain),
            "per_query": {"recall_kept": self.recall_kept, "recall_10": self.recall_10, "ndcg_10": self.ndcg_10},
        }


class StageOrders:
    """The order of all candidates after each stage but the last, found by running the first stages on their own."""

    def __init__(self, cascade: Cascade) -> None:
        self._prefixes = load_prefixes(cascade)

    def find(self, ids: Sequence[str], rank: Callable[[Cascade], Ranking]) -> list[list[str]]:
        """Ids, best first, after the first stage, the second, ... ``rank`` ranks ``ids`` (given best first) with the
        cascade that it is handed."""
        orders: list[list[str]] = []
        current = list(ids)
        for cascade in self._prefixes:
            if cascade is not None:  # None: these stages leave the order as it was
                current = ranked_ids(rank(cascade), ids)
            orders.append(current)
        return orders

    def close(self) -> None:
        for cascade in self._prefixes:
            if cascade is not None:
                cascade.close()


@contextmanager
def stage_orders(cascade: Cascade) -> Iterator[StageOrders]:
    """``StageOrders`` that closes what it loaded."""
    orders = StageOrders(cascade)
    try:
        yield orders
    finally:
        orders.close()


def measure_quality(
    cascade: Cascade,
    requests: Sequence[Request],
    qrels: Mapping[str, Mapping[str, int]],
    store: Store | None,
    progress: Progress | None = None,
) -> list[PointQuality]:
    """One entry for the first pass and one per stage. Recall counts relevant documents the first pass missed too."""
    names = [FIRST_PASS, *cascade.names]
    values: list[list[tuple[float, float, float]]] = [[] for _ in names]
    most = max(len(request.ids) for request in requests)
    kept = [most, *(min(stage.keep, most) for stage in cascade.config.stages)]
    with stage_orders(cascade) as orders:
        for number, request in enumerate(requests, start=1):
            relevant = qrels[request.query_id]
            final = ranked_ids(request.answer(cascade, store), request.ids)
            before = orders.find(request.ids, partial(request.answer, store=store))
            for point, order in enumerate([request.ids, *before, final]):
                values[point].append(
                    (recall(relevant, order, kept[point]), recall(relevant, order, 10), ndcg(relevant, order))
                )
            if progress is not None:
                progress(number, len(requests))
    return [
        PointQuality(name, count, *(tuple(column) for column in zip(*rows, strict=True)))
        for name, count, rows in zip(names, kept, values, strict=True)
    ]

"""Which relevant candidates a cascade loses, at which stage, for which query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cascaderank.evaluate.requests import Request
from cascaderank.kernels import Choices, Int64
from cascaderank.tune.explore import Explorer, relevant_counts


def find_lost(
    explorer: Explorer, names: Sequence[str], keeps: Int64, requests: Sequence[Request], queries: Int64
) -> list[dict[str, Any]]:
    """One entry per query that loses a relevant candidate, the worst first: how many the first pass found, and how many
    of them each stage dropped."""
    ran = np.flatnonzero(keeps).tolist()
    rows = np.zeros((len(ran), len(keeps)), np.int64)
    for number, stage in enumerate(ran):
        rows[number, ran[: number + 1]] = keeps[ran[: number + 1]]
        rows[number, stage] = keeps[stage]
    queries = explorer.with_relevant(queries)
    recall = explorer.run(Choices.fixed(rows), queries).recall.astype(np.float64)
    found = []
    counts = relevant_counts(explorer.table)
    for place, query in enumerate(queries.tolist()):
        relevant = int(counts[query])
        left = np.round(np.concatenate([[1.0], recall[:, place]]) * relevant).astype(int)
        dropped = {names[stage]: int(left[number] - left[number + 1]) for number, stage in enumerate(ran)}
        if any(dropped.values()):
            request = requests[query]
            found.append({"query_id": request.query_id, "query": request.query, "relevant": relevant, "lost": dropped})
    return sorted(found, key=lambda entry: -sum(entry["lost"].values()))

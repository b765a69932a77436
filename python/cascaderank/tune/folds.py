"""The whole procedure judged: every query reported on by a choice that the other folds made.

One half to choose and one to report on wastes half of a small set, and its figure depends on the draw. Here each fold
is held back once and the recommendation is made anew from the rest, so that all queries are reported on and none by a
choice it took part in. What is judged is the way to choose; the file that is written comes from the choosing half.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from cascaderank.kernels import Explored, Int64
from cascaderank.tune.figures import difference, summary
from cascaderank.tune.pareto import Bools, best_uncut, recommend

FOLDS = 5


def cross_validate(
    everything: Explored, keeps: Int64, allowed: Bools, uncut: Int64, budget_ms: float, seed: int
) -> dict[str, Any]:
    """``everything`` is explored over all queries, ``[c, q]``; ``uncut`` are the places without cut-offs, the best of
    which is chosen by the same folds. ``choices`` counts how often which cut-offs were chosen."""
    queries = everything.ndcg.shape[1]
    folds = min(FOLDS, queries)
    owner = np.random.default_rng(seed).permutation(queries) % folds
    chosen, whole = np.empty(queries, np.int64), np.empty(queries, np.int64)
    choices: Counter[tuple[int, ...]] = Counter()
    for fold in range(folds):
        rest, held = owner != fold, owner == fold
        ndcg = everything.ndcg[:, rest]
        p50 = np.median(everything.ms[:, rest], axis=1).astype(np.float64)
        place, _, _ = recommend(ndcg, p50, keeps, allowed, budget_ms)
        chosen[held], whole[held] = place, best_uncut(ndcg, uncut)
        choices[tuple(keeps[place].tolist())] += 1
    columns = np.arange(queries)
    quality, reference = everything.ndcg[chosen, columns], everything.ndcg[whole, columns]
    ms, reference_ms = everything.ms[chosen, columns], everything.ms[whole, columns]
    return {
        "folds": folds,
        "queries": queries,
        "recommended": summary(quality, ms),
        "best_without_cut_offs": summary(reference, reference_ms),
        "quality": float(quality.mean() / max(float(reference.mean()), 1e-12)),
        "latency": float(np.median(ms) / max(float(np.median(reference_ms)), 1e-9)),
        **difference(quality, reference),
        "choices": [{"keeps": list(cuts), "folds": count} for cuts, count in choices.most_common()],
    }

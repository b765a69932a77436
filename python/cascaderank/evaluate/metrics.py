"""Measures of one ranking against relevance judgements, and how sure a mean of them is.

``relevance`` maps the ids of judged documents to grades: 0 (or negative) is not relevant, larger is more relevant; a
document without a judgement counts as not relevant. ``ranked_ids`` is best first. No function changes its arguments.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from cascaderank.errors import InputError

_CHUNK = 1 << 20  # resampled values at a time, 8 MB


def ndcg(relevance: Mapping[str, int], ranked_ids: Sequence[str], k: int = 10) -> float:
    """nDCG@k with exponential gain, in [0, 1]; 0 where nothing is relevant, as trec_eval has it.

    DCG@k = sum over ranks r = 1..k of (2^grade - 1) / log2(r + 1), divided by the DCG@k of the best possible order of
    all judged documents. Burges et al., "Learning to Rank using Gradient Descent", 2005. (Järvelin and Kekäläinen,
    2002, take the grade itself as the gain; for grades 0 and 1 it is the same.)

    Raises ``InputError`` for ``k`` < 1 and for an id that is ranked twice.
    """
    top = _top(ranked_ids, k)
    ideal = _dcg(sorted((grade for grade in relevance.values() if grade > 0), reverse=True)[:k])
    if ideal == 0.0:
        return 0.0
    # The same sum in another order may be larger in its last bit.
    return min(_dcg([relevance.get(identifier, 0) for identifier in top]) / ideal, 1.0)


def recall(relevance: Mapping[str, int], ranked_ids: Sequence[str], k: int) -> float:
    """Recall@k: the share of the relevant documents that are among the first ``k``, in [0, 1]; 0 where there are none.

    Raises ``InputError`` for ``k`` < 1 and for an id that is ranked twice.
    """
    relevant = {identifier for identifier, grade in relevance.items() if grade > 0}
    found = relevant.intersection(_top(ranked_ids, k))
    return len(found) / len(relevant) if relevant else 0.0


def reciprocal_rank(relevance: Mapping[str, int], ranked_ids: Sequence[str], k: int | None = None) -> float:
    """1 / rank of the first relevant document (ranks count from 1), 0 where none is among the first ``k`` (or at all).

    Raises ``InputError`` for ``k`` < 1 and for an id that is ranked twice.
    """
    top = _top(ranked_ids, max(len(ranked_ids), 1) if k is None else k)
    for rank, identifier in enumerate(top, start=1):
        if relevance.get(identifier, 0) > 0:
            return 1.0 / rank
    return 0.0


def mean_reciprocal_rank(
    qrels: Mapping[str, Mapping[str, int]], run: Mapping[str, Sequence[str]], k: int | None = None
) -> float:
    """The mean of ``reciprocal_rank`` over the queries of ``qrels``; a query without a ranking in ``run`` counts 0.

    Voorhees, "The TREC-8 Question Answering Track Report", 1999. Raises ``InputError`` where ``qrels`` is empty.
    """
    if not qrels:
        raise InputError("qrels: no query; a mean over nothing is undefined")
    total = math.fsum(reciprocal_rank(relevance, run.get(query, ()), k) for query, relevance in qrels.items())
    return total / len(qrels)


def bootstrap_interval(
    values: ArrayLike, seed: int = 0, confidence: float = 0.95, samples: int = 10_000
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of ``values`` (one per query): (low, high).

    Queries are drawn anew, with replacement, ``samples`` times; the interval spans the middle ``confidence`` of the
    means. Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3. The same seed gives the same
    interval. For the difference of two systems give the per-query differences: the queries are then paired.

    Raises ``InputError`` for no values, values that are not finite, and settings out of their range.
    """
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or data.size == 0 or not np.isfinite(data).all():
        raise InputError(f"values: shape {data.shape}; expected a list of at least one finite number, one per query")
    if not 0.0 < confidence < 1.0 or samples < 1:
        raise InputError(f"confidence {confidence} must be between 0 and 1, samples {samples} at least 1")
    generator = np.random.default_rng(seed)
    means = np.empty(samples, dtype=np.float64)
    rows = max(1, _CHUNK // data.size)
    for start in range(0, samples, rows):
        stop = min(start + rows, samples)
        means[start:stop] = data[generator.integers(0, data.size, size=(stop - start, data.size))].mean(axis=1)
    low, high = np.quantile(means, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0])
    return float(low), float(high)


def _dcg(grades: Iterable[int]) -> float:
    return math.fsum(
        (2.0**grade - 1.0) / math.log2(rank + 1) for rank, grade in enumerate(grades, start=1) if grade > 0
    )


def _top(ranked_ids: Sequence[str], k: int) -> Sequence[str]:
    if k < 1:
        raise InputError(f"k: {k} is not a cut-off; give 1 or more")
    top = ranked_ids[:k]
    if len(set(top)) != len(top):
        twice = next(identifier for place, identifier in enumerate(top) if identifier in top[:place])
        raise InputError(f"ranked_ids: {twice!r} is ranked twice; drop the later one")
    return top

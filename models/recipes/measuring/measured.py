"""Measures of every system on one set, query by query, and what follows from them for the table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascaderank.config import CascadeConfig
from cascaderank.evaluate.metrics import bootstrap_interval, ndcg, recall
from measuring.bootstrap import interval_over_sets
from measuring.measures import average_precision
from measuring.sets import BAR, Lists, Task
from measuring.systems import FIRST, IN_BOTH, THE_BAR, Parts, orders

Values = NDArray[np.float64]  # one per query
Measured = dict[str, dict[str, Values]]  # system -> measure -> values


@dataclass(slots=True)
class SetResult:
    """One set. `narrow` reranks the first candidates (all of a judged list), `wide` what BM25 1000 leaves to others.

    `fp32` and `int8` are the narrow measures of the same few queries in both precisions.
    """

    task: Task
    queries: list[str]
    narrow: Measured
    wide: Measured = field(default_factory=dict)
    fp32: Measured = field(default_factory=dict)
    int8: Measured = field(default_factory=dict)


Results = Mapping[Task, SetResult]


def measure(config: CascadeConfig, lists: Lists, scored: Mapping[str, Parts]) -> Measured:
    """Every system on the queries of `scored`, whose parts cover the first candidates of each list."""
    rows: dict[str, dict[str, list[float]]] = {}
    for query, parts in scored.items():
        ids, grades = list(lists.first[query]), lists.collection.qrels[query]
        relevant = {document: int(grade >= lists.task.relevant) for document, grade in grades.items()}
        for system, order in orders(config, parts).items():
            ranked = [ids[i] for i in order]
            values = {"ndcg10": ndcg(grades, ranked)}
            if lists.task.source == "judged":
                values["map"] = average_precision(relevant, ranked)
            else:
                values |= {f"recall{k}": recall(relevant, ranked, k) for k in (20, 100)}
            for name, value in values.items():
                rows.setdefault(system, {}).setdefault(name, []).append(value)
    return {s: {name: np.array(v) for name, v in measures.items()} for s, measures in rows.items()}


def narrowed(scored: Mapping[str, Parts], depth: int) -> dict[str, Parts]:
    """The first `depth` candidates of every part."""
    return {query: {part: values[:depth] for part, values in parts.items()} for query, parts in scored.items()}


def parts_of(
    lists: Lists, by_model: Mapping[str, Sequence[Values]], queries: Iterable[str], depth: int
) -> dict[str, Parts]:
    """Per query its first pass's scores and every model's, cut at `depth`."""
    return {
        query: {
            FIRST: np.array(list(lists.first[query].values()))[:depth],
            **{model: scores[number][:depth] for model, scores in by_model.items()},
        }
        for number, query in enumerate(queries)
    }


def bar_results(results: Results) -> list[SetResult]:
    """Those of the sets that the cascade is judged by."""
    return [results[task] for task in BAR if task in results]


def difference(results: Sequence[SetResult], system: str, other: str, name: str = "ndcg10") -> dict[str, Any]:
    """`system` minus `other`, paired by query: over all queries, over sets, and the worst single set."""
    sets = [result.narrow[system][name] - result.narrow[other][name] for result in results]
    pooled, means = np.concatenate(sets), [float(values.mean()) for values in sets]
    worst = int(np.argmin(means))
    return {
        "system": system,
        "other": other,
        "measure": name,
        "queries": len(pooled),
        "mean": float(pooled.mean()),
        "interval": bootstrap_interval(pooled),
        "mean_over_sets": float(np.mean(means)),
        "interval_over_sets": interval_over_sets(sets),
        "worst_set": str(results[worst].task),
        "worst": means[worst],
    }


def ratio(results: Sequence[SetResult], system: str, other: str) -> dict[str, Any]:
    """nDCG@10 of `system` over that of `other`, each the mean over sets."""
    sets = [np.stack([r.narrow[s]["ndcg10"] for s in (system, other)], axis=1) for r in results]
    top, bottom = np.mean([values.mean(axis=0) for values in sets], axis=0)
    limits = interval_over_sets(sets, lambda means: means[:, 0] / means[:, 1])
    return {"system": system, "other": other, "ratio": float(top / bottom), "interval": limits}


def int8_loss(results: Sequence[SetResult]) -> list[dict[str, Any]]:
    """Per system with fp32 weights: nDCG@10 in both precisions, each the mean over sets, and the relative loss."""
    compared = [result for result in results if result.fp32]
    rows: list[dict[str, Any]] = []
    for system in IN_BOTH:
        if not compared or not all(system in result.fp32 for result in compared):
            continue
        pairs = [np.stack([r.fp32[system]["ndcg10"], r.int8[system]["ndcg10"]], axis=1) for r in compared]
        exact, small = np.mean([values.mean(axis=0) for values in pairs], axis=0)
        limits = interval_over_sets(pairs, lambda means: 1.0 - means[:, 1] / means[:, 0])
        row = {"system": system, "fp32": float(exact), "int8": float(small), "queries": sum(map(len, pairs))}
        rows.append({**row, "loss": float(1.0 - small / exact), "interval": limits})
    return rows


# Every stage and what it follows; the sum of BM25 and the bi-encoder is what a cross-encoder has to beat.
FOLLOWS = (("bi", "BM25"), ("small", THE_BAR), ("large", THE_BAR), ("large", "small"), ("cascade", THE_BAR))


def worse_than_followed(results: Results) -> list[dict[str, Any]]:
    """Every set on which a system's mean nDCG@10 is below that of what it follows."""
    found: list[dict[str, Any]] = []
    for system, other in FOLLOWS:
        for result in results.values():
            if system in result.narrow and other in result.narrow:
                values = result.narrow[system]["ndcg10"] - result.narrow[other]["ndcg10"]
                if values.mean() < 0:
                    row = {"system": system, "other": other, "set": str(result.task), "mean": float(values.mean())}
                    found.append({**row, "interval": bootstrap_interval(values)})
    return found

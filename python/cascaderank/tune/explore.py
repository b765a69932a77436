"""The table of scores with its labels and costs, and the native exploration of cut-offs over parts of its queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from cascaderank.evaluate.requests import Request
from cascaderank.kernels import Choices, Explored, Fusion, Int64, ScoreTable, explore
from cascaderank.threads import available_cores
from cascaderank.tune.cost import StageCost
from cascaderank.tune.scores import Scores

DEPTH = 10
_BASE = (1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 300, 400, 500, 750)
_MOST_CHOICES = 6000


@dataclass(frozen=True, slots=True)
class Explorer:
    """``table`` holds all queries; ``overhead`` milliseconds per request belong to no stage."""

    table: ScoreTable
    fusion: Fusion
    overhead: float

    def with_relevant(self, queries: Int64) -> Int64:
        """Those of ``queries`` that have a relevant candidate: recall is a share of nothing for the others."""
        found: Int64 = queries[relevant_counts(self.table)[queries] > 0]
        return found

    def run(self, choices: Choices, queries: Int64) -> Explored:
        """Explore ``choices`` over some of the queries, on all cores."""
        parts = [part for part in np.array_split(queries, available_cores()) if part.size]
        with ThreadPoolExecutor(len(parts)) as pool:
            found = list(pool.map(lambda part: explore(select(self.table, part), self.fusion, choices, DEPTH), parts))
        ms = np.concatenate([one.ms for one in found], axis=1) + np.float32(self.overhead)
        return Explored(
            np.concatenate([one.ndcg for one in found], axis=1),
            np.concatenate([one.recall for one in found], axis=1),
            ms.astype(np.float32),
            np.concatenate([one.pairs for one in found], axis=1),
        )


def join(first: Explored, second: Explored, here: Int64, there: Int64) -> Explored:
    """The same choices explored over two sets of queries, as if over all, in the order of the queries' numbers."""
    order = np.argsort(np.concatenate([here, there]), kind="stable")
    columns = (
        np.concatenate([getattr(first, name), getattr(second, name)], axis=1)[:, order]
        for name in ("ndcg", "recall", "ms", "pairs")
    )
    return Explored(*columns)


def make_table(
    scores: Scores,
    requests: Sequence[Request],
    qrels: Mapping[str, Mapping[str, int]],
    costs: Sequence[StageCost],
    relevant_from: int = 1,
) -> ScoreTable:
    """Join scores with judgements and predicted costs; ``relevant_from`` is the lowest grade that counts as relevant
    for recall (nDCG has its own gains)."""
    gains, ideal = [], []
    for request in requests:
        relevance = qrels[request.query_id]
        gains += [2.0 ** max(relevance.get(name, 0), 0) - 1.0 for name in request.ids]
        best = sorted((grade for grade in relevance.values() if grade > 0), reverse=True)[:DEPTH]
        ideal.append(sum((2.0**grade - 1.0) / np.log2(place + 2) for place, grade in enumerate(best)))
    cost = np.stack([one.per_pair + one.per_token * row for one, row in zip(costs, scores.tokens, strict=True)])
    return ScoreTable(
        scores.cu_candidates,
        scores.first,
        scores.logits,
        np.array(gains, np.float32),
        np.array(ideal, np.float32),
        cost.astype(np.float32),
        np.array([one.fixed for one in costs], np.float32),
        2.0**relevant_from - 1.0,
    )


def relevant_counts(table: ScoreTable) -> Int64:
    """How many relevant candidates each query has; int64 ``[q]``."""
    before = np.concatenate([[0], np.cumsum(table.relevant)])
    found: Int64 = np.diff(before[table.cu_candidates]).astype(np.int64)
    return found


def candidates_of(table: ScoreTable, queries: Int64) -> Int64:
    """Indices of the candidates that some queries own, in their order."""
    starts, ends = table.cu_candidates[queries], table.cu_candidates[queries + 1]
    return np.concatenate([np.arange(start, end) for start, end in zip(starts, ends, strict=True)])


def select(table: ScoreTable, queries: Int64) -> ScoreTable:
    """The table of some of the queries, in the order given."""
    rows = candidates_of(table, queries)
    cu_candidates = np.zeros(len(queries) + 1, np.int64)
    np.cumsum(np.diff(table.cu_candidates)[queries], out=cu_candidates[1:])
    return ScoreTable(
        cu_candidates,
        None if table.first is None else table.first[rows],
        np.ascontiguousarray(table.logits[:, rows]),
        table.gains[rows],
        table.ideal[queries],
        np.ascontiguousarray(table.cost[:, rows]),
        table.fixed,
        table.least_gain,
    )


def cut_offs(most: int, stages: int, own: Sequence[int]) -> list[int]:
    """The cut-offs to explore, up to ``most`` (no cut), those of the cascade file among them; fewer for many stages."""
    grid = [keep for keep in _BASE if keep < most]
    keep_always = {most, *(min(keep, most) for keep in own)}
    while count_choices(len({*grid, *keep_always}), stages) > _MOST_CHOICES and len(grid) > 3:
        grid = grid[::2]
    return sorted({*grid, *keep_always})


def count_choices(size: int, stages: int) -> int:
    """How many choices ``all_choices`` gives for a grid of ``size`` cut-offs."""
    # ends[k]: choices so far whose last cut-off is the k-th; a further one may be at most that.
    total, ends = 1, np.zeros(size, np.int64)
    for _ in range(stages):
        fresh = np.array([1 + int(ends[place:].sum()) for place in range(size)])
        ends = ends + fresh
        total += int(fresh.sum())
    return total


def all_choices(grid: Sequence[int], stages: int) -> Int64:
    """Every way to cut or leave out each stage, cut-offs that never grow; int64 ``[c, stages]`` in lexicographic order,
    0 for a stage left out. The first row leaves everything out."""

    def below(limit: int, left: int) -> Iterator[tuple[int, ...]]:
        if not left:
            yield ()
            return
        for keep in (0, *(keep for keep in grid if keep <= limit)):
            for rest in below(keep or limit, left - 1):
                yield (keep, *rest)

    return np.array(list(below(max(grid), stages)), np.int64)

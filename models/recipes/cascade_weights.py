"""Fusion weights for the whole cascade, as the engine runs it, on dev sets only.

    python models/recipes/cascade_weights.py

BM25 gives the candidates: 1000 passages of the Python documentation, of which the equally weighted sum with the
first stage leaves 100; elsewhere its first 100, or the judged list. Then the cascade of cascade.toml is followed for
every point of a grid of weights. Scores are cached as those of quality.py.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.progress import track

from cascaderank.config import CascadeConfig, read_config
from cascaderank.evaluate.metrics import ndcg
from measuring.measures import z_scores
from measuring.scoring import Bench, bench, score_lists
from measuring.sets import CHOOSING, Lists, Task, read_lists
from measuring.systems import FIRST, SINGLE, Parts, by, cascade_order

NOTHING = 1e-9  # in place of 0: whoever has no weight but the others' ties stays in their order
EQUAL = 1.0


class Query:
    """One query's candidates: ids, scores per part, grades."""

    def __init__(self, ids: list[str], parts: Parts, grades: dict[str, int]) -> None:
        self.ids, self.parts, self.grades = ids, parts, grades

    def ndcg(self, config: CascadeConfig) -> float:
        """nDCG@10 of the cascade with these settings."""
        return ndcg(self.grades, [self.ids[i] for i in cascade_order(config, self.parts)])


def read_queries(lists: Lists, models: Path, config: CascadeConfig, depth: int, where: Bench) -> list[Query]:
    """Every score the cascade may need of the candidates that its first cut leaves."""
    texts, documents = lists.collection.queries, lists.collection.documents
    title = f"{lists.task.name}.{lists.task.split}"

    def scores(model: str, ids: dict[str, list[str]]) -> list[np.ndarray]:
        return score_lists(models / model, title, documents, [(texts[q], i) for q, i in ids.items()], where)

    ids = {query: list(first) for query, first in lists.first.items()}
    for (query, first), dense in zip(lists.first.items(), scores(Path(config.stages[0].model).name, ids), strict=True):
        if len(first) > depth:
            rows = by(z_scores(np.array(list(first.values()))) + z_scores(dense))[:depth]
            # In BM25's order, which is what the cascade starts from.
            ids[query] = [ids[query][row] for row in sorted(rows.tolist())]
    by_model = {name: scores(name, ids) for name in dict.fromkeys(Path(s.model).name for s in config.stages)}
    return [
        Query(
            chosen,
            {
                FIRST: np.array([lists.first[query][i] for i in chosen]),
                **{model: found[number] for model, found in by_model.items()},
            },
            lists.collection.qrels[query],
        )
        for number, (query, chosen) in enumerate(ids.items())
    ]


def weighted(config: CascadeConfig, weights: Sequence[float]) -> CascadeConfig:
    """The cascade with these weights: the first pass's, then one per stage."""
    first, *rest = (max(weight, NOTHING) for weight in weights)
    stages = tuple(replace(stage, weight=weight) for stage, weight in zip(config.stages, rest, strict=True))
    return replace(config, first_weight=first, stages=stages)


def main() -> None:
    """Print the best of a grid, plain sums, what ships, and the average of the best tenth."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=here.parents[2] / "shared" / "data")
    parser.add_argument("--models", type=Path, default=here.parent / "cascaderank_models")
    parser.add_argument("--cache", type=Path, default=here / "cache" / "quality")
    parser.add_argument("--sets", nargs="*", choices=[task.name for task in CHOOSING], help="only these dev sets")
    parser.add_argument("--queries", type=int, default=40, help="queries per set, a fixed sample")
    parser.add_argument("--depth", type=int, default=100, help="candidates after the first cut")
    parser.add_argument("--wide", type=int, default=1000, help="candidates before it, on the Python documentation")
    parser.add_argument("--bare", action="store_true", help="the cascade for documents without stored vectors")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    config = read_config(options.models / "cascade.toml").for_documents(not options.bare)
    sets: dict[Task, list[Query]] = {}
    with bench(options.cache, options.threads) as where:
        for task in CHOOSING:
            if options.sets and task.name not in options.sets:
                continue
            depth = options.wide if task.name == "python-docs" else options.depth
            lists = read_lists(options.data, task, options.queries, depth)
            if not lists.first:
                continue
            sets[task] = read_queries(lists, options.models, config, options.depth, where)
    count = len(config.stages) + 1
    grid = [p for p in itertools.product(range(11), repeat=count) if sum(p) == 10]
    shipped = (config.first_weight, *(stage.weight for stage in config.stages))
    plain = [(EQUAL,) * count, shipped, *(tuple(float(i == part) for i in range(count)) for part in range(count))]
    table = {
        point: [np.array([query.ndcg(weighted(config, point)) for query in queries]) for queries in sets.values()]
        for point in track(dict.fromkeys((*grid, *plain)), "weights", transient=True)
    }
    means = {point: float(np.mean([values.mean() for values in rows])) for point, rows in table.items()}
    ranked = sorted(grid, key=lambda point: -means[point])
    names = " / ".join(["first", *(SINGLE[Path(stage.model).name] for stage in config.stages)])
    titles = " | ".join(f"{task} ({len(queries)})" for task, queries in sets.items())
    print(f"| {names} | {titles} | mean | minus equal weights |\n{'|---' * (len(sets) + 3)}|")
    equal = np.concatenate(table[(EQUAL,) * count])
    for point in (*ranked[:8], *plain):
        gain = np.concatenate(table[point]) - equal
        share = " / ".join(f"{value / sum(point):.2g}" for value in point)
        cells = " | ".join(f"{values.mean():.4f}" for values in table[point])
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        print(f"| {share} | {cells} | {means[point]:.4f} | {gain.mean():+.4f} ± {error:.4f} |")
    centre = np.mean(ranked[: len(ranked) // 10], axis=0) / 10
    print(f"\nmean of the best tenth of {len(grid)} points: {' / '.join(f'{value:.2f}' for value in centre)}")


if __name__ == "__main__":
    main()

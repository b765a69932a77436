"""nDCG@10 of the shipped models and their z-score sums over BM25's candidates, and the weights that dev sets favour.

    python models/recipes/quality.py --data ../shared/data

Every model is read as shipped (int8). Scores are cached per model file, so a second run only computes what changed.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
from measures import ndcg, z_scores
from scoring import Lists, Task, model_scores, read_lists

MEASURED = (
    Task("scifact", "test", "bm25"),
    Task("cranfield", "test", "bm25"),
    Task("trec-dl19", "test", "run"),
    Task("selqa", "test", "judged"),
    Task("nq-qed", "dev", "bm25"),
    Task("graded-lists", "dev", "judged"),
)
# Weights are chosen on these alone. Passages of every one of them were seen in training, their queries were not.
CHOOSING = (
    Task("nq-qed", "dev", "bm25"),
    Task("graded-lists", "dev", "judged"),
    Task("medquad", "dev", "bm25"),
    Task("boolq-dev", "dev", "bm25"),
)
PARTS = ("first", "bi", "small", "large")
FOLDERS = {"bi": "minilm-bi", "small": "minilm-ce-small", "large": "minilm-ce-large"}
SYSTEMS = (
    {"first": 1},
    {"bi": 1},
    {"small": 1},
    {"large": 1},
    {"first": 1, "bi": 1},
    {"first": 1, "bi": 1, "small": 1},
    {"first": 1, "bi": 1, "large": 1},
    {"first": 1, "bi": 1, "small": 1, "large": 1},
)
Scores = list[dict[str, np.ndarray]]  # per query: z-scores of every part over its candidates


def all_scores(lists: Lists, models: Path, cache: Path, parts: tuple[str, ...]) -> Scores:
    """z-scores per query of BM25 and every model."""
    raw = {part: model_scores(models / FOLDERS[part], lists, cache) for part in parts if part != "first"}
    raw["first"] = [np.array(list(documents.values())) for documents in lists.first.values()]
    return [{part: z_scores(values[i]) for part, values in raw.items()} for i in range(len(lists.first))]


def values(lists: Lists, scores: Scores, weights: dict[str, float]) -> np.ndarray:
    """nDCG@10 per query of a weighted sum; equal sums stay in the first pass's order."""
    results = []
    for (query, candidates), parts in zip(lists.first.items(), scores, strict=True):
        total = sum(weight * parts[part] for part, weight in weights.items())
        ids = list(candidates)
        order = np.argsort(-np.asarray(total), kind="stable")
        results.append(ndcg(lists.collection.qrels[query], [ids[i] for i in order]))
    return np.array(results)


def title(weights: dict[str, float]) -> str:
    """What a table calls an equal-weight sum."""
    return " + ".join("BM25" if part == "first" else part for part in weights)


def heads(data: dict[Task, tuple[Lists, Scores]], tasks: list[Task]) -> str:
    """Column titles: the set and, in brackets, how many queries."""
    return " | ".join(f"{task} ({len(data[task][0].first)})" for task in tasks)


def quality_table(data: dict[Task, tuple[Lists, Scores]]) -> str:
    """Markdown: a row per system, a column per set, their mean, the difference to BM25 + bi with a standard error."""
    tasks = [task for task in MEASURED if task in data]
    lines = [f"| system | {heads(data, tasks)} | mean | minus BM25 + bi |", "|---" * (len(tasks) + 3) + "|"]
    base = np.concatenate([values(*data[t], {"first": 1, "bi": 1}) for t in tasks])
    for system in SYSTEMS:
        per_set = [values(*data[t], system) for t in tasks]
        every = np.concatenate(per_set) - base
        error = every.std(ddof=1) / np.sqrt(len(every))
        cells = [f"{v.mean():.3f}" for v in per_set] + [f"{np.mean([v.mean() for v in per_set]):.3f}"]
        lines.append(f"| {title(system)} | " + " | ".join(cells) + f" | {every.mean():+.3f} ± {error:.3f} |")
    return "\n".join(lines)


def weight_table(data: dict[Task, tuple[Lists, Scores]], step: float = 0.1, best: int = 8) -> str:
    """Markdown: the convex weights with the highest mean nDCG@10 over the choosing sets, then some plain ones."""
    tasks = [task for task in CHOOSING if task in data]
    grid = np.arange(0, 1 + step / 2, step).round(6).tolist()
    points = [(*rest, round(1 - sum(rest), 6)) for rest in itertools.product(grid, repeat=3) if sum(rest) <= 1.0001]
    found = []
    for point in points:
        per_set = [values(*data[t], dict(zip(PARTS, point, strict=True))).mean() for t in tasks]
        found.append((float(np.mean(per_set)), point, per_set))
    found.sort(key=lambda item: -item[0])
    plain = {
        (0.1, 0.4, 0.1, 0.4),
        (0.2, 0.3, 0.1, 0.4),
        (0.25, 0.25, 0.25, 0.25),
        (0.3, 0.3, 0, 0.4),
        (0.3, 0.3, 0.4, 0),
        (0.5, 0.5, 0, 0),
        (1, 0, 0, 0),
        (0, 1, 0, 0),
        (0, 0, 1, 0),
        (0, 0, 0, 1),
    }
    shown = found[:best]
    for point in sorted(plain):
        per_set = [values(*data[t], dict(zip(PARTS, point, strict=True))).mean() for t in tasks]
        shown.append((float(np.mean(per_set)), point, per_set))
    lines = [f"| first / bi / small / large | {heads(data, tasks)} | mean |", "|---" * (len(tasks) + 2) + "|"]
    for mean, point, per_set in shown:
        lines.append(
            f"| {' / '.join(f'{p:g}' for p in point)} | " + " | ".join(f"{v:.3f}" for v in per_set) + f" | {mean:.4f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=here.parents[2] / "shared" / "data")
    parser.add_argument("--models", type=Path, default=here.parent / "cascaderank_models")
    parser.add_argument("--cache", type=Path, default=here / "cache")
    parser.add_argument("--queries", type=int, default=30, help="queries per set, a fixed sample")
    parser.add_argument("--depth", type=int, default=30, help="candidates per query")
    parser.add_argument("--only", nargs="*", choices=list(FOLDERS), help="only fill the cache for these models")
    options = parser.parse_args()
    data: dict[Task, tuple[Lists, Scores]] = {}
    for task in dict.fromkeys(MEASURED + CHOOSING):
        lists = read_lists(options.data, task, options.queries, options.depth)
        data[task] = (lists, all_scores(lists, options.models, options.cache, tuple(options.only or FOLDERS)))
    if not options.only:
        print(f"nDCG@10, first {options.depth} candidates (queries in brackets)\n\n{quality_table(data)}\n")
        print(f"Convex weights of z-scores, dev sets only\n\n{weight_table(data)}")


if __name__ == "__main__":
    main()

"""Fusion weights for the whole cascade, as the engine runs it, on the dev half of the demo's labelled questions.

    python models/recipes/cascade_weights.py

BM25 gives 1000 passages of the Python documentation, the bi-encoder keeps 100, the small model 20, the large one orders
those. After every stage the candidates that it scored are ordered by a weighted sum of z-scores, taken among these
candidates, of the first pass and all stages so far. The first cut uses equal weights. Needs cascaderank installed.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from data import Bm25, Collection
from measures import ndcg, z_scores
from scoring import Lists, Task, model_scores

from cascaderank.demo.corpus import read_corpus
from cascaderank.demo.questions import load_questions

PARTS = ("first", "bi", "small", "large")
PLAIN = (
    (1, 4, 1, 4),
    (2, 3, 1, 4),
    (1, 1, 1, 1),
    (1, 1, 0, 0),
    (1, 1, 1, 0),
    (1, 1, 0, 1),
    (0, 0, 1, 1),
    (0, 0, 0, 1),
    (0, 1, 0, 0),
    (1, 0, 0, 0),
)


@dataclass(frozen=True, slots=True)
class Question:
    """One query's 100 survivors of the first cut, in that order: ids, raw scores per part, grades."""

    ids: list[str]
    scores: dict[str, np.ndarray]
    grades: dict[str, int]


def fused(question: Question, rows: np.ndarray, weights: tuple[float, ...]) -> np.ndarray:
    """Weighted sum of z-scores among `rows`, one weight per part from the first on."""
    return np.sum([w * z_scores(question.scores[p][rows]) for p, w in zip(PARTS, weights, strict=False)], axis=0)


def cascade_ndcg(question: Question, weights: tuple[float, ...]) -> float:
    """nDCG@10 of 100 -> 20 -> order with these weights; ties keep the earlier order."""
    rows = np.arange(len(question.ids))
    for parts, keep in ((3, 20), (4, 20)):
        # Weights of zero so far give equal sums, which keep the order that the first cut left.
        rows = rows[np.argsort(-fused(question, rows, weights[:parts]), kind="stable")[:keep]]
    return ndcg(question.grades, [question.ids[i] for i in rows])


def read_questions(models: Path, cache: Path, count: int) -> list[Question]:
    """Dev questions with every score the cascade may need."""
    documents = {document.id: document.text for document in read_corpus()}
    chosen = [question for question in load_questions("dev") if set(question.relevant) & set(documents)][:count]
    collection = Collection(
        "python-docs", documents, {q.id: q.question for q in chosen}, {q.id: dict(q.relevant) for q in chosen}
    )
    index = Bm25(documents)
    wide = Lists(Task("python-docs", "dev", "bm25"), collection, {q.id: index.top(q.question, 1000) for q in chosen})
    narrow: dict[str, dict[str, float]] = {}
    dense: list[np.ndarray] = []
    for (query, first), bi in zip(wide.first.items(), model_scores(models / "minilm-bi", wide, cache), strict=True):
        total = z_scores(np.array(list(first.values()))) + z_scores(bi)
        order = np.argsort(-total, kind="stable")[:100]
        narrow[query] = {list(first)[i]: list(first.values())[i] for i in order}
        dense.append(bi[order])
    lists = Lists(wide.task, collection, narrow)
    small, large = (model_scores(models / name, lists, cache) for name in ("minilm-ce-small", "minilm-ce-large"))
    return [
        Question(
            list(first),
            {"first": np.array(list(first.values())), "bi": dense[i], "small": small[i], "large": large[i]},
            collection.qrels[query],
        )
        for i, (query, first) in enumerate(narrow.items())
    ]


def main() -> None:
    """Print the best of a grid, the plain sums, and the average of the best tenth."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=here.parent / "cascaderank_models")
    parser.add_argument("--cache", type=Path, default=here / "cache")
    parser.add_argument("--questions", type=int, default=80)
    options = parser.parse_args()
    questions = read_questions(options.models, options.cache, options.questions)
    grid = [p for p in itertools.product(range(11), repeat=4) if sum(p) == 10]
    table = {point: np.array([cascade_ndcg(q, point) for q in questions]) for point in (*grid, *PLAIN)}
    ranked = sorted(grid, key=lambda point: -table[point].mean())
    equal = table[1, 1, 1, 1]
    print(f"{len(questions)} dev questions\n\n| first / bi / small / large | nDCG@10 | minus equal weights |")
    print("|---|---|---|")
    for point in (*ranked[:8], *PLAIN):
        gain = table[point] - equal
        share = " / ".join(f"{value / sum(point):.2g}" for value in point)
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        print(f"| {share} | {table[point].mean():.4f} | {gain.mean():+.4f} ± {error:.4f} |")
    centre = np.mean(ranked[: len(ranked) // 10], axis=0) / 10
    print(f"\nmean of the best tenth of {len(grid)} points: {' / '.join(f'{value:.2f}' for value in centre)}")


if __name__ == "__main__":
    main()

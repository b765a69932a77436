"""What is left of the quality as the deadline shrinks, and how punctual the answers are.

Every labelled question is answered at each deadline, in turn; deadlines are shares of the time that a request takes
without one. A good plot is a smooth one: nothing drops at a cliff, and nobody is late.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from measure import describe, machine, table, write_json

from cascaderank import Cascade, Ranking
from cascaderank.cli.collection import encode_candidates, read_collection
from cascaderank.evaluate.metrics import ndcg
from cascaderank.evaluate.requests import Request, evenly, make_requests, ranked_ids
from cascaderank.store import Store

SHARES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cascade", help="a cascade file (default: the installed models' own)")
    parser.add_argument("--data", type=Path, help="BEIR folder (default: the packaged questions)")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--queries", type=int, default=40, help="evenly chosen (default 40)")
    parser.add_argument("--candidates", type=int, default=1000)
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--plot", help="write a picture to this file")
    arguments = parser.parse_args()
    found = machine()
    print(describe(found))
    with Cascade.load(arguments.cascade) if arguments.cascade else Cascade.default() as cascade:
        data, what = read_collection(arguments.data, arguments.split, "dev")
        requests = evenly(make_requests(data, arguments.candidates), arguments.queries)
        store = encode_candidates(cascade, data, requests, None, packaged=arguments.data is None)
        cascade.warm_up()
        for request in requests[:5]:
            request.answer(cascade, store)
        calm = [timed(cascade, request, store, None) for request in requests]
        usual = float(np.median([ms for ms, _ in calm]))
        rows = [summary("none", None, calm, requests, data.qrels)]
        first = [ndcg(data.qrels[request.query_id], request.ids) for request in requests]
        for share in SHARES:
            deadline = share * usual
            answers = [timed(cascade, request, store, deadline) for request in requests]
            rows.append(summary(f"{share:.0%}", deadline, answers, requests, data.qrels))
    print(
        f"{what}: {len(requests)} questions, {usual:.0f} ms without a deadline, first pass nDCG@10 {np.mean(first):.4f}"
    )
    head = ("deadline", "ms", "nDCG@10", "degraded", "scored", "P50 ms", "P99 late ms", "max late ms")
    print(table([head, *(shown(row) for row in rows)]))
    write_json(arguments.json, {"machine": found, "data": what, "first_pass": float(np.mean(first)), "deadlines": rows})
    if arguments.plot:
        plot(Path(arguments.plot), rows, float(np.mean(first)))


def timed(cascade: Cascade, request: Request, store: Store, deadline_ms: float | None) -> tuple[float, Ranking]:
    begun = time.perf_counter()
    ranking = request.answer(cascade, store, deadline_ms=deadline_ms)
    return (time.perf_counter() - begun) * 1e3, ranking


def summary(
    name: str,
    deadline: float | None,
    answers: list[tuple[float, Ranking]],
    requests: list[Request],
    qrels: dict[str, dict[str, int]],
) -> dict[str, Any]:
    quality = [
        ndcg(qrels[request.query_id], ranked_ids(ranking, request.ids))
        for request, (_, ranking) in zip(requests, answers, strict=True)
    ]
    late = [ms - deadline for ms, _ in answers] if deadline is not None else [0.0]
    return {
        "deadline": name,
        "ms": deadline,
        "ndcg@10": float(np.mean(quality)),
        "degraded": float(np.mean([ranking.degraded for _, ranking in answers])),
        "scored": float(np.mean([sum(stage.scored for stage in ranking.trace.stages[1:]) for _, ranking in answers])),
        "p50_ms": float(np.median([ms for ms, _ in answers])),
        "p99_late_ms": float(np.percentile(late, 99, method="inverted_cdf")),
        "max_late_ms": float(max(late)),
    }


def shown(row: dict[str, Any]) -> tuple[str, ...]:
    ms = "" if row["ms"] is None else f"{row['ms']:.0f}"
    late = ("", "") if row["ms"] is None else (f"{row['p99_late_ms']:.1f}", f"{row['max_late_ms']:.1f}")
    quality = f"{row['ndcg@10']:.4f}"
    return (
        row["deadline"],
        ms,
        quality,
        f"{row['degraded']:.0%}",
        f"{row['scored']:.1f}",
        f"{row['p50_ms']:.0f}",
        *late,
    )


def plot(path: Path, rows: list[dict[str, Any]], first: float) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    hurried = [row for row in rows if row["ms"] is not None]
    axes.plot([row["ms"] for row in hurried], [row["ndcg@10"] for row in hurried], marker="o", label="with a deadline")
    axes.axhline(rows[0]["ndcg@10"], linestyle="--", color="grey", label="without")
    axes.axhline(first, linestyle=":", color="grey", label="first pass alone")
    axes.set(xlabel="deadline, ms", ylabel="nDCG@10", ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()

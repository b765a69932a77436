"""Cascades that `cascaderank tune` wrote, on queries that took no part: quality beside every way to score all
candidates, and time beside the best of them.

python bench/tuned_cascade.py TUNED --data beir/scifact --split test --queries 50 --candidates 200 --timed 12

Every stage scores every candidate once (kept under --scores, so a killed run goes on); all cascades are read off that
table by the kernels that rank. nDCG@10 comes with paired 95 % bootstrap intervals over queries. Then the cascades and
the reference are run for real on --timed queries, taking turns: the time is a ratio within each query.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from cascaderank.cascade import Cascade, default_config
from cascaderank.cli.tune import some_queries
from cascaderank.config import CascadeConfig, read_config
from cascaderank.evaluate import bootstrap_interval, load_beir
from cascaderank.evaluate.bench import processor_name
from cascaderank.evaluate.requests import Request, evenly, make_requests
from cascaderank.flow import Flow
from cascaderank.kernels import Choices, Explored
from cascaderank.schedule import Workers
from cascaderank.store import Store
from cascaderank.tune.cost import StageCost
from cascaderank.tune.explore import Explorer, make_table
from cascaderank.tune.scores import load_or_encode, score_all

TUNED = ("recommended", "best", "plateau", "exhaustive")


def keeps_of(whole: CascadeConfig, part: CascadeConfig, size: int) -> list[int]:
    """The cut-offs of ``part`` as a row of choices of ``whole``; 0 for a stage that it leaves out."""
    found = {str(stage.model): min(stage.keep, size) for stage in part.stages}
    return [found.get(str(stage.model), 0) for stage in whole.stages]


def quality(
    whole: CascadeConfig,
    requests: list[Request],
    qrels: Any,
    store: Store,
    scores: Path,
    rows: list[list[int]],
    per_token: list[float],
) -> Explored:
    """nDCG@10 of every row of cut-offs, ``[rows, queries]``, and its cost in tokens weighted by ``per_token``."""
    workers = Workers(whole.workers)
    try:
        flow = Flow(whole, workers)
        table = score_all(
            flow, requests, store, scores, progress=lambda done, total: print(f"\r{done}/{total}", end="", flush=True)
        )
        print()
        costs = [StageCost(0.0, 0.0, value, 0.0, 0) for value in per_token]
        explorer = Explorer(make_table(table, requests, qrels, costs), flow.fusion, 0.0)
        return explorer.run(Choices.fixed(np.array(rows, np.int64)), np.arange(len(requests)))
    finally:
        workers.close()


def times(configs: dict[str, CascadeConfig], requests: list[Request], store: Store) -> dict[str, list[float]]:
    """Milliseconds per request, the cascades taking turns, each request another one first."""
    found: dict[str, list[float]] = {name: [] for name in configs}
    cascades = {name: Cascade(replace(config, deadline_ms=None)) for name, config in configs.items()}
    names = list(cascades)
    for cascade in cascades.values():
        cascade.warm_up()
        requests[0].answer(cascade, store, top_n=1)
    for number, request in enumerate(requests):
        for turn in range(len(names)):
            name = names[(turn + number) % len(names)]
            begun = time.perf_counter()
            request.answer(cascades[name], store)
            found[name].append((time.perf_counter() - begun) * 1e3)
    for cascade in cascades.values():
        cascade.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tuned", type=Path, help="what tune --out wrote")
    parser.add_argument("--cascade", type=Path, help="what was tuned; default: the installed models' own")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--timed", type=int, default=12, help="queries to run for real; 0: none")
    parser.add_argument(
        "--per-token", type=float, nargs="+", default=[0.0, 0.33, 1.0], metavar="C",
        help="what a token costs by stage; default: the shipped models' (models/README.md), stored vectors nothing",
    )  # fmt: skip
    parser.add_argument("--scores", type=Path, default=Path("scores"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    whole = (default_config() if options.cascade is None else read_config(options.cascade)).for_documents(True)
    whole = replace(whole, deadline_ms=None)
    data = some_queries(load_beir(options.data, options.split), options.queries)
    requests = make_requests(data, options.candidates)
    size = max(len(request.ids) for request in requests)
    with Cascade(whole) as cascade:
        store, names = load_or_encode(cascade, requests, options.scores), cascade.names
    tuned = {name: read_config(options.tuned / f"{name}.toml") for name in TUNED}
    rows = {name: keeps_of(whole, config, size) for name, config in tuned.items()}
    rows["cascade file"] = [min(stage.keep, size) for stage in whole.stages]
    rows["first pass alone"] = [0] * len(names)
    for used in product((0, size), repeat=len(names)):
        if any(used):
            rows["all by " + " + ".join(name for name, keep in zip(names, used, strict=True) if keep)] = list(used)
    explored = quality(whole, requests, data.qrels, store, options.scores, list(rows.values()), options.per_token)
    found, costs = explored.ndcg, np.median(explored.ms, axis=1)
    costs = costs / costs[list(rows).index("exhaustive")]
    reference = found[list(rows).index("exhaustive")].astype(np.float64)
    uncut = [place for place, name in enumerate(rows) if name.startswith("all by")]
    strongest = found[max(uncut, key=lambda place: float(found[place].mean()))].astype(np.float64)
    print(f"{options.data.name}, {options.split}: {len(requests)} queries, {size} candidates; {processor_name()}")
    entries = []
    for name, values, cost in zip(rows, found.astype(np.float64), costs.tolist(), strict=True):
        ends = bootstrap_interval(values - reference)
        entry = {
            "name": name, "keeps": rows[name], "ndcg_10": float(values.mean()),
            "interval": bootstrap_interval(values), "of_reference": float(values.mean() / reference.mean()),
            "difference": float((values - reference).mean()), "difference_interval": ends,
            "of_strongest": float(values.mean() / strongest.mean()), "cost": cost,
        }  # fmt: skip
        entries.append(entry)
        print(
            f"{name:55} {rows[name]!s:16} nDCG@10 {entry['ndcg_10']:.4f}  {entry['of_reference']:7.2%} of exhaustive "
            f"({entry['difference']:+.4f}, 95 % {ends[0]:+.4f} to {ends[1]:+.4f}), {entry['of_strongest']:.2%} of the "
            f"strongest; cost {cost:.1%}"
        )
    took = times(tuned, evenly(requests, options.timed), store) if options.timed else {"exhaustive": []}
    base = np.array(took["exhaustive"])
    for name, values in took.items() if options.timed else ():
        low, middle, high = np.quantile(np.array(values) / base, (0.25, 0.5, 0.75))
        print(f"{name:12} P50 {np.median(values):8.1f} ms, of exhaustive {middle:.4f} ({low:.4f} to {high:.4f})")
    if options.json is not None:
        options.json.write_text(json.dumps({"quality": entries, "ms": took}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

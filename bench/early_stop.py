"""What `early_stop` saves: pairs and time, with the same kept candidates in the same order.

python bench/early_stop.py weighted.toml --split test --queries 40 --candidates 100 [--top 5]

The cascade has fusion "weighted" over calibrations with a bound, which are isotonic ones (docs/evaluate.md says how to
make one). Both cascades answer every query, taking turns and running their models alike (as without `warm_up`); a
different answer ends the run.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from cascaderank.cascade import Cascade
from cascaderank.cli.collection import encode_candidates, read_collection
from cascaderank.config import read_config
from cascaderank.evaluate.bench import processor_name
from cascaderank.evaluate.requests import evenly, make_requests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cascade", type=Path)
    parser.add_argument("--data", type=Path, help="BEIR folder; default: the packaged questions")
    parser.add_argument("--split")
    parser.add_argument("--queries", type=int, default=40)
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--top", type=int, help="candidates asked for; default: all that are kept")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    config = replace(read_config(options.cascade).for_documents(True), deadline_ms=None)
    whole, early = Cascade(replace(config, early_stop=False)), Cascade(replace(config, early_stop=True))
    data, what = read_collection(options.data, options.split, "dev")
    requests = evenly(make_requests(data, options.candidates), options.queries)
    store = encode_candidates(whole, data, requests, None, packaged=options.data is None)
    # No warm_up: on a busy machine it can choose two ways to run, and their difference is not what is asked here.
    for cascade in (whole, early):
        for request in requests[:2]:
            request.answer(cascade, store)
    scored, spared = (np.zeros(len(early.names), np.int64) for _ in range(2))
    took: dict[str, list[float]] = {"whole": [], "early": []}
    for number, request in enumerate(requests):
        answers = {}
        order = [("whole", whole), ("early", early)]
        for name, cascade in order if number % 2 else reversed(order):
            begun = time.perf_counter()
            answers[name] = request.answer(cascade, store, top_n=options.top)
            took[name].append((time.perf_counter() - begun) * 1e3)
        kept = min(answers["whole"].kept, options.top or len(request.ids))
        same = [answers[name].order[:kept].tolist() for name in took]
        if same[0] != same[1]:
            raise SystemExit(f"query {request.query_id}: the best {kept} differ: {same}")
        for place, stage in enumerate(answers["early"].trace.stages):
            scored[place] += stage.scored
            spared[place] += stage.spared
    ratios = np.array(took["early"]) / np.array(took["whole"])
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    print(
        f"{what}: {len(requests)} queries, {options.candidates} candidates; the kept are the same; {processor_name()}"
    )
    for name, done, left in zip(early.names, scored.tolist(), spared.tolist(), strict=True):
        print(f"{name:20} scored {done:6}, spared {left:6} ({left / max(done + left, 1):.1%})")
    print(
        f"time of the whole: {middle:.3f} (quartiles {low:.3f} to {high:.3f}); in all {sum(took['early']):.0f} ms of "
        f"{sum(took['whole']):.0f} ms"
    )
    if options.json is not None:
        options.json.write_text(
            json.dumps({"data": what, "scored": scored.tolist(), "spared": spared.tolist(), "ms": took}, indent=1)
            + "\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()

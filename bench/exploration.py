"""How long exploring all cut-offs takes: three stages, 300 queries of 1000 candidates, every fusion.

python bench/exploration.py [--queries 300] [--candidates 1000] [--stages 3]
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from cascaderank import kernels
from cascaderank.tune.explore import Explorer, all_choices, cut_offs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--candidates", type=int, default=1000)
    parser.add_argument("--stages", type=int, default=3)
    options = parser.parse_args()
    queries, size, stages = options.queries, options.candidates, options.stages
    count = queries * size
    generator = np.random.default_rng(0)
    table = kernels.ScoreTable(
        np.arange(0, count + 1, size),
        generator.standard_normal(count).astype(np.float32),
        generator.standard_normal((stages, count)).astype(np.float32),
        (generator.random(count) < 0.002).astype(np.float32),
        np.ones(queries, np.float32),
        np.ones((stages, count), np.float32),
        np.ones(stages, np.float32),
    )
    choices = kernels.Choices.fixed(all_choices(cut_offs(size, stages, []), stages))
    for kind in ("last", "convex", "weighted", "rrf"):
        fusion = kernels.Fusion(
            kind, "z-score", 60.0, [1.0] * (stages + 1), [kernels.Calibration(1.0, 1.0, 0.0, [], [])] * (stages + 1)
        )
        begun, worked = time.perf_counter(), time.process_time()
        found = Explorer(table, fusion, 0.0).run(choices, np.arange(queries))
        seconds, processor = time.perf_counter() - begun, time.process_time() - worked
        assert found.ndcg.shape == (len(choices), queries)
        print(f"{kind:8}  {len(choices)} combinations  {seconds:.2f} s ({processor:.2f} s of processor time)")


if __name__ == "__main__":
    main()

"""One round of ``compare_commits.py`` in the tree that is being measured: prints seconds per step as JSON.

Uses nothing but what both commits have: kernels, and the installed models' cascade on made-up texts. Run as
``python commit_workload.py``, with the tree's packages on ``PYTHONPATH``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

_CALLS_S = 0.02  # a step is called for at least this long, and at least three times
_WORDS = ["read", "write", "file", "line", "path", "memory", "list", "dict", "sort", "key", "value", "thread", "queue"]


def _time(call: Callable[[], object]) -> float:
    call()
    seconds: list[float] = []
    while len(seconds) < 3 or sum(seconds) < _CALLS_S:
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return median(seconds)


def _kernels() -> dict[str, Callable[[], object]]:
    from cascaderank.kernels import dot_rows, maxsim, topk

    random = np.random.default_rng(1)
    scores = random.standard_normal(1000).astype(np.float32)
    matrix = random.standard_normal((8000, 384)).astype(np.float32)
    query, rows = matrix[0].copy(), random.choice(8000, 1000, replace=False)
    tokens = random.standard_normal((100 * 180, 128)).astype(np.float32)
    bounds, several = np.arange(101) * 180, random.standard_normal((32, 128)).astype(np.float32)
    ones, none, out = np.ones(32, np.int64), np.empty(0, np.int64), np.empty(100, np.float32)
    return {
        "top-k, 100 of 1000": lambda: topk(scores, 100),
        "1000 dot products": lambda: dot_rows(query, matrix, rows),
        "MaxSim, 100 documents": lambda: maxsim(several, ones, tokens, none, bounds, np.arange(100), False, out),
    }


def _texts(count: int) -> list[str]:
    random = np.random.default_rng(2)
    return [" ".join(random.choice(_WORDS, length)) for length in random.integers(20, 160, count)]


def main() -> None:
    import cascaderank
    from cascaderank import Cascade

    if not Path(cascaderank.__file__).is_relative_to(os.environ["PYTHONPATH"].split(os.pathsep)[0]):
        raise SystemExit(f"{cascaderank.__file__} was imported, not the package of the commit under test")
    found = {name: _time(call) for name, call in _kernels().items()}
    documents = [{"id": str(place), "text": text} for place, text in enumerate(_texts(200))]
    ids = [document["id"] for document in documents]
    with Cascade.default() as cascade:
        store = cascade.encode(documents)
        cascade.warm_up()
        stored, raw = (
            (lambda: cascade.rank("sort a list", ids=ids, store=store, top_n=5)),
            (lambda: cascade.rank("sort a list", documents[:40], top_n=5)),
        )
        found["200 by id, the default cascade"] = _time(stored)
        found["40 texts, the default cascade"] = _time(raw)
        trace = stored().trace
        found["outside session.run, 200 by id"] = trace.outside_ms / 1e3
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()

"""What a Python thread that never rests costs a cascade in the same process: ``python bench/noisy_neighbour.py``.

Blocks of the same requests in alternation: quiet, beside a hog thread at several switch intervals, beside the same hog
in another process (which takes processor time and no interpreter lock: what is left over is the lock's doing), and with
the engine in a process of its own while the hog stays with the caller. A hog of ``json`` or ``regex`` holds the lock
for the whole of a call into C, which no switch interval shortens; ``loop`` is bytecode, which hands over when asked.

The requests are the demo's (1000 candidates by id, tokens and vectors from a store, the default cascade), one by one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from engines import Apart, Engine, Here
from hogs import HOGS, hogging, hold_ms
from measure import Spread, bar, bar_line, describe, machine, spread, table, write_json

from cascaderank import Cascade
from cascaderank.cascade import default_config
from cascaderank.config import read_config
from cascaderank.demo.corpus import read_corpus
from cascaderank.demo.questions import load_questions
from cascaderank.demo.search import FirstPass, Search
from cascaderank.demo.vectors import load_or_encode

WANTED = 1.5
DEFAULT_INTERVAL_MS = 5.0


@dataclass(frozen=True, slots=True)
class Condition:
    """``hog`` is nobody, a thread ``here`` or a process ``elsewhere``; ``apart``: the engine has its own process."""

    name: str
    hog: str = "nobody"
    interval_ms: float = DEFAULT_INTERVAL_MS
    apart: bool = False


@contextmanager
def switching(interval_ms: float) -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(interval_ms / 1e3)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def conditions(intervals: list[float]) -> list[Condition]:
    found = [Condition("quiet"), Condition("hog in another process", "elsewhere")]
    found += [Condition(f"hog thread, switching every {ms:g} ms", "here", ms) for ms in intervals]
    shortest = min(intervals)
    found.append(Condition(f"quiet, switching every {shortest:g} ms", "nobody", shortest))
    found += [
        Condition("engine apart, quiet", apart=True),
        Condition("engine apart, hog thread beside the caller", "here", apart=True),
    ]
    return found


def measure(
    engines: dict[bool, Engine],
    requests: list[FirstPass],
    kind: str,
    cases: list[Condition],
    block: int,
    seconds: float,
) -> dict[str, list[list[float]]]:
    """Milliseconds per condition, round and request. Every round sends the same ``block`` requests in every condition,
    beginning with another one each time, until ``seconds`` are over."""
    expected: dict[str, list[str]] = {}
    for request in requests:
        expected[request.question] = engines[False].answer(request)
    for request in requests[:2]:
        engines[True].answer(request)
    found: dict[str, list[list[float]]] = {case.name: [] for case in cases}
    ends, number = time.perf_counter() + seconds, 0
    while time.perf_counter() < ends:
        chosen = [requests[(number * block + place) % len(requests)] for place in range(block)]
        first = number % len(cases)
        for case in cases[first:] + cases[:first]:
            engine, times = engines[case.apart], []
            with hogging(kind, case.hog), switching(case.interval_ms):
                for request in chosen:
                    begun = time.perf_counter()
                    answer = engine.answer(request)
                    times.append((time.perf_counter() - begun) * 1e3)
                    if answer != expected[request.question]:
                        raise SystemExit(f"{case.name}: another answer to {request.question!r}")
            found[case.name].append(times)
        number += 1
    return found


def report(found: dict[str, list[list[float]]], kind: str) -> dict[str, Any]:
    quiet = np.asarray(found["quiet"])
    rows = [("condition", "n", "P50 ms", "P95", "P99", "max", "P50 ratio", "quartiles", "P99 ratio")]
    figures: dict[str, Any] = {}
    quiet_points = _points(quiet)
    for name, blocks in found.items():
        times = np.asarray(blocks)
        points = _points(times)
        ratio: Spread = spread((times / quiet).ravel().tolist())  # the same request in the same round
        last = points["p99"] / quiet_points["p99"]
        figures[name] = {**points, "n": times.size, "ratio": [ratio.low, ratio.median, ratio.high], "p99_ratio": last}
        rows.append(
            (
                name,
                str(times.size),
                *(f"{points[key]:.0f}" for key in ("p50", "p95", "p99", "max")),
                f"{ratio.median:.2f}",
                f"{ratio.low:.2f}-{ratio.high:.2f}",
                f"{last:.2f}",
            )
        )
    print(f"\nhog: {kind}")
    print(table(rows))
    entries = [
        bar(f"P99 over quiet, {name}", entry["p99_ratio"], WANTED, at_least=False)
        for name, entry in figures.items()
        if "hog" in name
    ]
    for entry in entries:
        print(bar_line(entry))
    return {"conditions": figures, "bars": entries, "ms": found}


def _points(times: np.ndarray) -> dict[str, float]:
    values = np.percentile(times, (50, 95, 99, 100), method="inverted_cdf").tolist()
    return dict(zip(("p50", "p95", "p99", "max"), values, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hog", choices=sorted(HOGS), nargs="+", default=list(HOGS), help="default: all, in turn")
    parser.add_argument("--seconds", type=float, default=200, help="of measuring, all hogs together (default 200)")
    parser.add_argument("--block", type=int, default=3, help="requests between two changes of condition (default 3)")
    parser.add_argument("--intervals", type=float, nargs="+", default=[5, 1, 0.5, 0.1], help="switch intervals, ms")
    parser.add_argument("--cascade", help="a cascade file (default: the installed models' own)")
    parser.add_argument("--workers", type=int, help="of the cascade (default: its own setting)")
    parser.add_argument("--candidates", type=int, default=1000)
    parser.add_argument("--questions", type=int, default=30, help="different requests (default 30)")
    parser.add_argument("--json", help="write the figures to this file")
    options = parser.parse_args()
    about = machine()
    print(describe(about))
    config = read_config(options.cascade) if options.cascade else default_config()
    if options.workers is not None:
        config = replace(config, workers=options.workers)
    cases = conditions(options.intervals)
    result: dict[str, Any] = {"machine": about, "workers": options.workers, "hogs": {}}
    with Cascade(config) as cascade, tempfile.TemporaryDirectory() as folder:
        documents = read_corpus()
        store = load_or_encode(cascade, documents).store
        store.save(Path(folder) / "store")
        search = Search(documents, store)
        questions = [question.question for question in load_questions("dev")[: options.questions]]
        requests = [search.first_pass(question, options.candidates) for question in questions]
        cascade.warm_up()
        apart = Apart(config, Path(folder) / "store")
        engines: dict[bool, Engine] = {False: Here(cascade, store), True: apart}
        for kind in options.hog:
            print(f"\none call of {kind}: {hold_ms(kind):.1f} ms")
            found = measure(engines, requests, kind, cases, options.block, options.seconds / len(options.hog))
            result["hogs"][kind] = report(found, kind)
        apart.close()
    write_json(options.json, result)


if __name__ == "__main__":
    main()

"""How much of a request is not the models, and which step it goes to: ``python bench/overhead.py``.

The demo's request: BM25's 1000 candidates by id, tokens and vectors from a store, the default cascade. Time inside
a model is taken around ``InferenceSession.run`` itself, so views, feeds and what is done with outputs count as outside;
of runs that go side by side, a lane's share counts. The same requests also run once under cProfile.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time
from pathlib import Path
from typing import Any

import numpy as np
from measure import bar, bar_line, describe, machine, spread, table, write_json

from cascaderank import Cascade, Ranking
from cascaderank.demo.corpus import read_corpus
from cascaderank.demo.questions import load_questions
from cascaderank.demo.search import FirstPass, Search
from cascaderank.demo.vectors import load_or_encode

TOP_N = 5
WANTED = 0.05


class TimedInference:
    """Stands before an InferenceSession and notes how long each run took; costs about half a microsecond a run."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.seconds: list[float] = []

    def run(self, *arguments: Any) -> Any:
        started = time.perf_counter()
        result = self._inner.run(*arguments)
        self.seconds.append(time.perf_counter() - started)
        return result


def watch(cascade: Cascade) -> dict[str, TimedInference]:
    """Put a clock into every stage's session; by the stage's name."""
    found = {}
    for name, scorer in zip(cascade.names, cascade._flow.scorers, strict=True):
        session = scorer.part.session
        if not isinstance(session._inner, TimedInference):
            session._inner = TimedInference(session._inner)
        found[name] = session._inner
    return found


def measure(
    cascade: Cascade, search: Search, request: FirstPass, clocks: dict[str, TimedInference]
) -> dict[str, float]:
    """Milliseconds of one request by step; ``total`` and ``model`` beside them."""
    for clock in clocks.values():
        clock.seconds.clear()
    started = time.perf_counter()
    ranking: Ranking = request.rank_by(cascade, search.store, TOP_N)
    hits = list(ranking)
    total = (time.perf_counter() - started) * 1e3
    if len(hits) != min(TOP_N, len(request.ids)) or ranking.degraded:
        raise SystemExit(f"{request.question!r}: {len(hits)} hits, {ranking.reasons}")
    trace = ranking.trace
    steps = {"read": trace.read_ms}
    model = 0.0
    for stage in trace.stages:
        lanes = max(1, min(cascade._workers.size, stage.micro_batches))
        inside = sum(clocks[stage.name].seconds) * 1e3 / lanes
        model += inside
        known = stage.tokenize_ms + stage.pack_ms + stage.run_ms + stage.prune_ms
        steps[f"{stage.name}: tokens"] = stage.tokenize_ms
        steps[f"{stage.name}: plan and pack"] = stage.pack_ms
        steps[f"{stage.name}: around each run"] = stage.model_ms - inside
        steps[f"{stage.name}: hand over, uneven ends"] = stage.run_ms - stage.model_ms
        steps[f"{stage.name}: collect and prune"] = stage.prune_ms
        steps[f"{stage.name}: rest"] = stage.total_ms - known
    steps["finish"] = trace.finish_ms
    steps["between stages"] = trace.total_ms - trace.read_ms - trace.finish_ms - sum(s.total_ms for s in trace.stages)
    steps["call and hits"] = total - trace.total_ms
    return {**steps, "model": model, "total": total}


def profile(cascade: Cascade, search: Search, requests: list[FirstPass], lines: int) -> list[dict[str, Any]]:
    """Own time of the functions that the calling thread spent most in, waiting for the workers left out."""
    profiler = cProfile.Profile()
    for request in requests:
        profiler.enable()
        list(request.rank_by(cascade, search.store, TOP_N))
        profiler.disable()
    found = []
    for (file, line, name), (_, calls, own, whole, _) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        if "acquire" in name:
            continue  # waiting for the workers
        where = f"{Path(file).parent.name}/{Path(file).name}:{line} {name}" if line else name
        found.append(
            {
                "where": where,
                "calls": calls / len(requests),
                "own_us": own / len(requests) * 1e6,
                "whole_us": whole / len(requests) * 1e6,
            }
        )
    return sorted(found, key=lambda entry: -entry["own_us"])[:lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cascade", help="a cascade file (default: the installed models' own)")
    parser.add_argument("--requests", type=int, default=40, help="questions of the labelled set (default 40)")
    parser.add_argument("--candidates", type=int, default=1000)
    parser.add_argument("--lines", type=int, default=15, help="lines of the profile (default 15)")
    parser.add_argument("--json", help="write the figures to this file")
    arguments = parser.parse_args()
    found = machine()
    print(describe(found))
    cascade = Cascade.load(arguments.cascade) if arguments.cascade else Cascade.default()
    with cascade:
        documents = read_corpus()
        search = Search(documents, load_or_encode(cascade, documents).store)
        questions = [question.question for question in load_questions("dev")[: arguments.requests]]
        requests = [search.first_pass(question, arguments.candidates) for question in questions]
        cascade.warm_up()
        requests[0].rank_by(cascade, search.store, TOP_N)
        lines = profile(cascade, search, requests, arguments.lines)
        clocks = watch(cascade)
        measured = [measure(cascade, search, request, clocks) for request in requests]
    result = report(measured, lines)
    write_json(arguments.json, {"machine": found, "requests": len(requests), **result})


def report(measured: list[dict[str, float]], lines: list[dict[str, Any]]) -> dict[str, Any]:
    shares = spread([1.0 - one["model"] / one["total"] for one in measured])
    total = spread([one["total"] for one in measured])
    rows = [("step", "us", "quartiles", "of the request")]
    steps: dict[str, dict[str, float]] = {}
    for name in measured[0]:
        if name in ("total", "model"):
            continue
        us = spread([one[name] * 1e3 for one in measured])
        share = float(np.median([one[name] / one["total"] for one in measured]))
        steps[name] = {"us": us.median, "low": us.low, "high": us.high, "share": share}
        rows.append((name, f"{us.median:.0f}", f"{us.low:.0f}-{us.high:.0f}", f"{share:.2%}"))
    print(f"{len(measured)} requests, median {total.median:.1f} ms ({total.low:.1f}-{total.high:.1f})")
    print(table(rows))
    print(f"outside session.run: {shares.median:.2%} of a request ({shares.low:.2%}-{shares.high:.2%})")
    print("\nThe calling thread under cProfile (own time, which the profiler inflates):")
    head = ("where", "calls", "own us", "whole us")
    print(
        table(
            [
                head,
                *(
                    (one["where"], f"{one['calls']:.1f}", f"{one['own_us']:.0f}", f"{one['whole_us']:.0f}")
                    for one in lines
                ),
            ]
        )
    )
    entry = bar("share of a request outside session.run", shares.median, WANTED, at_least=False)
    print(bar_line(entry))
    return {
        "total_ms": [total.low, total.median, total.high],
        "outside_share": [shares.low, shares.median, shares.high],
        "steps": steps,
        "profile": lines,
        "bars": [entry],
    }


if __name__ == "__main__":
    main()

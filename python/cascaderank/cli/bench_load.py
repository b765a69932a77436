"""``cascaderank bench --rate`` and ``--sweep``: an open loop on a cascade of this process or on a server."""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascaderank.cli.arguments import open_cascade, positive_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from cascaderank.evaluate import BeirData
    from cascaderank.evaluate.load.targets import Target
    from cascaderank.evaluate.requests import Request

KEY_VARIABLE = "CASCADERANK_BENCH_KEY"
_LOAD_ONLY = ("url", "hgrm", "api", "model", "key", "explain", "shares")


def add_load_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("open loop")
    group.add_argument("--rate", type=positive_number, metavar="R", help="send R requests a second, whoever answers")
    group.add_argument("--sweep", action="store_true", help="find the saturation rate, then measure shares of it")
    group.add_argument("--duration", type=positive_number, default=60.0, metavar="S", help="of each rate; default: 60")
    group.add_argument("--settle", type=positive_number, default=3.0, metavar="S", help="uncounted before; default: 3")
    group.add_argument(
        "--step-duration", type=positive_number, default=15.0, metavar="S", help="of a search step; default: 15"
    )
    group.add_argument("--shares", type=positive_number, nargs="+", metavar="%", help="default: 50 70 90 100 120 150")
    group.add_argument("--seed", type=int, default=0, help="of the times of sending; default: 0")
    group.add_argument(
        "--timeout-s", type=positive_number, default=60.0, metavar="S", help="give a request up; default: 60"
    )
    group.add_argument(
        "--lateness-ms", type=positive_number, default=10.0, metavar="MS",
        help="the driver's own error allowed (P99; or 10 %% of the P50 if that is more); default: 10",
    )  # fmt: skip
    group.add_argument("--hgrm", type=Path, metavar="OUT", help="the latencies as HdrHistogram's percentile file")
    group.add_argument("--url", metavar="URL", help="a rerank server instead of a cascade of this process")
    group.add_argument("--api", choices=("cohere", "jina", "voyage", "tei"), help="it speaks; default: cohere")
    group.add_argument("--model", metavar="NAME", help="in the requests, where the server wants one")
    group.add_argument("--key", help=f"for its authorization header; default: the variable {KEY_VARIABLE}")
    group.add_argument(
        "--explain", action="store_true", help="it is cascaderank's: send first-pass scores, ask for stages' times"
    )


def check_load_arguments(options: argparse.Namespace) -> bool:
    """Whether a load is asked for; ends the program where the options contradict each other."""
    if options.rate is None and not options.sweep:
        for name in _LOAD_ONLY:
            if getattr(options, name):
                options.parser.error(f"--{name} belongs to an open loop; give --rate or --sweep with it")
        return False
    if options.rate is not None and options.sweep:
        options.parser.error("--rate measures one rate, --sweep finds them; choose one")
    if options.reference or options.concurrency != 1:
        options.parser.error("--reference and --concurrency belong to the closed loop, without --rate and --sweep")
    if options.sweep and options.hgrm is not None:
        options.parser.error("--hgrm holds the latencies of one rate; give --rate")
    if options.rate is not None and (options.plot is not None or options.shares):
        options.parser.error("--plot and --shares need several rates; give --sweep")
    if options.url is None and (options.api or options.model or options.key or options.explain):
        options.parser.error("--api, --model, --key and --explain say how to ask a server; give --url")
    if options.url is not None and (options.cascade or options.store):
        options.parser.error("--url measures a server; it takes no cascade file and no --store")
    return True


def run_load(options: argparse.Namespace) -> int:
    from cascaderank.cli.bench_load_show import show_rate, show_sweep
    from cascaderank.cli.terminal import console, progress
    from cascaderank.evaluate.bench import FORMAT, describe_machine
    from cascaderank.evaluate.load.plot import check_load_plot, save_load_plot
    from cascaderank.evaluate.load.run import SHARES, LoadBench, LoadSettings
    from cascaderank.evaluate.load.tails import write_hgrm

    if options.plot is not None:
        check_load_plot(options.plot)
    screen = console()
    with ExitStack() as stack:
        target, requests, data, about = _open_target(options, stack)
        settings = LoadSettings(
            duration_s=options.duration,
            step_s=options.step_duration,
            settle_s=options.settle,
            seed=options.seed,
            deadline_ms=about["deadline_ms"],
            patience_s=options.timeout_s,
            lateness_ms=options.lateness_ms,
            shares=tuple(share / 100 for share in options.shares) if options.shares else SHARES,
            callers=about.pop("callers"),
        )
        bench = LoadBench(target, requests, None if options.no_quality else data.qrels, settings, progress)
        found: dict[str, Any] = {
            "format": FORMAT,
            "machine": describe_machine(),
            **about,
            "settings": {**asdict(settings), "queries": len(requests), "candidates": options.candidates},
        }
        if options.sweep:
            found["sweep"] = bench.sweep()
            show_sweep(screen, found)
            valid = all(point["valid"] for point in found["sweep"]["points"])
        else:
            found["load"] = bench.at(options.rate, options.duration)
            show_rate(screen, found)
            valid = found["load"]["valid"]
    if options.plot is not None:
        save_load_plot(found["sweep"], options.plot)
    run = bench.last
    assert run is not None  # both ways end with one
    if options.hgrm is not None:
        write_hgrm(options.hgrm, run.waited_ms)
    if options.json is not None:
        _write_json(options.json, found, None if options.sweep else run)
    return 0 if valid else 1


def _open_target(
    options: argparse.Namespace, stack: ExitStack
) -> tuple[Callable[[float | None], Target], list[Request], BeirData, dict[str, Any]]:
    """What is measured, how it is made for a deadline, and what to say of it."""
    from cascaderank.cli.collection import encode_candidates, read_collection
    from cascaderank.cli.terminal import progress
    from cascaderank.evaluate.bench import describe_cascade
    from cascaderank.evaluate.load.targets import InProcess
    from cascaderank.evaluate.requests import evenly, make_requests
    from cascaderank.threads import available_cores

    stored = None if options.store is not None else not options.raw
    cascade = None if options.url else stack.enter_context(open_cascade(options.cascade, stored))
    data, what = read_collection(options.data, options.split, "test")
    with progress("first pass: queries") as report:
        requests = make_requests(data, options.candidates, report)
    if options.queries is not None:
        requests = evenly(requests, options.queries)
    if cascade is None:
        make, about = _server(options, requests)
        return make, requests, data, {"data": what, "deadline_ms": options.deadline_ms, **about}
    store = None
    if not options.raw:
        store = encode_candidates(cascade, data, requests, options.store, packaged=options.data is None)
    cascade.warm_up()
    for request in requests[:3]:
        request.answer(cascade, store)
    own = cascade.config.deadline_ms
    about = {
        "data": what,
        "target": "a cascade of this process",
        "cascade": describe_cascade(cascade),
        "deadline_ms": own if options.deadline_ms is None else options.deadline_ms,
        "callers": 2 * (cascade.config.workers or available_cores()),
    }
    return (lambda deadline_ms: InProcess(cascade, store, deadline_ms)), requests, data, about


def _server(
    options: argparse.Namespace, requests: list[Request]
) -> tuple[Callable[[float | None], Target], dict[str, Any]]:
    from cascaderank.evaluate.load.apis import APIS
    from cascaderank.evaluate.load.http import HttpTarget, make_bodies
    from cascaderank.threads import available_cores

    api = APIS[options.api or "cohere"]
    bodies = make_bodies(api, requests, options.model, explain=options.explain)
    key = options.key or os.environ.get(KEY_VARIABLE)

    def make(deadline_ms: float | None) -> HttpTarget:
        return HttpTarget(options.url, api, bodies, key=key, deadline_ms=deadline_ms)

    return make, {"target": make(None).url, "api": api.name, "callers": 2 * available_cores()}


def _write_json(path: Path, found: dict[str, Any], run: Any) -> None:
    import json

    if run is not None:
        found["requests"] = [
            {
                "query_id": one.request.query_id,
                "due_s": one.due_s,
                "sent_s": one.sent_s,
                "done_s": one.done_s,
                "status": one.reply.status,
                "what": one.reply.what,
                "degraded": one.reply.degraded,
            }
            for one in run.sent
        ]
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

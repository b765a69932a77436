"""``cascaderank bench``: how fast a cascade answers and how well, per stage."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cascaderank.cli.arguments import add_command, add_deadline, open_cascade, positive_integer
from cascaderank.cli.bench_load import add_load_arguments, check_load_arguments, run_load

_TEXT = """\
Measure a cascade: P50, P95, P99 and maximum per stage and in total, pairs and tokens per second, padding, the share of
time outside the model, cold start (in a process of its own), memory, and recall and nDCG@10 after each stage.

Queries and judgements are the packaged questions about Python's documentation, or a folder in the layout of BEIR
(corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv). BM25 finds the candidates. Documents are encoded ahead unless --raw.
--reference runs the last stage's model on all candidates of some queries, alternating with the cascade; this is slow.

--rate sends requests when they are due instead (a Poisson process), whether or not the last was answered, and counts
latency from then; --sweep does so at shares of the rate that saturates the target. --url asks a server over HTTP.
"""
_EXAMPLES = """\
  cascaderank bench
  cascaderank bench --split test --reference --json bench.json --plot bench.png
  cascaderank bench cascade.toml --data beir/scifact --split test --requests 300
  cascaderank bench cascade.toml --concurrency 4 --deadline-ms 200 --plot bench.html
  cascaderank bench --rate 2 --duration 600 --deadline-ms 800 --hgrm latency.hgrm
  cascaderank bench --sweep --deadline-ms 800 --json load.json --plot load.png
  cascaderank bench --sweep --url http://localhost:8000 --api cohere --explain
"""


def add_parser(commands: Any) -> None:
    parser = add_command(commands, "bench", "latency and quality of a cascade, per stage", _TEXT, _EXAMPLES)
    parser.add_argument("cascade", metavar="CASCADE.toml", nargs="?", type=Path, help="default: the installed models'")
    parser.add_argument("--data", type=Path, metavar="DIR", help="BEIR folder; default: the packaged questions")
    parser.add_argument("--split", default=None, help="of the queries; default: dev (packaged), test (--data)")
    parser.add_argument("--requests", type=positive_integer, default=100, metavar="N", help="default: 100")
    parser.add_argument(
        "--candidates", type=positive_integer, default=1000, metavar="N", help="of the first pass; default: 1000"
    )
    parser.add_argument(
        "--queries", type=positive_integer, metavar="N", help="use N evenly chosen queries; default: all of the split"
    )
    parser.add_argument(
        "--concurrency", type=positive_integer, default=1, metavar="C", help="callers in a closed loop; default: 1"
    )
    add_deadline(parser)
    parser.add_argument("--raw", action="store_true", help="send texts; nothing is encoded ahead")
    parser.add_argument("--store", type=Path, metavar="FOLDER", help="open this store, or make it")
    parser.add_argument("--no-quality", action="store_true", help="leave recall and nDCG out")
    parser.add_argument("--no-cold-start", action="store_true", help="leave the cold start out")
    parser.add_argument("--reference", action="store_true", help="the last stage's model on all candidates, beside")
    parser.add_argument(
        "--reference-queries", type=positive_integer, default=10, metavar="K", help="evenly chosen; default: 10"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write everything, each request's trace included")
    parser.add_argument(
        "--plot", type=Path, metavar="OUT", help="write a picture: .png (matplotlib) or .html; of a sweep .png or .svg"
    )
    add_load_arguments(parser)
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> int:
    from cascaderank.cli.bench_show import show
    from cascaderank.cli.collection import encode_candidates, read_collection
    from cascaderank.cli.terminal import console, progress
    from cascaderank.evaluate.bench import BenchSettings, run_bench
    from cascaderank.evaluate.plot import check_plot, save_plot
    from cascaderank.evaluate.requests import evenly, make_requests

    if options.raw and options.store is not None:
        options.parser.error("--raw sends texts, --store encoded documents; choose one")
    for path in (options.json, options.plot, options.hgrm):
        if path is not None and not path.parent.is_dir():
            options.parser.error(f"{path.parent} is not a folder")
    if check_load_arguments(options):
        return run_load(options)
    screen = console()
    if options.plot is not None:
        check_plot(options.plot)
    # A store may lack some of the documents.
    stored = None if options.store is not None else not options.raw
    with open_cascade(options.cascade, stored) as cascade:
        data, what = read_collection(options.data, options.split, "test")
        with progress("first pass: queries") as report:
            requests = make_requests(data, options.candidates, report)
        if options.queries is not None:
            requests = evenly(requests, options.queries)
        store = None
        if not options.raw:
            store = encode_candidates(cascade, data, requests, options.store, packaged=options.data is None)
        settings = BenchSettings(
            requests=options.requests,
            concurrency=options.concurrency,
            deadline_ms=options.deadline_ms,
            quality=not options.no_quality,
            cold_start=not options.no_cold_start,
            reference_queries=options.reference_queries if options.reference else 0,
        )
        found = run_bench(cascade, options.cascade, requests, data.qrels, store, settings, progress)
    found["data"] = what
    show(screen, found)
    if options.json is not None:
        _write_json(options.json, found)
    if options.plot is not None:
        save_plot(found, options.plot)
    return 0


def _write_json(path: Path, found: dict[str, Any]) -> None:
    import json

    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

"""``cascaderank tune``: cut-offs for a budget, with the evidence."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascaderank.cli.arguments import add_command, positive_integer, positive_number

if TYPE_CHECKING:
    from cascaderank.evaluate import BeirData

_TEXT = """\
Choose a cascade's cut-offs from labelled queries. Every stage scores every candidate of the first pass once (kept on
disk under --out, so a killed run goes on); then all combinations of cut-offs, stages left out included, are read off
that table. Half of the queries choose, the other half is what is reported.

Written to --out: recommended.toml (for --budget-ms), certified.toml (with --max-recall-loss), per_query.toml (where a
rule per query saves time), report.html and report.json. --data is a folder in the layout of BEIR (corpus.jsonl,
queries.jsonl, qrels/SPLIT.tsv); its documents are encoded ahead.
"""
_EXAMPLES = """\
  cascaderank tune cascade.toml --data beir/scifact --split train
  cascaderank tune cascade.toml --data beir/scifact --budget-ms 100 --queries 200 --candidates 500
  cascaderank tune cascade.toml --data my-data --run bm25.trec --max-recall-loss 0.02 --confidence 0.9
"""


def add_parser(commands: Any) -> None:
    parser = add_command(commands, "tune", "choose cut-offs from labelled queries, with evidence", _TEXT, _EXAMPLES)
    parser.add_argument("cascade", metavar="CASCADE.toml", nargs="?", type=Path, help="default: the installed models'")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True, help="folder in the layout of BEIR")
    parser.add_argument("--split", default="dev", help="of the judgements; default: dev")
    parser.add_argument(
        "--run", type=Path, metavar="FILE", dest="run_file", help="candidates (TREC run); default: BM25"
    )
    parser.add_argument(
        "--candidates", type=positive_integer, default=1000, metavar="N", help="of the first pass; default: 1000"
    )
    parser.add_argument(
        "--queries", type=positive_integer, metavar="N", help="use N evenly chosen queries; default: all of the split"
    )
    parser.add_argument(
        "--store", type=Path, metavar="FOLDER", help="read encoded documents from it, or write them there"
    )
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument(
        "--budget-ms", type=positive_number, default=200.0, metavar="MS", help="for the P50; default: 200"
    )
    budget.add_argument(
        "--budget-share", type=_share, metavar="S", help="instead: this share of the P50 without cut-offs"
    )
    parser.add_argument(
        "--max-recall-loss", type=_share, metavar="A", help="certify cut-offs that lose at most this share on average"
    )
    parser.add_argument("--confidence", type=_share, default=0.95, metavar="C", help="of the guarantee; default: 0.95")
    parser.add_argument(
        "--certify", choices=("keep", "margin"), default="keep", help="fixed cut-offs or a margin; default: keep"
    )
    parser.add_argument("--seed", type=int, default=0, help="draws the two halves; default: 0")
    parser.add_argument("--out", type=Path, metavar="DIR", default=Path("tuned"), help="default: tuned")
    parser.set_defaults(run=run, parser=parser)


def _share(text: str) -> float:
    value = positive_number(text)
    if value >= 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1")
    return value


def some_queries(data: BeirData, count: int | None) -> BeirData:
    """``count`` of the queries at equal distances; all of them where there are no more."""
    names = list(data.queries)
    if count is None or count >= len(names):
        return data
    chosen = [names[place * len(names) // count] for place in range(count)]
    queries = {name: data.queries[name] for name in chosen}
    return data._replace(queries=queries, qrels={name: data.qrels[name] for name in chosen})


def run(options: argparse.Namespace) -> int:
    from cascaderank.cascade import default_config
    from cascaderank.cli.collection import encode_candidates
    from cascaderank.cli.terminal import console, progress
    from cascaderank.cli.tune_show import show
    from cascaderank.config import read_config
    from cascaderank.evaluate import load_beir
    from cascaderank.evaluate.candidates import requests_from_run, require_candidates
    from cascaderank.evaluate.requests import make_requests
    from cascaderank.evaluate.trec import read_run
    from cascaderank.tune.page import write_report
    from cascaderank.tune.run import run_tune
    from cascaderank.tune.settings import TuneSettings, check_settings

    if options.out.exists() and not options.out.is_dir():
        options.parser.error(f"--out: {options.out} is not a folder")
    screen = console()
    settings = TuneSettings(
        budget_ms=options.budget_ms,
        budget_share=options.budget_share,
        max_recall_loss=options.max_recall_loss,
        confidence=options.confidence,
        certify=options.certify,
        seed=options.seed,
    )
    config = default_config() if options.cascade is None else read_config(options.cascade)
    data = some_queries(load_beir(options.data, options.split), options.queries)
    check_settings(len(data.queries), settings)
    if options.run_file is not None:
        requests = requests_from_run(data, read_run(options.run_file), options.candidates)
        require_candidates(requests)
    else:
        with progress("first pass: queries") as report:
            requests = make_requests(data, options.candidates, report)
    known = None
    if options.store is not None:
        known = partial(encode_candidates, data=data, requests=requests, file=options.store, packaged=False)
    found = run_tune(config, requests, data.qrels, options.out, settings, progress, known)
    found["data"] = f"{options.data.resolve().name}, {options.split}"
    write_report(found, options.out)
    show(screen, found, options.out)
    return 0

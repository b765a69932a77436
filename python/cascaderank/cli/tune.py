"""``cascaderank tune``: cut-offs for a budget, with the evidence."""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascaderank.cli.arguments import add_command, positive_number
from cascaderank.cli.evaluate import add_collection

if TYPE_CHECKING:
    from cascaderank.cascade import Cascade
    from cascaderank.cli.labelled import Labelled
    from cascaderank.config import CascadeConfig
    from cascaderank.evaluate import BeirData
    from cascaderank.store import Store

_TEXT = """\
Choose a cascade's cut-offs from labelled queries. Every stage scores every candidate of the first pass once (kept on
disk under --out, so a killed run goes on); then all combinations of cut-offs, stages left out included, are read off
that table. Half of the queries choose, the other half is what is reported.

The collection is a folder in the layout of BEIR (corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv), files in TREC's
formats, or by default the packaged questions about Python's documentation. Documents are encoded ahead.

Written to --out:
  recommended.toml   the cheapest within --budget-ms that does as well as the best within it
  best.toml          the best within the budget
  plateau.toml       the plateau rule's choice, whatever it costs
  exhaustive.toml    the best without cut-offs
  certified.toml     with --max-recall-loss: what passes the test
  per_query.toml     where a rule per query saves time
  report.html, report.json
"""
_EXAMPLES = """\
  cascaderank tune cascade.toml --data beir/scifact --split train
  cascaderank tune cascade.toml --data beir/scifact --budget-ms 100 --queries 200 --candidates 500
  cascaderank tune cascade.toml --data beir/scifact --first-pass hybrid --budget-share 0.125
  cascaderank tune cascade.toml --data my-data --run bm25.trec --max-recall-loss 0.02 --confidence 0.9
  cascaderank tune cascade.toml --corpus corpus.jsonl --queries-file q.tsv --qrels qrels.txt --relevant-from 2
"""


def add_parser(commands: Any) -> None:
    parser = add_command(commands, "tune", "choose cut-offs from labelled queries, with evidence", _TEXT, _EXAMPLES)
    parser.add_argument("cascade", metavar="CASCADE.toml", nargs="?", type=Path, help="default: the installed models'")
    add_collection(parser)
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
    from cascaderank.cli.labelled import read_judgements
    from cascaderank.cli.terminal import console, progress
    from cascaderank.cli.tune_show import show
    from cascaderank.config import read_config
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
        relevant_from=options.relevant_from,
    )
    config = default_config() if options.cascade is None else read_config(options.cascade)
    data, what = read_judgements(options)
    data = some_queries(data, options.queries)
    check_settings(len(data.queries), settings)
    labelled = _find_candidates(options, config, data, what)
    known = None
    if options.store is not None or labelled.packaged or labelled.store is not None:
        known = partial(_known_store, labelled, options.store)
    found = run_tune(
        config, labelled.requests, labelled.qrels, options.out, settings, progress, known, source=options.cascade
    )
    found["data"] = labelled.what
    write_report(found, options.out)
    show(screen, found, options.out)
    return 0


def _find_candidates(options: argparse.Namespace, config: CascadeConfig, data: BeirData, what: str) -> Labelled:
    """Candidates of every query. A first pass by vectors is searched with the cascade's own bi-encoder."""
    from cascaderank.cascade import Cascade
    from cascaderank.cli.labelled import find_candidates
    from cascaderank.cli.terminal import busy
    from cascaderank.evaluate.candidates import require_candidates

    if options.run_file is not None:
        labelled = find_candidates(options, None, data, what)
        require_candidates(labelled.requests)
        return labelled
    if options.first_pass == "bm25":
        return find_candidates(options, None, data, what)
    with busy("loading models"):
        cascade = Cascade(replace(config.for_documents(True), deadline_ms=None))
    with cascade:
        return find_candidates(options, cascade, data, what)


def _known_store(labelled: Labelled, file: Path | None, cascade: Cascade) -> Store:
    """What holds every candidate: the corpus's store where the first pass had it encoded, else that of ``file``."""
    return labelled.encode(cascade, file) if labelled.store is None else labelled.store

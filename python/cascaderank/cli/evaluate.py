"""``cascaderank evaluate``: what every stage of a cascade gains and loses on a labelled collection."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascaderank.cli.arguments import add_command, positive_integer

if TYPE_CHECKING:
    from cascaderank.cascade import Cascade
    from cascaderank.cli.labelled import Labelled
    from cascaderank.config import CascadeConfig
    from cascaderank.store import Store

_TEXT = """\
Measure a cascade on a labelled collection: recall, nDCG@10, MRR@10, accuracy and MAP of the first pass and after each
stage with 95 % bootstrap intervals, the relevant candidates each stage lost and for which queries, and its time.

--against compares two cascades query by query (paired randomisation test); --ablation compares the ways to fuse.
The collection is a folder in the layout of BEIR, files in TREC's formats, or by default the packaged questions about
Python's documentation. Documents are encoded ahead unless --raw. Needs the extra `evaluate`.
"""
_EXAMPLES = """\
  cascaderank evaluate
  cascaderank evaluate cascade.toml --data beir/scifact --split dev --report evaluation.html --json evaluation.json
  cascaderank evaluate cascade.toml --data beir/scifact --against other.toml --first-pass hybrid
  cascaderank evaluate cascade.toml --corpus corpus.jsonl --queries-file queries.tsv --qrels qrels.txt --run bm25.run
  cascaderank evaluate cascade.toml --data beir/scifact --ablation
"""


def add_parser(commands: Any) -> None:
    parser = add_command(commands, "evaluate", "quality and losses per stage, with intervals", _TEXT, _EXAMPLES)
    parser.add_argument("cascade", metavar="CASCADE.toml", nargs="?", type=Path, help="default: the installed models'")
    add_collection(parser)
    parser.add_argument("--against", type=Path, metavar="OTHER.toml", help="a second cascade to compare with")
    parser.add_argument("--ablation", action="store_true", help="compare fusion last, rrf, convex and weighted")
    parser.add_argument("--raw", action="store_true", help="send texts; nothing is encoded ahead")
    parser.add_argument(
        "--json", type=Path, metavar="OUT", help="write everything, values and losses per query included"
    )
    add_report(parser)
    parser.set_defaults(run=run, parser=parser)


def add_report(parser: argparse.ArgumentParser) -> None:
    """``calibrate`` has the same."""
    parser.add_argument(
        "--report", type=Path, metavar="OUT.html", help="write tables and plots as one page that needs nothing else"
    )


def add_collection(parser: argparse.ArgumentParser) -> None:
    """The labelled collection and its candidates; ``calibrate`` has the same."""
    parser.add_argument("--data", type=Path, metavar="DIR", help="BEIR folder; default: the packaged questions")
    parser.add_argument("--split", help="of the judgements; default: dev")
    parser.add_argument("--corpus", type=Path, metavar="F", help="corpus.jsonl, with --queries-file and --qrels")
    parser.add_argument("--queries-file", type=Path, metavar="F", help="queries.jsonl, or lines of id, tab, text")
    parser.add_argument("--qrels", type=Path, metavar="F", help="judgements in TREC's format")
    parser.add_argument("--run", type=Path, metavar="F", dest="run_file", help="the candidates: a run in TREC's format")
    parser.add_argument(
        "--first-pass", choices=("bm25", "dense", "hybrid"), default="bm25",
        help="what finds the candidates without --run: BM25, the first bi-encoder's vectors, both; default: bm25",
    )  # fmt: skip
    parser.add_argument(
        "--candidates", type=positive_integer, default=1000, metavar="N", help="of the first pass; default: 1000"
    )
    parser.add_argument("--queries", type=positive_integer, metavar="N", help="use N evenly chosen queries")
    parser.add_argument(
        "--relevant-from", type=positive_integer, default=1, metavar="GRADE",
        help="the lowest grade that counts as relevant (nDCG has its own gains); default: 1",
    )  # fmt: skip
    parser.add_argument("--store", type=Path, metavar="F", help="read encoded documents from F, or write them there")


def check_outputs(parser: argparse.ArgumentParser, *paths: Path | None) -> None:
    """Refuse before the work what could not be written after it."""
    for path in paths:
        if path is not None and not path.parent.is_dir():
            parser.error(f"{path.parent} is not a folder")


def run(options: argparse.Namespace) -> int:
    from cascaderank.cascade import Cascade, default_config
    from cascaderank.cli.evaluate_show import show, show_ablation
    from cascaderank.cli.labelled import read_labelled
    from cascaderank.cli.terminal import busy, console, progress
    from cascaderank.config import FUSIONS, read_config
    from cascaderank.evaluate.ablation import ablate_fusion
    from cascaderank.evaluate.evaluation import evaluate
    from cascaderank.evaluate.measures import import_ir_measures
    from cascaderank.evaluate.report.evaluation import evaluation_page
    from cascaderank.evaluate.report.html import write_json, write_page

    if options.raw and options.store is not None:
        options.parser.error("--raw sends texts, --store encoded documents; choose one")
    check_outputs(options.parser, options.json, options.report)
    import_ir_measures()
    screen = console()
    files = [options.cascade, *([] if options.against is None else [options.against])]
    configs = [
        _without_deadline(default_config() if file is None else read_config(file), options.raw) for file in files
    ]
    with busy("loading models"):
        cascades = [Cascade(config) for config in configs]
    try:
        labelled = read_labelled(options, cascades[0])
        stores = [None] * len(cascades) if options.raw else _stores(labelled, cascades, options.store)
        with progress("evaluating: queries") as report:
            found = evaluate(
                cascades, labelled.requests, labelled.qrels, stores, relevant_from=options.relevant_from,
                progress=report,
            )  # fmt: skip
    finally:
        for cascade in cascades:
            cascade.close()
    found["data"] = labelled.what
    if options.against is not None:
        found["against"]["file"] = str(options.against)
    if options.ablation:
        with progress("fusions: queries") as report:
            found["ablation"] = ablate_fusion(
                configs[0], FUSIONS, labelled.requests, labelled.qrels, stores[0], relevant_from=options.relevant_from,
                progress=report,
            )  # fmt: skip
    show(screen, found)
    if options.ablation:
        show_ablation(screen, found["ablation"])
    if options.json is not None:
        write_json(found, options.json)
    if options.report is not None:
        write_page(evaluation_page(found), options.report)
    return 0


def _stores(labelled: Labelled, cascades: list[Cascade], file: Path | None) -> list[Store | None]:
    """Documents encoded ahead, once for cascades of the same models; ``file`` and the first pass's store are the first
    one's."""
    found: dict[tuple[str, ...], Store] = {}
    keys = [tuple(spec.digest for spec in cascade.models) for cascade in cascades]
    for key, cascade in zip(keys, cascades, strict=True):
        if key not in found:
            found[key] = (
                labelled.store if labelled.store and not found else labelled.encode(cascade, None if found else file)
            )
    return [found[key] for key in keys]


def _without_deadline(config: CascadeConfig, raw: bool) -> CascadeConfig:
    """What is left out to be in time is no measure of quality."""
    from dataclasses import replace

    return replace(config.for_documents(not raw), deadline_ms=None)

"""The quality table: every system on every collection, with 95 % intervals, in int8 and fp32.

    python models/recipes/quality.py --json quality.json      # prints the tables
    python models/recipes/quality.py --write                  # and puts them into models/README.md

The models are run by the engine, one row a run; scores are cached per model, set and query, so an interrupted run goes
on where it stopped and a second run only computes what changed. The cascade is followed from these scores by the
engine's own pool; `--check N` runs the real one beside it. fp32 graphs need torch and the weights.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cascaderank import Cascade, Document
from cascaderank.config import CascadeConfig, read_config
from measuring.exact import fp32_folder
from measuring.manifests import write_manifests
from measuring.measured import SetResult, Values, measure, narrowed, parts_of
from measuring.report import report, summary, write_between
from measuring.scoring import Bench, bench, score_lists
from measuring.sets import BAR, JUDGED, QA, Lists, Task, read_lists
from measuring.systems import CROSS_ENCODERS, ENCODERS, Parts, cascade_order

TASKS = BAR + JUDGED + QA


def model_scores(folder: Path, lists: Lists, queries: Sequence[str], depth: int, where: Bench) -> list[Values]:
    """Scores of one model folder over the first `depth` candidates of these queries."""
    collection = lists.collection
    requests = [(collection.queries[q], list(lists.first[q])[:depth]) for q in queries]
    return score_lists(folder, f"{lists.task.name}.{lists.task.split}", collection.documents, requests, where)


def check_cascade(config: CascadeConfig, models: Path, lists: Lists, scored: dict[str, Parts], threads: int) -> int:
    """Run the real cascade on these queries; raises RuntimeError where its first ten differ. Returns their number."""
    config = config.for_documents(True)
    stages = tuple(replace(stage, model=models / Path(stage.model).name) for stage in config.stages)
    real = replace(config, stages=stages, workers=threads, truncate_query=True, deadline_ms=None)
    with Cascade(real) as cascade:
        for query, parts in scored.items():
            first = list(lists.first[query].items())[: len(parts["first"])]
            documents = [Document(i, lists.collection.documents[i], score) for i, score in first]
            found = [hit.id for hit in cascade.rank(lists.collection.queries[query], documents, top_n=10)]
            expected = [first[place][0] for place in cascade_order(config, parts)[:10]]
            if found != expected:
                raise RuntimeError(f"{lists.task}, query {query}: the engine ranks {found}, cached scores {expected}")
    return len(scored)


def measure_set(
    task: Task, options: argparse.Namespace, config: CascadeConfig, check: int, where: Bench
) -> SetResult | None:
    """Score and measure one set, `check` queries by the real cascade too; None when only caches are filled."""
    bar = task in BAR
    lists = read_lists(
        options.data, task, options.queries or (None if bar else 60), options.wide if bar else options.depth
    )
    names = list(lists.first)
    most = max(map(len, lists.first.values()))
    depth = most if task.source == "judged" else options.depth
    folders = {m: options.models / m for m in ENCODERS + CROSS_ENCODERS}
    folders = {m: f if f.is_dir() else options.unshipped / m for m, f in folders.items()}
    wanted = [m for m, folder in folders.items() if folder.is_dir()]
    if options.only:
        wanted = [m for m in wanted if m in options.only]
    by_model = {}
    for model in wanted:
        reach = most if model in ENCODERS else depth
        by_model[model] = model_scores(folders[model], lists, names, reach, where)
    chosen = np.sort(np.random.default_rng(0).permutation(len(names))[: options.fp32_queries if bar else 0])
    sample = [names[i] for i in chosen]
    exact = {}
    if sample:
        from exporting.shipped import weight_folders  # needs torch, as all that fp32 is made from

        weights = weight_folders(options.large, options.small)
        for model in wanted:
            if model in weights:
                folder = fp32_folder(folders[model], weights[model], options.cache)
                exact[model] = model_scores(folder, lists, sample, depth, where)
    if options.only:
        return None
    scored = parts_of(lists, by_model, names, most)
    narrow = narrowed(scored, depth)
    result = SetResult(task, names, measure(config, lists, narrow))
    if task.source == "bm25" and bar:
        cheap = {q: {part: v for part, v in parts.items() if part not in CROSS_ENCODERS} for q, parts in scored.items()}
        result.wide = measure(config, lists, cheap)
    if exact:
        # A model without fp32 weights (the static encoder is a table) takes part as it ships.
        same = {m: [scores[i][:depth] for i in chosen] for m, scores in by_model.items() if m not in exact}
        result.fp32 = measure(config, lists, parts_of(lists, {**exact, **same}, sample, depth))
        result.int8 = measure(config, lists, {q: narrow[q] for q in sample})
    if check:
        some = {q: narrow[q] for q in names[:check]}
        done = check_cascade(config, options.models, lists, some, options.threads)
        where.progress.console.print(f"{task}: the engine gives the same first ten on {done} queries")
    return result


def main() -> None:
    """The command line."""
    here = Path(__file__).resolve().parent
    shared = here.parents[2] / "shared"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=shared / "data", help="folder of the collections")
    parser.add_argument("--models", type=Path, default=here.parent / "cascaderank_models")
    parser.add_argument(
        "--unshipped", type=Path, default=here / "checkpoints" / "folders", help="models that are measured, not shipped"
    )
    parser.add_argument("--large", type=Path, default=here / "checkpoints" / "large", help="torch weights, large model")
    parser.add_argument("--small", type=Path, default=here / "checkpoints" / "small", help="and of the small one")
    parser.add_argument("--cache", type=Path, default=here / "cache" / "quality")
    parser.add_argument("--sets", nargs="*", choices=[t.name for t in TASKS], help="only these collections")
    parser.add_argument("--only", nargs="*", choices=ENCODERS + CROSS_ENCODERS, help="only fill the cache for these")
    parser.add_argument(
        "--queries", type=int, help="queries a set, a fixed sample (default: all of the bar's, 60 elsewhere)"
    )
    parser.add_argument("--depth", type=int, default=100, help="candidates that are reranked")
    parser.add_argument("--wide", type=int, default=1000, help="BM25's candidates for what needs no cross-encoder")
    parser.add_argument(
        "--fp32-queries", type=int, default=15, help="queries of a bar set measured in fp32 too; 0: none"
    )
    parser.add_argument("--check", type=int, default=0, metavar="N", help="queries of two sets run by the real cascade")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every number")
    parser.add_argument(
        "--write",
        action="store_true",
        help="put the tables into models/README.md, and each model's figures into its manifest",
    )
    options = parser.parse_args()
    if options.wide < options.depth:
        parser.error(f"--wide {options.wide} is below --depth {options.depth}")
    config = read_config(options.models / "cascade.toml")
    tasks = [task for task in TASKS if not options.sets or task.name in options.sets]
    with bench(options.cache, options.threads) as where:
        measured = [
            measure_set(task, options, config, options.check if number < 2 else 0, where)
            for number, task in enumerate(tasks)
        ]
    results = {result.task: result for result in measured if result is not None}
    if not results:
        return
    text = report(results, options.depth, options.wide)
    print(text)
    if options.json:
        settings = {name: getattr(options, name) for name in ("queries", "depth", "wide", "fp32_queries")}
        options.json.write_text(json.dumps(summary(results, settings), indent=1), encoding="utf-8")
    if options.write:
        write_between(here.parent / "README.md", text)
        write_manifests(options.models, results, options.depth)


if __name__ == "__main__":
    main()

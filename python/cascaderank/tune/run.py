"""One tuning of a cascade on one labelled collection: everything found, as plain data that JSON can hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cascaderank.cascade import Cascade
from cascaderank.config import CascadeConfig, read_config
from cascaderank.errors import InputError
from cascaderank.evaluate.bench import describe_cascade, describe_machine
from cascaderank.evaluate.requests import Request, evenly
from cascaderank.flow import Flow
from cascaderank.kernels import Int64
from cascaderank.model import ModelSpec
from cascaderank.schedule import Workers, clock
from cascaderank.store import Store
from cascaderank.tune.certified import PATHS
from cascaderank.tune.check import check_prediction
from cascaderank.tune.cost import StageCost, measure_costs, measure_overhead
from cascaderank.tune.explore import Explorer, all_choices, cut_offs, make_table
from cascaderank.tune.guarantee import check_sample
from cascaderank.tune.outcome import Outcome, find_outcome
from cascaderank.tune.scores import load_or_encode, score_all
from cascaderank.tune.write import check_writer, chosen_config, write_config

Progress = Callable[[int, int], None]
Bars = Callable[[str], AbstractContextManager[Progress]]
FORMAT = 1
FILES = ("recommended.toml", "certified.toml", "per_query.toml")
FEW = 100  # labelled queries below which choices are mostly luck


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """``max_recall_loss`` None: no guarantee is asked for; with one, ``certify`` says what is to be found, cut-offs
    (``keep``) or a ``margin`` per query. ``cost_queries`` requests are timed to fit the cost model,
    ``check_queries`` to check it. The halves are drawn by ``seed``."""

    budget_ms: float = 200.0
    max_recall_loss: float | None = None
    confidence: float = 0.95
    certify: str = "keep"
    seed: int = 0
    cost_queries: int = 8
    check_queries: int = 50


def halves(count: int, seed: int) -> tuple[Int64, Int64]:
    """Queries to choose with and queries to report on, each in ascending order; the first half is the larger by one."""
    order = np.random.default_rng(seed).permutation(count)
    first = (count + 1) // 2
    return np.sort(order[:first]).astype(np.int64), np.sort(order[first:]).astype(np.int64)


def check_settings(queries: int, settings: TuneSettings) -> None:
    """What cannot work is said before hours of scoring. Raises ``InputError`` or ``MissingExtraError``."""
    if queries < 4:
        raise InputError(f"tune: {queries} judged queries; at least 4 are needed, 100 and more to trust the choice")
    if settings.certify not in PATHS:
        raise InputError(f"tune: certify is {settings.certify!r}, expected one of {', '.join(PATHS)}")
    if settings.max_recall_loss is not None:
        check_sample((queries + 1) // 2, settings.max_recall_loss, settings.confidence)
    check_writer()


def run_tune(
    config: CascadeConfig,
    requests: Sequence[Request],
    qrels: Mapping[str, Mapping[str, int]],
    folder: Path,
    settings: TuneSettings,
    bars: Bars | None = None,
) -> dict[str, Any]:
    """Score, explore, choose on one half of the queries and report on the other; write the cascade files to ``folder``.

    Documents count as known ahead: stages that run only on bare texts are left out. ``bars(text)`` gives a context
    whose value is called with (done, total). Raises ``InputError`` for settings that cannot work, and whatever ranking
    raises.
    """
    check_settings(len(requests), settings)
    folder.mkdir(parents=True, exist_ok=True)
    bar = bars or _no_bar
    config = config.for_documents(True)
    whole = replace(config, deadline_ms=None)
    timed = evenly(requests, settings.cost_queries)
    with Cascade(whole) as cascade:
        described = describe_cascade(cascade)
        names, specs = cascade.names, cascade.models
        with bar("encoding the candidates, ahead of the requests") as report:
            store = load_or_encode(cascade, requests, folder / "scores", report)
        cascade.warm_up()
        overhead = measure_overhead(cascade, timed, store)
    explorer, costs = _score(config, requests, qrels, store, folder, settings, timed, overhead, bar)
    most = max(len(request.ids) for request in requests)
    grid = cut_offs(most, len(names), [stage.keep for stage in config.stages])
    keeps = all_choices(grid, len(names))
    if config.fusion != "last":  # a cascade whose stages all have weight 0 is no cascade file
        heavy = np.array([stage.weight > 0 for stage in config.stages])
        keeps = keeps[(keeps[:, heavy] > 0).any(axis=1) | (keeps == 0).all(axis=1)]
    choosing, reporting = halves(len(requests), settings.seed)
    begun = clock()
    outcome = find_outcome(explorer, config, names, requests, grid, keeps, choosing, reporting, settings)
    seconds = clock() - begun
    check = _write(config, specs, outcome, requests, qrels, store, reporting, folder, settings, bar)
    warnings = []
    if len(requests) < FEW:
        warnings.append(
            f"only {len(requests)} labelled queries, half of them to choose with: below {FEW} the choice is mostly "
            "luck; read the intervals, and label more"
        )
    if max(map(len, (request.ids for request in requests))) != min(map(len, (request.ids for request in requests))):
        warnings.append("queries differ in how many candidates they have; a cut-off above a query's count cuts nothing")
    return {
        "format": FORMAT,
        "machine": describe_machine(),
        "cascade": described,
        "settings": {
            **asdict(settings),
            "queries": len(requests),
            "choosing": len(choosing),
            "reporting": len(reporting),
            "candidates": most,
            "grid": grid,
        },
        "warnings": warnings,
        "costs": [{"stage": name, **asdict(cost)} for name, cost in zip(names, costs, strict=True)],
        "overhead_ms": overhead,
        "explored": {"choices": len(keeps), "seconds": outcome.explore_seconds, "all_seconds": seconds},
        **outcome.found,
        "check": check,
        "per_query_ids": [requests[query].query_id for query in reporting.tolist()],
    }


def _score(
    config: CascadeConfig,
    requests: Sequence[Request],
    qrels: Mapping[str, Mapping[str, int]],
    store: Store,
    folder: Path,
    settings: TuneSettings,
    timed: Sequence[Request],
    overhead: float,
    bar: Bars,
) -> tuple[Explorer, list[StageCost]]:
    workers = Workers(config.workers)
    try:
        flow = Flow(config, workers)
        with bar("scoring every candidate by every stage: queries") as report:
            scores = score_all(
                flow, requests, store, folder / "scores", truncate_query=config.truncate_query, progress=report
            )
        with bar("timing the stages: runs") as report:
            costs = measure_costs(flow, timed, store, truncate_query=config.truncate_query, progress=report)
        return Explorer(make_table(scores, requests, qrels, costs), flow.fusion, overhead), costs
    finally:
        workers.close()


def _write(
    config: CascadeConfig,
    specs: Sequence[ModelSpec],
    outcome: Outcome,
    requests: Sequence[Request],
    qrels: Mapping[str, Mapping[str, int]],
    store: Store,
    reporting: Int64,
    folder: Path,
    settings: TuneSettings,
    bar: Bars,
) -> dict[str, Any]:
    """Write every cascade file, then run the recommended one from its file. Files of an earlier run go: they would
    pass for this one's."""
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    for name, (choice, comment) in outcome.files.items():
        write_config(chosen_config(config, specs, choice), folder / name, comment)
    count = min(settings.check_queries, len(reporting))
    checked = reporting[np.arange(count) * len(reporting) // count]
    found = outcome.explorer.run(outcome.recommended, checked)
    # As written, but for a deadline: what is checked is the whole work's time and quality.
    written = replace(read_config(folder / "recommended.toml"), deadline_ms=None)
    with Cascade(written) as cascade, bar("checking the recommended cascade") as report:
        return check_prediction(
            cascade,
            [requests[query] for query in checked.tolist()],
            qrels,
            store,
            found.ms[0],
            found.ndcg[0],
            report,
        )


def _no_bar(text: str) -> AbstractContextManager[Progress]:
    del text
    return nullcontext(lambda done, total: None)

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
from cascaderank.evaluate.bench import describe_cascade, describe_machine
from cascaderank.evaluate.reliability import stage_reliability
from cascaderank.evaluate.requests import Request, evenly
from cascaderank.flow import Flow
from cascaderank.job import clock
from cascaderank.kernels import Int64
from cascaderank.model import ModelSpec
from cascaderank.schedule import Workers
from cascaderank.store import Store
from cascaderank.tune.budget import find_reference
from cascaderank.tune.check import compare_check, run_check
from cascaderank.tune.cost import CostMeter, measure_overhead
from cascaderank.tune.explore import Explorer, all_choices, candidates_of, cut_offs, make_table
from cascaderank.tune.limits import limit_warnings
from cascaderank.tune.outcome import Outcome, find_outcome
from cascaderank.tune.population import calibration_warnings, describe_population, sample_warnings, source_warnings
from cascaderank.tune.scores import Scores, load_or_encode, score_all
from cascaderank.tune.settings import TuneSettings, check_settings
from cascaderank.tune.write import chosen_config, write_config

Progress = Callable[[int, int], None]
Bars = Callable[[str], AbstractContextManager[Progress]]
FORMAT = 2
FILES = ("recommended.toml", "best.toml", "plateau.toml", "exhaustive.toml", "certified.toml", "per_query.toml")


@dataclass(frozen=True, slots=True)
class _Scored:
    """What every stage made of every candidate; ``overhead`` milliseconds of a request belong to no stage."""

    requests: Sequence[Request]
    qrels: Mapping[str, Mapping[str, int]]
    store: Store
    scores: Scores
    flow: Flow
    meter: CostMeter
    overhead: float
    relevant_from: int

    def explorer(self, costs: Sequence[Any]) -> Explorer:
        table = make_table(self.scores, self.requests, self.qrels, costs, self.relevant_from)
        return Explorer(table, self.flow.fusion, self.overhead)


def halves(count: int, seed: int) -> tuple[Int64, Int64]:
    """Queries to choose with and queries to report on, each in ascending order; the first half is the larger by one."""
    order = np.random.default_rng(seed).permutation(count)
    first = (count + 1) // 2
    return np.sort(order[:first]).astype(np.int64), np.sort(order[first:]).astype(np.int64)


def run_tune(
    config: CascadeConfig,
    requests: Sequence[Request],
    qrels: Mapping[str, Mapping[str, int]],
    folder: Path,
    settings: TuneSettings,
    bars: Bars | None = None,
    known: Callable[[Cascade], Store] | None = None,
    source: Path | None = None,
) -> dict[str, Any]:
    """Score, explore, choose on one half of the queries and report on the other; write the cascade files to ``folder``.

    Documents count as known ahead: stages that run only on bare texts are left out. ``bars(text)`` gives a context
    whose value is called with (done, total); ``known(cascade)`` gives a store of all candidates, which are otherwise
    encoded and kept beside the scores; ``source`` is the file that ``config`` was read from. Raises ``InputError`` for
    settings that cannot work, and whatever ranking raises.
    """
    check_settings(len(requests), settings)
    choosing, reporting = halves(len(requests), settings.seed)
    population = describe_population(requests, qrels, choosing, reporting, settings)
    folder.mkdir(parents=True, exist_ok=True)
    bar = bars or _no_bar
    config = config.for_documents(True)
    # Of the half that chooses: the other one's requests, which are checked at the end, take no part in a prediction.
    timed = evenly([requests[query] for query in choosing.tolist()], settings.cost_queries)
    with Cascade(replace(config, deadline_ms=None)) as cascade:
        described, names, specs = describe_cascade(cascade), cascade.names, cascade.models
        if known is not None:
            store = known(cascade)
        else:
            with bar("encoding the candidates, ahead of the requests") as report:
                store = load_or_encode(cascade, requests, folder / "scores", report)
        cascade.warm_up()
        overhead = measure_overhead(cascade, timed, store)
    workers = Workers(config.workers)
    try:
        flow = Flow(config, workers)
        with bar("scoring every candidate by every stage: queries") as report:
            scores = score_all(
                flow, requests, store, folder / "scores", truncate_query=config.truncate_query, progress=report
            )
        meter = CostMeter(flow, timed, store, config.truncate_query)
        with bar("timing the stages: runs") as report:
            meter.run_all(report)
        scored = _Scored(requests, qrels, store, scores, flow, meter, overhead, settings.relevant_from)
        costs = meter.take()
        explorer = scored.explorer(costs)
        most = max(len(request.ids) for request in requests)
        grid = cut_offs(most, len(names), [stage.keep for stage in config.stages])
        keeps = _choices(config, grid)
        reference = None
        if settings.budget_share is not None:
            reference = find_reference(explorer, keeps, choosing)
            settings = replace(settings, budget_ms=settings.budget_share * reference.p50_ms)
        begun = clock()
        outcome = find_outcome(explorer, config, specs, names, requests, grid, keeps, choosing, reporting, settings)
        seconds = clock() - begun
        _write(config, specs, outcome, folder)
        check = _check(scored, outcome, reporting, folder, settings.check_queries, bar)
    finally:
        workers.close()
    inside = candidates_of(explorer.table, reporting)
    relevant = explorer.table.relevant[inside]
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
        "budget_reference": None if reference is None else asdict(reference),
        "population": population,
        "warnings": [
            *sample_warnings(requests),
            *calibration_warnings(names, specs, settings.relevant_from),
            *source_warnings(source, settings),
            *limit_warnings(outcome.found["held_back"]["cascade file"]["limits"]),
        ],
        "costs": [{"stage": name, **asdict(cost)} for name, cost in zip(names, costs, strict=True)],
        "overhead_ms": overhead,
        "explored": {"choices": len(keeps), "seconds": outcome.explore_seconds, "all_seconds": seconds},
        **outcome.found,
        "reliability": stage_reliability(
            names, specs, list(explorer.table.logits[:, inside]), [relevant for _ in names]
        ),
        "check": check,
        "timed_ids": [request.query_id for request in timed],
        "per_query_ids": [requests[query].query_id for query in reporting.tolist()],
    }


def _choices(config: CascadeConfig, grid: Sequence[int]) -> Int64:
    keeps = all_choices(grid, len(config.stages))
    if config.fusion == "last":
        return keeps
    # A cascade whose stages all have weight 0 is no cascade file.
    heavy = np.array([stage.weight > 0 for stage in config.stages])
    found: Int64 = keeps[(keeps[:, heavy] > 0).any(axis=1) | (keeps == 0).all(axis=1)]
    return found


def _write(config: CascadeConfig, specs: Sequence[ModelSpec], outcome: Outcome, folder: Path) -> None:
    """Write every cascade file. Files of an earlier run go: they would pass for this one's."""
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    for name, (choice, comment) in outcome.files.items():
        write_config(chosen_config(config, specs, choice), folder / name, comment)


def _check(scored: _Scored, outcome: Outcome, reporting: Int64, folder: Path, most: int, bar: Bars) -> dict[str, Any]:
    """Run the recommended cascade from its file, but for a deadline: what is checked is the whole work's time."""
    count = min(most, len(reporting))
    checked = reporting[np.arange(count) * len(reporting) // count]
    requests = [scored.requests[query] for query in checked.tolist()]
    written = replace(read_config(folder / "recommended.toml"), deadline_ms=None)
    with Cascade(written) as cascade, bar("checking the recommended cascade") as report:
        found = run_check(cascade, requests, scored.qrels, scored.store, scored.meter, report)
    again = scored.explorer(scored.meter.take()).run(outcome.recommended, checked)
    return compare_check(found, outcome.explorer.run(outcome.recommended, checked), again)


def _no_bar(text: str) -> AbstractContextManager[Progress]:
    del text
    return nullcontext(lambda done, total: None)

"""What the explored table says: curves, front, choices, guarantee and policies, chosen on one half of the queries and
reported on the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cascaderank.config import CascadeConfig
from cascaderank.evaluate.requests import Request
from cascaderank.job import clock
from cascaderank.kernels import Choices, Explored, Int64
from cascaderank.model import ModelSpec
from cascaderank.tune.budget import uncut_places
from cascaderank.tune.certified import certified_choice
from cascaderank.tune.explore import Explorer, join
from cascaderank.tune.figures import difference, figures
from cascaderank.tune.files import Files, cascade_files
from cascaderank.tune.folds import cross_validate
from cascaderank.tune.limits import describe_limits, file_choice
from cascaderank.tune.lost import find_lost
from cascaderank.tune.pareto import answering, beside_chosen, best_uncut, front, recommend, verdicts
from cascaderank.tune.per_query import report_policies
from cascaderank.tune.plateau import plateau_curves
from cascaderank.tune.settings import TuneSettings


@dataclass(frozen=True, slots=True)
class Outcome:
    """``found`` is plain data; ``files`` are the cascades to write, each with the comment above it."""

    explorer: Explorer
    recommended: Choices
    files: Files
    found: dict[str, Any]
    explore_seconds: float


def find_outcome(
    explorer: Explorer,
    config: CascadeConfig,
    specs: Sequence[ModelSpec],
    names: Sequence[str],
    requests: Sequence[Request],
    grid: Sequence[int],
    keeps: Int64,
    choosing: Int64,
    reporting: Int64,
    settings: TuneSettings,
) -> Outcome:
    """Everything but running cascades. ``keeps`` are all choices (``all_choices``)."""
    begun = clock()
    explored = explorer.run(Choices.fixed(keeps), choosing)
    seconds = clock() - begun
    held = explorer.run(Choices.fixed(keeps), reporting)
    p50 = np.median(explored.ms, axis=1).astype(np.float64)
    quality = explored.ndcg.mean(axis=1, dtype=np.float64)
    answer = config.stages[-1].keep
    allowed = answering(keeps, min(answer, max(grid)))
    chosen, best, note = recommend(explored.ndcg, p50, keeps, allowed, settings.budget_ms)
    curves = plateau_curves(explorer, names, grid, choosing)
    places = np.flatnonzero(allowed)
    on_front = places[front(quality[places], p50[places])]
    uncut = uncut_places(keeps)
    exhaustive = best_uncut(explored.ndcg, uncut)
    plateau = np.array([[curve.chosen for curve in curves]], np.int64)
    files = cascade_files(
        keeps, chosen, best, exhaustive, plateau, held, explorer.run(Choices.fixed(plateau), reporting), settings
    )
    guarantee = None
    if settings.max_recall_loss is not None:
        guarantee, choice, lines = certified_choice(explorer, config, max(grid), choosing, reporting, settings)
        files["certified.toml"] = choice, lines
    own = file_choice(config, specs, max(grid))
    found = {
        "recommended": {
            "keeps": keeps[chosen].tolist(),
            "note": note,
            "best_keeps": keeps[best].tolist(),
            "choosing": figures(explored, chosen),
        },
        "curves": [curve.to_dict() for curve in curves],
        "held_back": {
            "first pass alone": _entry(keeps[0], held, 0),
            "recommended": _entry(keeps[chosen], held, chosen),
            "best within the budget": _entry(keeps[best], held, best),
            "plateau rule": _entry(plateau[0], explorer.run(Choices.fixed(plateau), reporting)),
            "cascade file": {
                **_entry(own.keeps[0], explorer.run(own, reporting)),
                "limits": describe_limits(config, names),
            },
            "best without cut-offs": _entry(keeps[exhaustive], held, exhaustive),
        },
        "against_exhaustive": _against(held, chosen, exhaustive),
        "against_first_pass": difference(held.ndcg[chosen], held.ndcg[0]),
        "folds": cross_validate(
            join(explored, held, choosing, reporting), keeps, allowed, uncut, settings.budget_ms, settings.seed
        ),
        "front": [
            {
                "keeps": keeps[place].tolist(),
                "p50_ms": float(p50[place]),
                "ndcg_10": float(quality[place]),
                "held_back_ndcg_10": float(held.ndcg[place].mean()),
            }
            for place in on_front.tolist()
        ],
        "cloud": [[round(float(p50[place]), 3), round(float(quality[place]), 5)] for place in places.tolist()],
        "stages": _verdicts(names, explored, held, p50, keeps, allowed, chosen, settings.budget_ms),
        "guarantee": guarantee,
        "per_query": report_policies(explorer, keeps[chosen], choosing, reporting, max(grid), names, files),
        "lost": find_lost(explorer, names, keeps[chosen], requests, reporting),
    }
    return Outcome(explorer, Choices.fixed(keeps[[chosen]]), files, found, seconds)


def _entry(keeps: Int64, found: Explored, row: int = 0) -> dict[str, Any]:
    return {"keeps": keeps.tolist(), **figures(found, row)}


def _against(held: Explored, chosen: int, exhaustive: int) -> dict[str, Any]:
    whole = float(held.ndcg[exhaustive].mean())
    return {
        "quality": float(held.ndcg[chosen].mean()) / whole if whole else 1.0,
        "latency": float(np.median(held.ms[chosen]) / max(float(np.median(held.ms[exhaustive])), 1e-9)),
        **difference(held.ndcg[chosen], held.ndcg[exhaustive]),
    }


def _verdicts(
    names: Sequence[str],
    explored: Explored,
    held: Explored,
    p50: Any,
    keeps: Int64,
    allowed: Any,
    chosen: int,
    budget_ms: float,
) -> list[dict[str, Any]]:
    found = []
    for place, verdict in enumerate(verdicts(names, explored.ndcg, p50, keeps, allowed, budget_ms)):
        verdict = beside_chosen(verdict, p50, chosen, used=bool(keeps[chosen, place]))
        entry = {"stage": verdict.stage, "pays": verdict.pays, "short": verdict.short, "reason": verdict.reason}
        if verdict.with_it is not None and verdict.without_it is not None:
            entry |= {
                "with_keeps": keeps[verdict.with_it].tolist(),
                "without_keeps": keeps[verdict.without_it].tolist(),
                **difference(explored.ndcg[verdict.with_it], explored.ndcg[verdict.without_it]),
                "held_back": difference(held.ndcg[verdict.with_it], held.ndcg[verdict.without_it]),
            }
        found.append(entry)
    return found

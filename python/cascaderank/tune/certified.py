"""The guarantee applied to a cascade: one path of settings, certified on the half of the queries used to choose."""

from __future__ import annotations

from typing import Any

import numpy as np

from cascaderank.config import CascadeConfig
from cascaderank.evaluate.metrics import bootstrap_interval
from cascaderank.kernels import Choices, Int64
from cascaderank.tune.explore import Explorer, relevant_counts
from cascaderank.tune.files import MARK
from cascaderank.tune.guarantee import Certified, certify, fixed_path, margin_path
from cascaderank.tune.policies import scales
from cascaderank.tune.settings import TuneSettings


def certified_choice(
    explorer: Explorer, config: CascadeConfig, most: int, choosing: Int64, reporting: Int64, settings: TuneSettings
) -> tuple[dict[str, Any], Choices, list[str]]:
    """Plain data, the certified choice, and the comment above its file.

    ``settings.certify`` names the path before anything is looked at: testing both and taking the cheaper would be two
    tests. No path sees a label: cut-offs come from the cascade file, margins from the scores (not the labels) of the
    other half's queries. The realised loss is that of the other half.

    Tested are the queries that have a relevant candidate, and of such ones is the promise: a query with nothing to lose
    has no loss under any setting, and a share of them would let the others lose more than alpha.
    """
    assert settings.max_recall_loss is not None
    alpha, table = settings.max_recall_loss, explorer.table
    binary = bool((relevant_counts(table) <= 1).all())
    tested = explorer.with_relevant(choosing)
    path = _path(explorer, config, most, reporting, settings.certify)
    losses = 1.0 - explorer.run(path, tested).recall.astype(np.float64)
    passed = certify(losses, alpha, settings.confidence, binary=binary)
    row = slice(passed.step, passed.step + 1)
    choice = Choices(path.keeps[row], path.min_logits[row], path.margins[row], path.masses[row], path.temperatures)
    held = explorer.run(choice, reporting)
    realised = 1.0 - held.recall[0][~np.isnan(held.recall[0])].astype(np.float64)
    found = {
        "alpha": alpha,
        "confidence": settings.confidence,
        "queries": len(tested),
        "without_relevant": len(choosing) - len(tested),
        "path": settings.certify,
        "keeps": choice.keeps[0].tolist(),
        "margins": [None if value != value else float(value) for value in choice.margins[0]],
        "cuts_nothing": passed.step == 0,
        "p_value": passed.p_value,
        "loss": passed.loss,
        "test": passed.test,
        "steps": _steps(path, losses, passed),
        "held_back_loss": float(realised.mean()),
        "held_back_loss_interval": bootstrap_interval(realised),
        "p50_ms": float(np.median(held.ms[0])),
        "ndcg_10": float(held.ndcg[0].mean()),
    }
    comment = [
        f"{MARK}: at most this share of the first pass's relevant candidates is lost on average,",
        f"{alpha:g} with confidence {settings.confidence:g} ({passed.test}, p = {passed.p_value:.2g}, {passed.queries} "
        "queries),",
        "for queries exchangeable with the labelled ones that have a relevant candidate"
        f"{_grade(settings.relevant_from)}.",
        "What counts are the candidates that leave the last stage.",
    ]
    return found, choice, comment


def _grade(relevant_from: int) -> str:
    return "" if relevant_from == 1 else f" (grade {relevant_from} or more)"


def _path(explorer: Explorer, config: CascadeConfig, most: int, other: Int64, which: str) -> Choices:
    if which == "keep":
        return Choices.fixed(fixed_path(most, [stage.keep for stage in config.stages]))
    margins = margin_path(scales(explorer.table, other).tolist())
    none = np.full(margins.shape, np.nan, np.float32)
    stages = len(config.stages)
    return Choices(np.full(margins.shape, most, np.int64), none, margins, none, np.ones(stages, np.float32))


def _steps(path: Choices, losses: Any, passed: Certified) -> list[dict[str, Any]]:
    """The settings that were tested, in order."""
    return [
        {
            "keeps": path.keeps[step].tolist(),
            "margins": [None if value != value else float(value) for value in path.margins[step]],
            "loss": float(losses[step].mean()),
            "p_value": p_value,
        }
        for step, p_value in enumerate(passed.p_values)
    ]

"""Rules per query beside the fixed cut-offs, chosen on one half and reported on the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cascaderank.evaluate.report.words import interval
from cascaderank.kernels import Choices, Explored, Int64
from cascaderank.tune.explore import Explorer
from cascaderank.tune.figures import difference, figures
from cascaderank.tune.files import MARK, Files
from cascaderank.tune.policies import PAYS, tune_policies


def report_policies(
    explorer: Explorer,
    keeps: Int64,
    choosing: Int64,
    reporting: Int64,
    most: int,
    names: Sequence[str],
    files: Files,
) -> dict[str, Any]:
    """Each kind of policy beside the fixed cut-offs, on both halves; the one that saves most gets a file if it pays."""
    if np.count_nonzero(keeps) < 2:
        return {"note": "one stage: no later stage to save work for", "kinds": []}
    fixed, best = tune_policies(explorer, keeps, choosing, most)
    base = explorer.run(Choices.fixed(keeps[None, :]), reporting)
    kinds = []
    for kind, (policy, found) in best.items():
        held = explorer.run(policy.choice, reporting)
        saved = 1.0 - float(found.ms.mean() / fixed.ms.mean())
        kinds.append(
            {
                "kind": kind,
                "setting": policy.setting,
                "keeps": policy.choice.keeps[0].tolist(),
                "limits": _limits(policy.choice),
                "saved_ms": saved,
                "held_back_saved_ms": 1.0 - float(held.ms.mean() / base.ms.mean()),
                "held_back_saved_pairs": _saved_pairs(base, held, names),
                "held_back": {**figures(held), **difference(held.ndcg[0], base.ndcg[0])},
                "pays": saved >= 1.0 - PAYS,
            }
        )
    paying = [entry for entry in kinds if entry["pays"]]
    note = "no rule per query beats the fixed cut-offs at equal nDCG@10"
    if paying:
        winner = max(paying, key=lambda entry: entry["saved_ms"])
        files["per_query.toml"] = (
            best[winner["kind"]][0].choice,
            [f"{MARK}: {winner['kind']} cuts per query, keep is the maximum."],
        )
        held = winner["held_back"]
        change = f"{held['difference']:+.3f} {interval(held['interval'])}"
        note = (
            f"{winner['kind']} saves {winner['saved_ms']:.0%} of the predicted time at equal nDCG@10 on the choosing "
            f"half; held back {winner['held_back_saved_ms']:.0%}, nDCG@10 {change}"
        )
    return {"note": note, "kinds": kinds}


def _limits(choice: Choices) -> list[dict[str, float]]:
    found = []
    for place in range(choice.keeps.shape[1]):
        values = {
            "min_logit": float(choice.min_logits[0, place]),
            "margin": float(choice.margins[0, place]),
            "mass": float(choice.masses[0, place]),
        }
        entry = {name: value for name, value in values.items() if value == value}
        if "mass" in entry:
            entry["temperature"] = float(choice.temperatures[place])
        found.append(entry)
    return found


def _saved_pairs(base: Explored, held: Explored, names: Sequence[str]) -> dict[str, float]:
    before, after = base.pairs[0].sum(axis=0), held.pairs[0].sum(axis=0)
    return {name: 1.0 - float(b / a) for name, a, b in zip(names, before, after, strict=True) if a}

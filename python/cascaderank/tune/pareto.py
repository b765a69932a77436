"""Quality against predicted latency over all choices: the front, the choice for a budget, stages that do not pay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cascaderank.evaluate.metrics import bootstrap_interval
from cascaderank.kernels import Int64

Bools = NDArray[np.bool_]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
LOSS = 0.01  # of the best nDCG: what a choice may give away and still count as good
NEAR = 1.10  # times the cheapest: a choice with fewer stages is worth that much


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a stage pays: the best choices within the budget with and without it (places among the choices). Where
    there is only one of the two the budget has decided, and ``short`` says so: it is no word on the stage's worth."""

    stage: str
    pays: bool
    short: str
    reason: str
    with_it: int | None
    without_it: int | None


def front(quality: Float64, ms: Float64) -> list[int]:
    """Places of the choices that no other beats in both, cheapest first; of equals the first."""
    order = np.lexsort((np.arange(len(ms)), -quality, ms))
    best, found = -np.inf, []
    for place in order.tolist():
        if quality[place] > best:
            best = quality[place]
            found.append(place)
    return found


def answering(keeps: Int64, answer: int) -> Bools:
    """Choices whose last stage keeps ``answer``, so that no stage before cuts deeper: what leaves the cascade is the
    caller's to say. Another last cut-off would change neither the ranking nor its cost."""
    last = np.zeros(len(keeps), np.int64)
    for column in keeps.T:
        last = np.where(column > 0, column, last)
    found: Bools = last == answer
    return found


def as_good(better: Float32, other: Float32) -> bool:
    """Whether ``other`` (nDCG per query) gives away at most ``LOSS`` of the mean, and no loss is proven: the paired
    95 % bootstrap interval of the difference reaches zero."""
    difference = better.astype(np.float64) - other
    if difference.mean() > LOSS * max(float(better.mean()), 1e-12):
        return False
    return difference.mean() <= 0 or bootstrap_interval(difference, samples=2000)[0] <= 0.0


def recommend(ndcg: Float32, ms: Float64, keeps: Int64, allowed: Bools, budget_ms: float) -> tuple[int, int, str]:
    """(the choice, the best within the budget, what to say): of the choices as good as the best, the cheapest, or one
    with fewer stages that costs at most ``NEAR`` times as much. ``ndcg`` is ``[c, queries]``, ``ms`` ``[c]``."""
    places = np.flatnonzero(allowed & (ms <= budget_ms))
    if not places.size:
        cheapest = int(np.flatnonzero(allowed)[np.argmin(ms[allowed])])
        return cheapest, cheapest, f"no choice meets {budget_ms:g} ms; this is the fastest, at {ms[cheapest]:.0f} ms"
    means = ndcg[places].mean(axis=1, dtype=np.float64)
    best = int(places[np.argmax(means)])
    good: list[int] = []
    for place in places[np.argsort(ms[places], kind="stable")].tolist():
        if good and ms[place] > NEAR * ms[good[0]]:
            break
        if as_good(ndcg[best], ndcg[place]):
            good.append(place)
    counts = [(int((keeps[place] > 0).sum()), float(ms[place]), place) for place in good]
    return min(counts)[2], best, ""


def best_uncut(ndcg: Float32, uncut: Int64) -> int:
    """Of the places ``uncut`` (no cut-off anywhere, stages left out or not) the one of the best mean."""
    return int(uncut[np.argmax(ndcg[uncut].mean(axis=1, dtype=np.float64))])


def verdicts(
    names: Sequence[str], ndcg: Float32, ms: Float64, keeps: Int64, allowed: Bools, budget_ms: float
) -> list[Verdict]:
    """One per stage: does the best choice within the budget that leaves it out do as well?"""
    within = allowed & (ms <= budget_ms)
    means = ndcg.mean(axis=1, dtype=np.float64)

    def best(mask: Bools) -> int | None:
        places = np.flatnonzero(mask)
        return int(places[np.argmax(means[places])]) if places.size else None

    found = []
    for stage, name in enumerate(names):
        with_it, without = best(within & (keeps[:, stage] > 0)), best(within & (keeps[:, stage] == 0))
        if with_it is None:
            verdict = False, "over the budget", "no choice with it is within"
        elif without is None:
            alone = "it is the only stage"
            verdict = True, "needed", "no choice without it is within the budget" if len(names) > 1 else alone
        elif as_good(ndcg[with_it], ndcg[without]):
            verdict = False, "does not pay", "leave this stage out: fewer stages do as well, within the interval"
        else:
            verdict = True, "pays", "without it the quality is lower"
        found.append(Verdict(name, *verdict, with_it, without))
    return found


def beside_chosen(verdict: Verdict, ms: Float64, chosen: int, *, used: bool) -> Verdict:
    """A stage that adds no quality is recommended all the same where it makes the ones behind it cheaper: then it saves
    time, and "leave it out" would speak against the recommendation. ``used``: the choice ``chosen`` has the stage."""
    without = verdict.without_it
    if not used or verdict.pays or without is None or ms[without] <= ms[chosen]:
        return verdict
    reason = (
        f"the best without it is as good, within the interval, but takes {ms[without] / ms[chosen]:.1f} times as long"
    )
    return replace(verdict, pays=True, short="saves time", reason=reason)

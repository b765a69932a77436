"""How many candidates each stage gets when there is not time for all."""

from __future__ import annotations

from collections.abc import Sequence

from cascaderank.cost import Cost

_CHEAP = 0.25  # of the time left: a stage that takes no more of it runs in full before anything else is shared out


def allot(counts: Sequence[int], costs: Sequence[Cost], available: float) -> list[int]:
    """Candidates each stage may score in ``available`` seconds, at most ``counts``; 0 leaves the stage out.

    A cheap stage over many candidates runs in full; then the last stage is served first, then the one before it with
    what is left, and one that could not score more candidates than the next, or only one, is left out, as it would not
    choose anything. First come, first served would spend the time on the weakest model's opinion of everybody;
    bench/deadlines.py shows what is left of the quality at each deadline.
    """
    allotted = [0] * len(counts)
    shared: list[int] = []
    for number, (wanted, cost) in enumerate(zip(counts, costs, strict=True)):
        seconds = cost.estimate(wanted)
        if not shared and seconds <= _CHEAP * available:
            allotted[number] = wanted
            available -= seconds
        else:
            shared.append(number)
    behind = 0
    for number in reversed(shared):
        fits = _affordable(counts[number], costs[number], available)
        if fits == counts[number] or fits > max(behind, 1):
            allotted[number] = behind = fits
            available -= costs[number].estimate(fits)
    return allotted


def _affordable(wanted: int, cost: Cost, available: float) -> int:
    """The most candidates, at most ``wanted``, whose estimate is no more than ``available`` seconds."""
    if cost.estimate(wanted) <= available:
        return wanted
    low, high = 0, wanted
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if cost.estimate(middle) <= available else (low, middle)
    return low

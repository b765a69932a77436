"""One rate, or a sweep over shares of the saturation rate: what ``cascaderank bench --rate`` and ``--sweep`` do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from cascaderank.errors import CascadeError
from cascaderank.evaluate.load.arrivals import poisson_arrivals
from cascaderank.evaluate.load.driver import closed_loop, open_loop
from cascaderank.evaluate.load.record import LoadRun
from cascaderank.evaluate.load.saturation import find_saturation
from cascaderank.evaluate.load.summary import LATENESS_MS, Qrels, summarize_load
from cascaderank.evaluate.load.targets import Target
from cascaderank.evaluate.requests import Request

SHARES = (0.5, 0.7, 0.9, 1.0, 1.2, 1.5)
Bars = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """``step_s`` is how long each rate of the search for the saturation is held, ``settle_s`` what precedes every
    measurement uncounted, ``patience_s`` when a request is given up."""

    duration_s: float = 60.0
    step_s: float = 15.0
    settle_s: float = 3.0
    seed: int = 0
    deadline_ms: float | None = None
    patience_s: float = 60.0
    lateness_ms: float = LATENESS_MS
    shares: tuple[float, ...] = SHARES
    callers: int = 4


class LoadBench:
    """Puts loads on one target. ``target(deadline_ms)`` makes it, with the deadline or without."""

    def __init__(
        self,
        target: Callable[[float | None], Target],
        requests: Sequence[Request],
        qrels: Qrels | None,
        settings: LoadSettings,
        bars: Bars,
    ) -> None:
        self._target, self._requests, self._qrels = target, requests, qrels
        self._settings, self._bars = settings, bars
        self.last: LoadRun | None = None

    def at(self, rate: float, duration_s: float) -> dict[str, Any]:
        """An open loop at ``rate`` requests a second; ``last`` keeps its requests."""
        return self._at(rate, duration_s, self._settings.deadline_ms)

    def _at(self, rate: float, duration_s: float, deadline_ms: float | None) -> dict[str, Any]:
        settings = self._settings
        due = poisson_arrivals(rate, settings.settle_s + duration_s, settings.seed)

        async def send() -> LoadRun:
            with self._bars(f"{rate:.3g} requests/s") as report:
                async with self._target(deadline_ms) as target:
                    sent = await open_loop(target, self._requests, due, patience_s=settings.patience_s, progress=report)
            return LoadRun(sent, rate, duration_s, settings.settle_s, deadline_ms)

        self.last = asyncio.run(send())
        return summarize_load(self.last, self._qrels, settings.lateness_ms)

    def unhurried(self) -> dict[str, Any]:
        """A closed loop of ``callers`` without a deadline: throughput, and the answers' quality where nothing is left
        out. Raises ``CascadeError`` where nothing was answered."""
        settings = self._settings

        async def send() -> LoadRun:
            with self._bars("closed loop"):
                async with self._target(None) as target:
                    sent = await closed_loop(
                        target, self._requests, settings.callers, settings.step_s, patience_s=settings.patience_s
                    )
            return LoadRun(sent, 0.0, settings.step_s)

        found = summarize_load(asyncio.run(send()), self._qrels)
        if not found["throughput_per_s"]:
            raise CascadeError(
                f"load: none of {found['requests']} requests of a closed loop was answered in {settings.step_s:g} s "
                f"(refused {found['refused'] or 0}, failed {found['failed'] or 0}); is the address the right one?"
            )
        return {key: found[key] for key in ("throughput_per_s", "ms", "ndcg_10", "failed") if key in found}

    def sweep(self) -> dict[str, Any]:
        """The saturation rate, then each share of it for ``duration_s``; ``bars`` are the promises that the shares
        among them can judge.

        The deadline is for the shares: what the target can do is searched for without one, so that saturation is a
        property of the target and not of the deadline.
        """
        settings = self._settings
        closed = self.unhurried()
        found = find_saturation(lambda rate: self._at(rate, settings.step_s, None), closed["throughput_per_s"] * 0.8)
        if not found.rate:
            raise CascadeError(
                f"load: no rate was followed by whole answers, down to {found.steps[-1]['rate']:.3g} requests/s; has "
                "the cascade file a deadline of its own that is shorter than one request takes?"
            )
        points = [{"share": share, **self.at(share * found.rate, settings.duration_s)} for share in settings.shares]
        throughput = max([found.throughput, *(point["goodput_per_s"] for point in points if point["share"] <= 1.0)])
        return {
            "closed_loop": closed,
            "saturation_rate": found.rate,
            "saturated_throughput": throughput,
            "search": [dict(step) for step in found.steps],
            "points": points,
            "bars": judge(points, throughput),
        }


def judge(points: Sequence[Mapping[str, Any]], throughput: float) -> list[dict[str, Any]]:
    """The promises about load, for the shares that were measured."""
    by_share = {round(point["share"], 3): point for point in points}
    found: list[dict[str, Any]] = []
    if (point := by_share.get(0.7)) is not None and point["ms"] is not None:
        found.append(_bar("P99 over P50 at 70 %", point["ms"]["p99"] / point["ms"]["p50"], 2.5, at_least=False))
        if point["deadline_ms"] is not None:
            found.append(_bar("answered by the deadline at 70 %", point["in_time_share"], 0.999))
    if (point := by_share.get(1.5)) is not None:
        found.append(_bar("goodput over the saturated throughput at 150 %", point["goodput_per_s"] / throughput, 0.9))
        if point["deadline_ms"] is not None:
            found.append(
                _bar("answers older than the deadline + 5 % at 150 %", float(point["overdue"]), 0.0, at_least=False)
            )
    return found


def _bar(name: str, reached: float, wanted: float, *, at_least: bool = True) -> dict[str, Any]:
    met = reached >= wanted if at_least else reached <= wanted
    return {"bar": name, "wanted": wanted, "reached": reached, "at_least": at_least, "met": met}

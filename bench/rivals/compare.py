"""Contenders in alternation over one request: answers checked first, then times, ratios and promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from measure import Spread, alternate, bar, speedup, spread

from rivals.arithmetic import Arithmetic
from rivals.contender import Contender
from rivals.texts import Request

TOLERANCE = 1e-4  # fp32 logits, whoever computed them; where a request's logits lie close together, less:
OF_SPREAD = 1e-3  # of their standard deviation
CORRELATION = 0.9  # int8 logits with fp32's: below it a graph was not loaded as it is
REST_S = 0.05  # idle threads of one library stop spinning before the next one is timed
PROMISES = {"mixed": {"fp32": 2.0, "int8": 4.0}, "wikiqa": {"fp32": 1.5, "int8": 3.0}}
OVER_ARITHMETIC = 1.25


class Answers:
    """Keeps every timed answer, so that each is compared with torch's afterwards."""

    def __init__(self, contender: Contender, request: Request) -> None:
        self.contender = contender
        self._request = request
        self.seen: list[np.ndarray] = []

    def __call__(self) -> None:
        self.seen.append(self.contender.score(self._request.query, self._request.texts))

    def worst(self, truth: np.ndarray) -> float:
        """Largest difference from the true logits, or from their sigmoids where that is all this library tells."""
        wanted = 1 / (1 + np.exp(-truth)) if self.contender.squashed else truth
        return max(float(np.abs(answer - wanted).max()) for answer in self.seen)

    def check(self, truth: np.ndarray) -> None:
        """Raises ``SystemExit`` where an answer is not that of the same weights."""
        name = f"{self.contender.name}, {self.contender.precision}"
        if self.contender.precision == "fp32":
            allowed = min(TOLERANCE, OF_SPREAD * float(truth.std()))
            if not self.worst(truth) <= allowed:
                raise SystemExit(f"{name}: scores differ by {self.worst(truth):.2g} from torch's, over {allowed:.2g}")
        elif (found := min(float(np.corrcoef(answer, truth)[0, 1]) for answer in self.seen)) < CORRELATION:
            raise SystemExit(f"{name}: scores correlate with torch's by {found:.2f} only, under {CORRELATION}")


def key(contender: Contender) -> str:
    return f"{contender.name}, {contender.precision}"


def compare(
    contenders: Sequence[Contender],
    request: Request,
    repetitions: int,
    arithmetic: Mapping[str, Arithmetic] | None = None,
    warm_up: int = 1,
) -> dict[str, Any]:
    """Everything about one request as plain data; ``contenders`` hold torch's fp32 or cascaderank's as the truth."""
    answers = {key(contender): Answers(contender, request) for contender in contenders}
    calls: dict[str, Callable[[], object]] = dict(answers)
    lengths = request.lengths.tolist()
    for precision, products in (arithmetic or {}).items():
        calls[f"products alone, {precision}"] = lambda products=products: products.run(lengths)  # type: ignore[misc]
    seconds = alternate(calls, repetitions, warm_up=warm_up, rest_s=REST_S)
    truth = _truth(answers)
    rows: dict[str, Any] = {}
    for name, one in answers.items():
        one.check(truth)
        precision = one.contender.precision
        ms = spread(seconds[name]).scaled(1e3)
        entry = {
            "precision": precision,
            "ours": one.contender.ours,
            "ms": _plain(ms),
            "pairs_per_s": len(request.texts) / ms.median * 1e3,
            "max_abs_diff": one.worst(truth),
            "of_sigmoids": one.contender.squashed,
        }
        peer = next_best(answers, seconds, precision)
        if peer is not None:
            entry["next_best_peer"] = peer
            entry["times_next_best"] = _plain(speedup(seconds, name, peer))
        if one.contender.ours and f"products alone, {precision}" in seconds:
            entry["over_products"] = _plain(speedup(seconds, f"products alone, {precision}", name))
        rows[name] = entry
    found = {"request": request.line(), "pairs": len(request.texts), "contenders": rows}
    for precision, products in (arithmetic or {}).items():
        taken = spread(seconds[f"products alone, {precision}"])
        found[f"products_{precision}"] = {
            "ms": _plain(taken.scaled(1e3)),
            "gflop_per_s": products.operations(lengths) / taken.median / 1e9,
        }
    found["bars"] = _bars(request.name, rows)
    return found


def next_best(answers: Mapping[str, Answers], seconds: Mapping[str, Sequence[float]], precision: str) -> str | None:
    """The fastest peer with this precision's file, by its median."""
    peers = [name for name, one in answers.items() if not one.contender.ours and one.contender.precision == precision]
    return min(peers, key=lambda name: spread(seconds[name]).median, default=None)


def _truth(answers: Mapping[str, Answers]) -> np.ndarray:
    """torch's logits; where it does not take part, the first fp32 answer that is logits."""
    fp32 = [name for name, one in answers.items() if one.contender.precision == "fp32" and not one.contender.squashed]
    if not fp32:
        raise SystemExit("nobody computes fp32 logits here, so no answer could be checked")
    name = next((name for name in fp32 if "torch" in name), fp32[0])
    truth = answers[name].seen[0]
    if truth.std() < 0.01:  # a thousandth of it would be fp32's own rounding
        raise SystemExit(f"logits spread by {truth.std():.2g} only: agreement would say nothing")
    return truth


def _bars(name: str, rows: Mapping[str, Any]) -> list[dict[str, Any]]:
    bars = []
    for entry in (entry for entry in rows.values() if entry["ours"]):
        precision = entry["precision"]
        wanted = PROMISES.get(name, {}).get(precision)
        if wanted is not None and "times_next_best" in entry:
            text = f"{name}, {precision}: x {entry['next_best_peer']}"
            bars.append(bar(text, entry["times_next_best"]["median"], wanted))
        if "over_products" in entry:
            text = f"{name}, {precision}: our call over the products alone"
            bars.append(bar(text, entry["over_products"]["median"], OVER_ARITHMETIC, at_least=False))
    return bars


def rows_of(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The table of one comparison."""
    rows = [("contender", "ms", "quartiles", "pairs/s", "x next best", "quartiles", "x products", "max diff")]
    for name, entry in sorted(
        found["contenders"].items(), key=lambda item: (item[1]["precision"], not item[1]["ours"])
    ):
        ms, ratio, over = entry["ms"], entry.get("times_next_best"), entry.get("over_products")
        rows.append(
            (
                name,
                f"{ms['median']:.0f}",
                f"{ms['low']:.0f}-{ms['high']:.0f}",
                f"{entry['pairs_per_s']:.1f}",
                f"{ratio['median']:.2f}" if ratio else "",
                f"{ratio['low']:.2f}-{ratio['high']:.2f}" if ratio else "",
                f"{over['median']:.2f} ({over['low']:.2f}-{over['high']:.2f})" if over else "",
                f"{entry['max_abs_diff']:.1e}{' (sigmoid)' if entry['of_sigmoids'] else ''}",
            )
        )
    return rows


def _plain(values: Spread) -> dict[str, float]:
    return {"low": values.low, "median": values.median, "high": values.high}

"""The page of a bench (``run_bench``): where the time goes, how it spreads, and what quality it buys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cascaderank.evaluate.report.html import figure, page, section, table
from cascaderank.evaluate.report.svg import Plot, stacked_bars
from cascaderank.evaluate.report.words import interval

_KEYS = ("p50", "p95", "p99", "max")


def bench_page(found: Mapping[str, Any]) -> str:
    """The whole page."""
    latency, settings, machine = found["latency"], found["settings"], found["machine"]
    summary = (
        f"{latency['requests']} requests of {settings['candidates']} candidates by {latency['concurrency']} caller(s) "
        f"on {machine['cores']} cores ({machine['processor'] or machine['machine']}): "
        f"{latency['pairs_per_s']:.0f} pairs/s, {latency['tokens_per_s']:.0f} tokens/s, {latency['padding']:.1%} "
        f"padding, {latency['outside_share']:.1%} of the time outside the model."
    )
    parts = [
        section("Where the time goes", _bars(latency["stages"]), _latency_table(latency)),
        section("Request times", _times([request["ms"] for request in found["requests"]])),
        section("Quality", _quality_table(found["quality"]) if "quality" in found else ""),
    ]
    return page("bench", f"Bench of {found.get('data', 'a cascade')}", summary, parts)


def _bars(stages: Sequence[Mapping[str, Any]]) -> str:
    rows = {key.upper(): [stage["ms"][key] for stage in stages] for key in _KEYS}
    return figure(
        stacked_bars(rows, [stage["name"] for stage in stages], "time per stage"),
        "Milliseconds per stage at each percentile; the stages' percentiles need not add up to the request's.",
    )


def _times(times: Sequence[float]) -> str:
    ordered = sorted(times)
    plot = Plot("ms per request", "share of requests", (0.0, max(ordered[-1], 1e-9)), (0.0, 1.0))
    points = [(0.0, 0.0), *((ms, (place + 1) / len(ordered)) for place, ms in enumerate(ordered))]
    plot.steps(points, "line")
    return figure(plot.text("distribution of the request times"), "Share of the requests answered within a time.")


def _latency_table(latency: Mapping[str, Any]) -> str:
    rows = [
        [stage["name"], f"{stage['candidates_in']:.0f} → {stage['candidates_out']:.0f}", *_spread(stage["ms"])]
        for stage in latency["stages"]
    ]
    rows.append(["in all", "", *_spread(latency["ms"])])
    return table(["stage", "candidates", "P50 ms", "P95 ms", "P99 ms", "max ms"], rows)


def _spread(ms: Mapping[str, float]) -> list[str]:
    return [f"{ms[key]:.1f}" for key in _KEYS]


def _quality_table(points: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            point["name"],
            str(point["kept"]),
            f"{point['recall_kept']:.3f}",
            f"{point['recall_10']:.3f}",
            f"{point['ndcg_10']:.3f} {interval(point['ndcg_10_interval'])}",
        ]
        for point in points
    ]
    return table(["after", "kept", "recall@kept", "recall@10", "nDCG@10 (95 %)"], rows)

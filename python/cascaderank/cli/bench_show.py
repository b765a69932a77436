"""What the bench prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from cascaderank.cli.terminal import milliseconds

if TYPE_CHECKING:
    from rich.console import Console

_TIMES = ("p50", "p95", "p99", "max")


def show(screen: Console, found: Mapping[str, Any]) -> None:
    """Print a bench result (``run_bench``)."""
    latency, settings, machine = found["latency"], found["settings"], found["machine"]
    screen.print(
        f"{found['data']}: {settings['queries']} queries, {latency['requests']} requests of "
        f"{settings['candidates']} candidates, {latency['concurrency']} caller(s), documents "
        f"{'encoded ahead' if settings['from_store'] else 'as texts'}"
    )
    screen.print(f"{machine['cores']} cores, {machine['processor'] or machine['machine']}\n", style="dim")
    screen.print(_latency(latency))
    screen.print(
        f"\n{latency['requests_per_s']:.2f} requests/s, {latency['pairs_per_s']:.0f} cross-encoded pairs/s, "
        f"{latency['tokens_per_s']:.0f} tokens/s, padding {latency['padding']:.1%}"
    )
    screen.print(
        f"outside session.run: {latency['outside_share']:.1%} of the requests' time "
        f"(P50 {latency['outside_ms']['p50']:.2f} ms)"
    )
    if latency["degraded"]:
        screen.print(f"degraded by the deadline: {latency['degraded']} of {latency['requests']} requests")
    _memory(screen, found)
    if "quality" in found:
        screen.print()
        screen.print(_quality(found["quality"]))
    if "reference" in found:
        screen.print()
        _reference(screen, found["reference"])


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(columns[0], no_wrap=True)
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _latency(latency: Mapping[str, Any]) -> Table:
    table = _table(
        "stage", "in", "out", *(f"{key.replace('p', 'P')} ms" for key in _TIMES), "model ms", "scored/s", "padding"
    )
    for stage in latency["stages"]:
        table.add_row(
            Text(stage["name"]),
            f"{stage['candidates_in']:.0f}",
            f"{stage['candidates_out']:.0f}",
            *(f"{stage['ms'][key]:.1f}" for key in _TIMES),
            f"{stage['model_ms']:.1f}",
            f"{stage['scored_per_s']:.0f}",
            f"{stage['padding']:.1%}",
        )
    table.add_row("in all", "", "", *(f"{latency['ms'][key]:.1f}" for key in _TIMES), "", "", "", style="bold")
    return table


def _memory(screen: Console, found: Mapping[str, Any]) -> None:
    if found["peak_mb"] is not None:
        screen.print(f"peak memory of this process, BM25 and corpus included: {found['peak_mb']:.0f} MB")
    cold = found.get("cold_start")
    if cold is None:
        return
    memory = "" if cold["peak_mb"] is None else f", peak memory {cold['peak_mb']:.0f} MB"
    screen.print(
        f"cold start of a new process: ready after {milliseconds(cold['ready_ms'])} (import "
        f"{milliseconds(cold['import_ms'])}, models {milliseconds(cold['load_ms'])}, store "
        f"{milliseconds(cold['store_ms'])}), first request {milliseconds(cold['first_request_ms'])}, second "
        f"{milliseconds(cold['second_request_ms'])}{memory}"
    )


def _quality(points: list[dict[str, Any]]) -> Table:
    table = _table("after", "kept", "recall@kept", "recall@10", "nDCG@10", "95 %", "gain over first pass", "95 %")
    for number, point in enumerate(points):
        gain = ("", "") if number == 0 else (f"{point['gain']:+.3f}", _interval(point["gain_interval"], "+"))
        table.add_row(
            Text(point["name"]),
            str(point["kept"]),
            f"{point['recall_kept']:.3f}",
            f"{point['recall_10']:.3f}",
            f"{point['ndcg_10']:.3f}",
            _interval(point["ndcg_10_interval"]),
            *gain,
        )
    return table


def _reference(screen: Console, found: Mapping[str, Any]) -> None:
    low, high = found["mean_speedup_interval"]
    screen.print(
        f"{found['model']} on all {found['candidates']} candidates, {found['queries']} queries, alternating with the "
        f"cascade: median {milliseconds(found['reference_ms'])} against {milliseconds(found['cascade_ms'])}"
    )
    screen.print(
        f"the cascade is {found['speedup']:.1f} times as fast (median; mean {found['mean_speedup']:.1f}, "
        f"95 % {low:.1f} to {high:.1f})",
        style="bold",
    )
    screen.print(
        f"nDCG@10: cascade {found['cascade_ndcg_10']:.3f}, reference {found['reference_ndcg_10']:.3f}, difference "
        f"{found['ndcg_10_difference']:+.3f} (95 % {_interval(found['ndcg_10_difference_interval'], '+')})"
    )


def _interval(bounds: tuple[float, float], sign: str = "") -> str:
    return f"{bounds[0]:{sign}.3f} to {bounds[1]:{sign}.3f}"

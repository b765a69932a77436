"""What an open loop prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

_TIMES = ("p50", "p95", "p99", "p999", "max")
_HEADS = {"p50": "P50", "p95": "P95", "p99": "P99", "p999": "P99.9", "max": "max"}


def show_rate(screen: Console, found: Mapping[str, Any]) -> None:
    """One rate: ``found["load"]`` is ``summarize_load``'s."""
    load = found["load"]
    _head(screen, found)
    others = f"refused {_counts(load['refused'])}, failed {_counts(load['failed'])}, {load['unanswered']} unanswered"
    screen.print(f"{load['requests']} requests in {load['duration_s']:g} s, {load['sent_per_s']:.2f}/s")
    screen.print(f"{load['answered']} answered, {others}")
    screen.print(f"throughput {load['throughput_per_s']:.2f}/s, goodput {load['goodput_per_s']:.2f}/s")
    if load["deadline_ms"] is not None:
        screen.print(
            f"deadline {load['deadline_ms']:g} ms: {load['in_time_share']:.2%} of all requests answered by it, "
            f"{load['late']} late, {load['overdue']} of them by more than 5 %; degraded {load['degraded_share']:.1%}"
        )
    _quality(screen, load)
    screen.print()
    table = _table("ms", *_HEADS.values(), "mean")
    for stage in load["stages"]:
        table.add_row(Text(stage["name"]), *_row(stage["ms"]))
    table.add_row("in all, from when it was due", *_row(load["ms"]), style="bold")
    if load["refused_ms"] is not None:
        table.add_row("refused", *_row(load["refused_ms"]))
    if load["lateness_ms"] is not None:
        table.add_row("sent late by", *_row(load["lateness_ms"], digits=2), style="dim")
    screen.print(table)
    if load["p99_interval"] is not None:
        low, high = load["p99_interval"]
        screen.print(f"P99: 95 % {low:.1f} to {high:.1f} ms")
    else:
        screen.print("too few requests to say how sure the P99 is; 368 are needed")
    _validity(screen, load)


def show_sweep(screen: Console, found: Mapping[str, Any]) -> None:
    """Shares of the saturation rate: ``found["sweep"]`` is ``LoadBench.sweep``'s."""
    sweep = found["sweep"]
    _head(screen, found)
    closed = sweep["closed_loop"]
    screen.print(
        f"closed loop without a deadline: {closed['throughput_per_s']:.2f} requests/s"
        + (f", nDCG@10 {closed['ndcg_10']:.3f}" if "ndcg_10" in closed else "")
    )
    screen.print(
        f"saturation at {sweep['saturation_rate']:.2f} requests/s, saturated throughput "
        f"{sweep['saturated_throughput']:.2f}/s (found in {len(sweep['search'])} steps)\n"
    )
    table = _table(
        "load", "sent/s", "goodput/s", *(f"{head} ms" for head in _HEADS.values()), "in time", "degraded", "refused",
        "failed", "nDCG@10", "sent late P99",
    )  # fmt: skip
    for point in sweep["points"]:
        table.add_row(
            f"{point['share']:.0%}",
            f"{point['sent_per_s']:.2f}",
            f"{point['goodput_per_s']:.2f}",
            *_row(point["ms"])[:-1],
            f"{point['in_time_share']:.2%}",
            f"{point['degraded_share']:.1%}",
            str(sum(point["refused"].values())),
            str(sum(point["failed"].values()) + point["unanswered"]),
            f"{point['ndcg_10']:.3f}" if "ndcg_10" in point else "",
            "" if point["lateness_ms"] is None else f"{point['lateness_ms']['p99']:.1f}",
        )
    screen.print(table)
    screen.print()
    for bar in sweep["bars"]:
        sign = ">=" if bar["at_least"] else "<="
        verdict = "met" if bar["met"] else "NOT met"
        screen.print(f"{verdict:8}{bar['bar']}: {bar['reached']:.4g} (bar {sign} {bar['wanted']:g})")
    for point in sweep["points"]:
        _validity(screen, point, f"{point['share']:.0%}: ")


def _head(screen: Console, found: Mapping[str, Any]) -> None:
    settings, machine = found["settings"], found["machine"]
    screen.print(
        f"{found['data']}: {settings['queries']} queries of {settings['candidates']} candidates, sent to "
        f"{found['target']} as a Poisson process (seed {settings['seed']})"
    )
    screen.print(f"{machine['cores']} cores, {machine['processor'] or machine['machine']}\n", style="dim")


def _quality(screen: Console, load: Mapping[str, Any]) -> None:
    if "ndcg_10" in load:
        low, high = load["ndcg_10_interval"]
        screen.print(f"nDCG@10 of the answers {load['ndcg_10']:.3f} (95 % {low:.3f} to {high:.3f})")


def _validity(screen: Console, load: Mapping[str, Any], where: str = "") -> None:
    if not load["valid"]:
        screen.print(
            f"{where}NOT VALID: the driver itself sent late (P99 {load['lateness_ms']['p99']:.1f} ms, "
            f"{load['lateness_allowed_ms']:.1f} allowed), so these times are not the target's alone; "
            "drive it from another machine, or raise --lateness-ms",
            style="bold",
        )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} ({what})" for what, number in counts.items()) or "0"


def _row(times: Mapping[str, float] | None, digits: int = 1) -> list[str]:
    return [f"{times[key]:.{digits}f}" if times is not None else "-" for key in (*_TIMES, "mean")]


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(columns[0], no_wrap=True)
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table

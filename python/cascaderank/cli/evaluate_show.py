"""What ``evaluate`` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from cascaderank.cli.terminal import counted, milliseconds
from cascaderank.evaluate.report.evaluation import FUSION_NOTE, SHOWN, difference, mean, weights_of

if TYPE_CHECKING:
    from rich.console import Console

_MOST_QUERIES = 5  # of those that lost something, per stage; JSON has all


def show(screen: Console, found: Mapping[str, Any]) -> None:
    """Print an evaluation (``evaluate``)."""
    queries, machine = found["queries"], found["machine"]
    screen.print(
        f"{found['data']}: {counted(len(queries), 'query', 'queries')}, {counted(found['candidates'], 'candidate')}, "
        f"relevant from grade {found['relevant_from']}; 95 % bootstrap intervals over queries in brackets"
    )
    screen.print(f"{machine['cores']} cores, {machine['processor'] or machine['machine']}\n", style="dim")
    if found["few_queries"]:
        screen.print(f"note: {len(queries)} queries are few; below 100 the intervals are wide\n")
    screen.print(_quality(found["points"]))
    _show_losses(screen, found["losses"], {entry["query_id"]: entry["query"] for entry in queries})
    screen.print(_times(found["latency"]))
    if "against" in found:
        screen.print(Text(f"\nagainst {found['against']['file']}:"))
        screen.print(_quality(found["against"]["points"]))
        screen.print()
        screen.print(_times(found["against"]["latency"]))
        _show_comparison(screen, found["comparison"])


def _quality(points: Sequence[Mapping[str, Any]]) -> Table:
    """A row per measure, a column per point: intervals need the width."""
    table = Table(box=None, pad_edge=False)
    table.add_column("after", no_wrap=True)
    for point in points:
        table.add_column(Text(point["name"]), justify="right")
    table.add_row("kept (median)", *(f"{point['kept']:.0f}" for point in points))
    for key, title in SHOWN.items():
        table.add_row(title, *(mean(point["values"][key]) for point in points))
    return table


def _show_losses(screen: Console, losses: Sequence[Mapping[str, Any]], queries: Mapping[str, str]) -> None:
    for entry in losses:
        what = "did not find" if entry is losses[0] else "lost"
        screen.print(
            f"\n{entry['name']} {what} {entry['lost']} of {entry['relevant_in']} relevant documents, for "
            f"{counted(len(entry['queries']), 'query', 'queries')}"
        )
        for query in entry["queries"][:_MOST_QUERIES]:
            named = ", ".join(list(query["lost"])[:4]) + (" …" if len(query["lost"]) > 4 else "")
            screen.print(Text(f"  {len(query['lost'])} for {queries[query['query_id']][:70]!r}: {named}"))
    screen.print()


def _times(latency: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("time", no_wrap=True)
    for name in ("P50", "P95", "P99"):
        table.add_column(name, justify="right")
    for stage in [*latency["stages"], {"name": "in all", "ms": latency["ms"]}]:
        times = ["-"] * 3 if stage["ms"] is None else [milliseconds(stage["ms"][key]) for key in ("p50", "p95", "p99")]
        table.add_row(Text(stage["name"]), *times)
    return table


def _show_comparison(screen: Console, comparison: Mapping[str, Any]) -> None:
    table = Table(box=None, pad_edge=False)
    for name, justify in (("at the end", "left"), ("this - other", "right"), ("p", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for key, title in SHOWN.items():
        table.add_row(title, *difference(comparison["measures"][key]))
    screen.print(f"\nthis cascade minus the other, {comparison['test']}:", soft_wrap=True)
    screen.print(table)
    screen.print(f"the other takes {comparison['time_ratio']['median']:.2f} times as long (median over queries)")


def show_ablation(screen: Console, found: Sequence[Mapping[str, Any]]) -> None:
    """Print the ways to fuse, best first, and those that were left out with the reason."""
    table = Table(box=None, pad_edge=False)
    for name in ("fusion", "weights", "nDCG@10", "MRR@10", "MAP", "nDCG@10 - best", "p"):
        table.add_column(name, justify="left" if name in ("fusion", "weights") else "right")
    measured = [entry for entry in found if "values" in entry]
    for entry in sorted(measured, key=lambda entry: -entry["values"]["nDCG@10"]["mean"]):
        values = (mean(entry["values"][key]) for key in ("nDCG@10", "RR@10", "AP"))
        table.add_row(entry["fusion"], weights_of(entry), *values, *difference(entry["to_best"]))
    screen.print("\nfusions over the same stages and cut-offs:")
    screen.print(table)
    screen.print(FUSION_NOTE)
    for entry in found:
        if "left_out" in entry:
            screen.print(Text(f"{entry['fusion']} left out: {entry['left_out']}"))

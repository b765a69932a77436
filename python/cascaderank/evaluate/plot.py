"""A bench's picture: where the time goes, how it spreads, and what quality it buys. PNG by matplotlib, or HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from cascaderank.errors import InputError, MissingExtraError
from cascaderank.evaluate.report.bench import bench_page
from cascaderank.evaluate.report.html import write_page


def save_plot(found: Mapping[str, Any], path: Path) -> None:
    """Write the picture of a bench result (``run_bench``) as ``.png`` or as a self-contained ``.html``.

    Raises ``InputError`` for another ending, ``MissingExtraError`` for PNG without matplotlib.
    """
    check_plot(path)
    if path.suffix == ".html":
        write_page(bench_page(found), path)
    else:
        _save_png(found, path)


def check_plot(path: Path) -> None:
    """Whether ``save_plot`` could write this; a bench of minutes should not end in a missing package."""
    if path.suffix not in (".png", ".html"):
        raise InputError(f"{path}: a plot is .png or .html, not {path.suffix or 'a file without ending'}")
    if path.suffix == ".png":
        _figure_class()


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "a PNG plot needs matplotlib, which is not installed; pip install 'cascaderank[bench]', or write .html"
        ) from error
    return Figure


def _save_png(found: Mapping[str, Any], path: Path) -> None:
    quality = found.get("quality")
    panels = 3 if quality else 2
    figure = _figure_class()(figsize=(5.0 * panels, 4.2), layout="constrained")
    axes = figure.subplots(1, panels)
    stages = found["latency"]["stages"]
    _draw_stages(axes[0], stages)
    _draw_times(axes[1], found["latency"]["ms"], sorted(request["ms"] for request in found["requests"]))
    if quality:
        _draw_quality(axes[2], stages, quality)
    figure.savefig(path, dpi=130)


def _draw_stages(axes: Any, stages: Sequence[Mapping[str, Any]]) -> None:
    for offset, key in ((-0.2, "p50"), (0.2, "p95")):
        places = [place + offset for place in range(len(stages))]
        bars = axes.bar(places, [stage["ms"][key] for stage in stages], width=0.4, label=key.upper())
        axes.bar_label(bars, fmt="%.1f", fontsize=8)
    axes.set_xticks(range(len(stages)), [stage["name"] for stage in stages], rotation=15, ha="right")
    axes.set(ylabel="ms", title="time per stage")
    axes.legend()


def _draw_times(axes: Any, spread: Mapping[str, float], times: Sequence[float]) -> None:
    axes.step(times, [place / len(times) for place in range(1, len(times) + 1)], where="post")
    for key, style in (("p50", ":"), ("p95", "--"), ("p99", "-.")):
        axes.axvline(spread[key], linestyle=style, color="grey", label=f"{key.upper()} {spread[key]:.0f} ms")
    axes.set(xlabel="ms per request", ylabel="share of requests", title="request time", ylim=(0, 1.02))
    axes.legend()


def _draw_quality(axes: Any, stages: Sequence[Mapping[str, Any]], points: Sequence[Mapping[str, Any]]) -> None:
    """nDCG@10 of the first pass at 0 ms and after each stage; a stage that no request reached took no time."""
    took = {stage["name"]: stage["ms"]["p50"] for stage in stages}
    elapsed = list(accumulate(took.get(point["name"], 0.0) for point in points))
    values = [point["ndcg_10"] for point in points]
    errors = [[abs(point["ndcg_10_interval"][side] - point["ndcg_10"]) for point in points] for side in (0, 1)]
    axes.errorbar(elapsed, values, yerr=errors, marker="o", capsize=3)
    for place, point in zip(elapsed, points, strict=True):
        spot = {"textcoords": "offset points", "xytext": (5, -12), "fontsize": 8}
        axes.annotate(point["name"], (place, point["ndcg_10"]), **spot)
    axes.margins(x=0.2)
    axes.set(xlabel="ms so far (sum of the stages' P50)", ylabel="nDCG@10", title="quality for the time")

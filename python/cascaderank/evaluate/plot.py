"""A bench's picture: where the time goes, how it spreads, and what quality it buys. PNG by matplotlib, or HTML."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cascaderank.errors import InputError, MissingExtraError
from cascaderank.evaluate.page import page


def save_plot(found: Mapping[str, Any], path: Path) -> None:
    """Write the picture of a bench result (``run_bench``) as ``.png`` or as a self-contained ``.html``.

    Raises ``InputError`` for another ending, ``MissingExtraError`` for PNG without matplotlib.
    """
    check_plot(path)
    if path.suffix == ".html":
        path.write_text(page(found), encoding="utf-8")
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
    latency, quality = found["latency"], found.get("quality")
    figure = _figure_class()(figsize=(5.0 * (3 if quality else 2), 4.2), layout="constrained")
    axes = figure.subplots(1, 3 if quality else 2)
    stages = latency["stages"]
    names = [stage["name"] for stage in stages]
    for offset, key in ((-0.2, "p50"), (0.2, "p95")):
        places = [place + offset for place in range(len(stages))]
        bars = axes[0].bar(places, [stage["ms"][key] for stage in stages], width=0.4, label=key.upper())
        axes[0].bar_label(bars, fmt="%.1f", fontsize=8)
    axes[0].set_xticks(range(len(names)), names, rotation=15, ha="right")
    axes[0].set(ylabel="ms", title="time per stage")
    axes[0].legend()

    times = sorted(request["ms"] for request in found["requests"])
    axes[1].step(times, [(place + 1) / len(times) for place in range(len(times))], where="post")
    for key, style in (("p50", ":"), ("p95", "--"), ("p99", "-.")):
        axes[1].axvline(
            latency["ms"][key], linestyle=style, color="grey", label=f"{key.upper()} {latency['ms'][key]:.0f} ms"
        )
    axes[1].set(xlabel="ms per request", ylabel="share of requests", title="request time", ylim=(0, 1.02))
    axes[1].legend()

    if quality:
        elapsed = [0.0]
        for stage in stages:
            elapsed.append(elapsed[-1] + stage["ms"]["p50"])
        points = quality[: len(elapsed)]
        low, high = ([abs(p["ndcg_10_interval"][side] - p["ndcg_10"]) for p in points] for side in (0, 1))
        axes[2].errorbar(
            elapsed[: len(points)], [p["ndcg_10"] for p in points], yerr=[low, high], marker="o", capsize=3
        )
        for x, point in zip(elapsed, points, strict=False):
            axes[2].annotate(
                point["name"], (x, point["ndcg_10"]), textcoords="offset points", xytext=(5, -12), fontsize=8
            )
        axes[2].set(xlabel="ms so far (sum of the stages' P50)", ylabel="nDCG@10", title="quality for the time")
    figure.savefig(path, dpi=130)

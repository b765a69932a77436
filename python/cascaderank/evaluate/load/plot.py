"""A sweep's picture: latency percentiles and goodput against the offered load."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cascaderank.errors import InputError, MissingExtraError
from cascaderank.evaluate.load.tails import PERCENTILES


def check_load_plot(path: Path) -> None:
    """Whether ``save_load_plot`` could write this: ``InputError`` for an ending that is neither .png nor .svg,
    ``MissingExtraError`` without matplotlib."""
    if path.suffix not in (".png", ".svg"):
        raise InputError(f"{path}: a plot of a load is .png or .svg, not {path.suffix or 'a file without ending'}")
    _figure_class()


def save_load_plot(sweep: Mapping[str, Any], path: Path) -> None:
    """``sweep`` is what ``LoadBench.sweep`` gives."""
    check_load_plot(path)
    figure = _figure_class()(figsize=(11.0, 4.2), layout="constrained")
    times, rates = figure.subplots(1, 2)
    points = sorted(sweep["points"], key=lambda point: point["rate"])
    offered = [point["sent_per_s"] for point in points]
    for key in PERCENTILES:
        values = [float("nan") if point["ms"] is None else point["ms"][key] for point in points]
        times.plot(offered, values, marker="o", label=key.replace("p999", "P99.9").upper())
    if (deadline := points[0]["deadline_ms"]) is not None:
        times.axhline(deadline, color="grey", linestyle="--", label="deadline")
    times.set(xlabel="offered, requests/s", ylabel="ms from when it was due", yscale="log", title="latency")
    rates.plot(offered, [point["goodput_per_s"] for point in points], marker="o", label="goodput")
    rates.plot(offered, [point["throughput_per_s"] for point in points], marker=".", linestyle=":", label="answers")
    rates.plot([0, max(offered)], [0, max(offered)], color="grey", linewidth=0.8, label="offered")
    rates.set(xlabel="offered, requests/s", ylabel="requests/s", title="goodput", ylim=(0, None))
    for axes in (times, rates):
        axes.axvline(sweep["saturation_rate"], color="grey", linestyle=":", label="saturation")
        axes.legend()
    figure.savefig(path, dpi=130)


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "a plot of a load needs matplotlib, which is not installed; pip install 'cascaderank[bench]'"
        ) from error
    return Figure

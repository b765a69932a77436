"""Pictures that more than one report shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cascaderank.evaluate.report.html import figure
from cascaderank.evaluate.report.svg import Plot


def quality_picture(points: Sequence[Mapping[str, Any]]) -> str:
    """nDCG@10 and recall at the cut-off after each stage, with the band of the former's interval."""
    places = [float(place) for place in range(len(points))]
    values = [point["values"]["nDCG@10"] for point in points]
    recalls = [point["values"]["R@kept"]["mean"] for point in points]
    lowest = min(*recalls, *(value["interval"][0] for value in values))
    plot = Plot("stages passed", "nDCG@10, recall@kept", (0.0, max(places[-1], 1.0)), (max(0.0, lowest - 0.05), 1.0))
    low = [(place, value["interval"][0]) for place, value in zip(places, values, strict=True)]
    high = [(place, value["interval"][1]) for place, value in zip(places, values, strict=True)]
    plot.band(low, high, "band")
    line = [(place, value["mean"]) for place, value in zip(places, values, strict=True)]
    plot.line(line, "line")
    plot.dots(line, "dot")
    lost = list(zip(places, recalls, strict=True))
    plot.line(lost, "second")
    plot.dots(lost, "other", 2.5)
    names = ", ".join(f"{number} {point['name']}" for number, point in enumerate(points))
    return figure(
        plot.text("quality after each stage"),
        f"Solid, with its 95 % band: nDCG@10. Dashed, green: share of all relevant documents still in play. {names}.",
    )

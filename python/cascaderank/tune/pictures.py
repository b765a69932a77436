"""The report's pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cascaderank.evaluate.report.html import figure
from cascaderank.evaluate.report.svg import Plot


def curve_picture(curve: Mapping[str, Any]) -> str:
    """Recall@k with its band, and the plateau rule's choice."""
    points = curve["points"]
    lowest = min(point["recall_interval"][0] for point in points)
    keeps = [point["keep"] for point in points]
    plot = Plot(
        "k, candidates that leave the stage", f"recall@k after {curve['stage']}",
        (min(keeps), max(*keeps, 2)), (max(0.0, lowest - 0.02), 1.0), log=True,
    )  # fmt: skip
    low = [(point["keep"], point["recall_interval"][0]) for point in points]
    high = [(point["keep"], point["recall_interval"][1]) for point in points]
    plot.band(low, high, "band")
    line = [(point["keep"], point["recall"]) for point in points]
    plot.line(line, "line")
    plot.dots(line, "dot", 2.5)
    plot.upright(curve["chosen"], f"plateau: {curve['chosen']}")
    return figure(
        plot.text(f"recall at k after {curve['stage']}"),
        f"{curve['stage']}: share of the first pass's relevant candidates left; {curve['entering']} candidates enter; "
        "band: 95 % bootstrap interval over the queries used to choose.",
    )


def front_picture(found: Mapping[str, Any]) -> str:
    """All choices, the front, the recommended one, and the budget."""
    front, cloud = found["front"], found["cloud"]
    times = [max(ms, 1e-3) for ms, _ in cloud]
    values = [quality for _, quality in cloud]
    held = [row["held_back_ndcg_10"] for row in front]
    span = max(max(*values, *held) - min(*values, *held), 0.01)
    plot = Plot(
        "predicted P50, ms", "nDCG@10", (min(times) * 0.9, max(times) * 1.1),
        (min(*values, *held) - 0.05 * span, max(*values, *held) + 0.05 * span), log=True,
    )  # fmt: skip
    plot.dots([(ms, quality) for ms, quality in cloud], "cloud", 1.6)
    plot.steps([(row["p50_ms"], row["ndcg_10"]) for row in front], "line")
    plot.steps([(row["p50_ms"], row["held_back_ndcg_10"]) for row in front], "second")
    chosen = found["recommended"]["choosing"]
    plot.upright(found["settings"]["budget_ms"], f"budget {found['settings']['budget_ms']:g} ms")
    plot.dots([(chosen["p50_ms"], chosen["ndcg_10"])], "chosen", 5.5)
    uncut, file = found["held_back"]["best without cut-offs"], found["held_back"]["cascade file"]
    plot.dots([(uncut["p50_ms"], uncut["ndcg_10"]), (file["p50_ms"], file["ndcg_10"])], "other", 4.5)
    return figure(
        plot.text("quality against predicted latency"),
        "Grey: every combination. Solid: the front on the queries used to choose; dashed: the same choices on the "
        "held-back ones. Large dot: recommended; the two others: the cascade file as it is and the best without "
        "cut-offs, on held-back queries.",
    )


def guarantee_picture(guarantee: Mapping[str, Any]) -> str:
    """Loss along the path, up to the first setting that could not be certified."""
    steps = guarantee["steps"]
    losses = [(float(place), step["loss"]) for place, step in enumerate(steps)]
    top = max(guarantee["alpha"] * 1.3, *(loss for _, loss in losses))
    plot = Plot("settings, the safest first", "recall loss (choosing)", (0.0, max(len(steps) - 1.0, 1.0)), (0.0, top))
    plot.line([(0.0, guarantee["alpha"]), (max(len(steps) - 1.0, 1.0), guarantee["alpha"])], "mark")
    plot.line(losses, "line")
    plot.dots(losses, "dot", 2.5)
    plot.upright(max(len(steps) - 1 - (len(steps) > 1 and _failed(guarantee)), 0), "certified")
    return figure(
        plot.text("recall loss along the path"),
        f"Mean loss of each tested setting; the line across is {guarantee['alpha']:g}. Testing stops at the first "
        "setting whose loss could be larger with too much probability.",
    )


def _failed(guarantee: Mapping[str, Any]) -> bool:
    return bool(guarantee["steps"][-1]["p_value"] > 1.0 - guarantee["confidence"])

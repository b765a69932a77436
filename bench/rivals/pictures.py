"""One picture per question, by matplotlib: bars for contenders, lines for what grows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

_AXES = {"candidates": "candidates", "tokens": "tokens of a pair", "threads": "cores"}


def bars_picture(lengths: Mapping[str, Any], path: Path) -> None:
    """Pairs per second of every contender, a panel per length distribution; whiskers are quartiles."""
    figure = Figure(figsize=(5.2 * len(lengths), 4.4), layout="constrained")
    for axes, (name, found) in zip(figure.subplots(1, len(lengths), squeeze=False)[0], lengths.items(), strict=True):
        entries = sorted(found["contenders"].items(), key=lambda item: item[1]["ms"]["median"], reverse=True)
        rates = [entry["pairs_per_s"] for _, entry in entries]
        bounds = [(found["pairs"] * 1e3 / entry["ms"]["high"], found["pairs"] * 1e3 / entry["ms"]["low"])
                  for _, entry in entries]  # fmt: skip
        errors = [
            [max(rate - low, 0.0) for rate, (low, _) in zip(rates, bounds, strict=True)],
            [max(high - rate, 0.0) for rate, (_, high) in zip(rates, bounds, strict=True)],
        ]
        colours = ["tab:orange" if entry["ours"] else "tab:blue" for _, entry in entries]
        bars = axes.barh([label for label, _ in entries], rates, xerr=errors, color=colours, capsize=2)
        axes.bar_label(bars, fmt="%.0f", padding=4, fontsize=8)
        axes.margins(x=0.15)
        axes.set(title=name, xlabel="pairs per second")
        axes.tick_params(axis="y", labelsize=8)
    figure.savefig(path, dpi=130)


def lines_picture(found: Mapping[str, Any], path: Path) -> None:
    """Pairs per second of every contender against what grows, both on logarithmic axes."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    names = list(dict.fromkeys(name for point in found["points"] for name in point["contenders"]))
    for name in names:
        held = [(point["at"], point["contenders"][name]) for point in found["points"] if name in point["contenders"]]
        ours = held[0][1]["ours"]
        style = {"linewidth": 2.5 if ours else 1.2, "linestyle": "-" if held[0][1]["precision"] == "fp32" else "--"}
        axes.plot([at for at, _ in held], [entry["pairs_per_s"] for _, entry in held], marker="o", label=name, **style)
    axes.set(xscale="log", yscale="log", xlabel=_AXES[found["question"]], ylabel="pairs per second")
    ticks = [point["at"] for point in found["points"]]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=130)

"""Reliability: what probabilities promised, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cascaderank.evaluate.report.html import figure, paragraph, table
from cascaderank.evaluate.report.svg import Plot

_KINDS = ("second", "line")


def reliability_picture(name: str, before: Mapping[str, Any], after: Mapping[str, Any], what: str) -> str:
    """Two curves, as ``Reliability`` in plain data with a ``method`` each; ``what`` says on which pairs."""
    plot = Plot("probability promised", "share of relevant pairs", (0.0, 1.0), (0.0, 1.0))
    plot.line([(0.0, 0.0), (1.0, 1.0)], "mark")
    for kind, curve in zip(_KINDS, (before, after), strict=True):
        points = [(promised, seen) for promised, seen, _ in curve["curve"]]
        plot.line(points, kind)
        plot.dots(points, "other" if kind == "second" else "dot", 3.0)
    return figure(
        plot.text(f"reliability of {name}"),
        f"{name}, {what}. Solid: {after['method']}, ECE {after['ece']:.3f}; dashed, green: {before['method']}, ECE "
        f"{before['ece']:.3f}. A point holds equally many pairs; on the straight line a promise is kept.",
    )


def methods_table(curves: Sequence[Mapping[str, Any]], chosen: str = "") -> str:
    """One row per method."""
    rows = [
        [
            f"{curve['method']}{' ← chosen' if curve['method'] == chosen else ''}",
            *(f"{curve[key]:.4f}" for key in ("ece", "ece_equal_mass", "brier", "log_loss")),
        ]
        for curve in curves
    ]
    return table(["method", "ECE", "ECE, equal mass", "Brier score", "log loss"], rows)


def reliability_parts(stages: Sequence[Mapping[str, Any]], on: str) -> str:
    """Pictures and figures of ``stage_reliability``; ``on`` names the pairs, "candidates the stage scored"."""
    if not stages:
        return paragraph(
            "No stage's model has a calibration, so that its scores order and promise nothing; `cascaderank calibrate "
            "FOLDER` fits one."
        )
    parts = [
        paragraph(
            "A calibration is worth as much as the pairs it was fitted on resemble those here; fitted on another "
            "collection, with another share of relevant pairs, it promises too much or too little."
        )
    ]
    for stage in stages:
        before, after = stage["curves"]
        what = f"{stage['pairs']} {on}, {stage['relevant']} of them relevant"
        if stage["fitted_on"].get("data"):
            what += f"; fitted on {stage['fitted_on']['data']}"
        parts += [reliability_picture(stage["stage"], before, after, what), methods_table(stage["curves"])]
    return "\n".join(parts)

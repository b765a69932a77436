"""A reliability plot: promised probability against the share of relevant pairs, before and after a calibration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cascaderank.calibrate.choose import RAW, MethodResult
from cascaderank.calibrate.extras import require
from cascaderank.errors import InputError


def check_reliability_plot(path: Path) -> None:
    """Whether ``save_reliability_plot`` could write this: ``.svg`` or ``.png``, and matplotlib is there."""
    if path.suffix not in (".svg", ".png"):
        raise InputError(f"{path}: a reliability plot is .svg or .png, not {path.suffix or 'a file without ending'}")
    require("matplotlib.figure")


def save_reliability_plot(results: Sequence[MethodResult], chosen: str, title: str, path: Path) -> None:
    """Write the raw curve and the chosen method's; a point is a bin of equally many pairs."""
    figure = require("matplotlib.figure").Figure(figsize=(5.0, 5.0), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="as promised")
    for result in results:
        if result.method in (RAW, chosen):
            promised, seen, _ = zip(*result.held_back.curve, strict=True)
            axes.plot(promised, seen, marker="o", label=f"{result.method}, ECE {result.held_back.ece:.3f}")
    axes.set(
        xlabel="probability", ylabel="share of relevant pairs", title=title, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02)
    )
    axes.legend()
    figure.savefig(path, dpi=130)

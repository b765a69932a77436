"""A profile's picture: request, stages and steps as bars below one another, as wide as their time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from cascaderank.errors import InputError, MissingExtraError
from cascaderank.evaluate.profile import MODEL, Profile, Step

_LETTER = 0.0055  # a letter's share of the picture; a bar narrower than its name goes without


def check_profile_plot(path: Path) -> Any:
    """matplotlib's ``Figure`` if ``path`` can be written; raises ``InputError`` or ``MissingExtraError``."""
    if path.suffix not in (".png", ".svg"):
        raise InputError(f"{path}: a profile's plot is .png or .svg, not {path.suffix or 'a file without ending'}")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "a plot needs matplotlib, which is not installed; pip install 'cascaderank[bench]'"
        ) from error
    return Figure


def save_profile_plot(profile: Profile, path: Path) -> None:
    """Write ``path`` (.png or .svg). Widths are medians, which need not add up to the median request exactly."""
    figure = check_profile_plot(path)(figsize=(11, 4.6), layout="constrained")
    whole, outside = figure.subplots(2, 1)
    steps = [step for step in profile.steps if step.ms > 0]
    _draw(whole, steps)
    whole.set_title(f"one request, median {profile.total_ms[1]:.1f} ms")
    rest = [step for step in steps if step.name != MODEL]
    _draw(outside, rest)
    outside.set_title(f"outside session.run, {profile.outside_share[1]:.1%} of it")
    outside.set_xlabel("ms")
    figure.savefig(path, dpi=130)


def _draw(axes: Any, steps: list[Step]) -> None:
    """Stages in the upper row, their steps in the lower."""
    total = sum(step.ms for step in steps)
    for row, pieces in ((1, _stages(steps)), (0, ((step.name, step.ms, step.name == MODEL) for step in steps))):
        left = 0.0
        for number, (name, ms, model) in enumerate(pieces):
            colour = "tab:grey" if model else f"C{number % 10}"
            axes.barh(row, ms, left=left, color=colour, edgecolor="white", height=0.9)
            if ms > _LETTER * len(name) * total:
                axes.text(left + ms / 2, row, f"{name}\n{ms:.2f}", ha="center", va="center", fontsize=7, wrap=True)
            left += ms
    axes.set_yticks([0, 1], ["steps", "stages"])
    axes.margins(x=0)


def _stages(steps: list[Step]) -> Iterator[tuple[str, float, bool]]:
    for stage, group in groupby(steps, key=lambda step: step.stage):
        yield stage, sum(step.ms for step in group), False

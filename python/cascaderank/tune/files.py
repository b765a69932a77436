"""The cascade files that a tuning writes, each with the comment above it."""

from __future__ import annotations

from pathlib import Path

from cascaderank.kernels import Choices, Explored, Int64
from cascaderank.tune.figures import figures
from cascaderank.tune.settings import TuneSettings

Files = dict[str, tuple[Choices, list[str]]]
MARK = "Written by `cascaderank tune`"


def written_by_tune(path: Path) -> bool:
    """Whether a cascade file begins with the comment of one that a tuning wrote."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline().startswith(f"# {MARK}")


def cascade_files(
    keeps: Int64,
    chosen: int,
    best: int,
    exhaustive: int,
    plateau: Int64,
    held: Explored,
    plateau_held: Explored,
    settings: TuneSettings,
) -> Files:
    """The recommendation, and what it is compared with, so that `evaluate --against` can run them on other queries."""
    budget = f"for {settings.budget_ms:.{0 if settings.budget_ms >= 10 else 1}f} ms"

    def row(place: int) -> Choices:
        return Choices.fixed(keeps[[place]])

    return {
        "recommended.toml": (row(chosen), _comment(f"recommended {budget}", held, chosen)),
        "best.toml": (row(best), _comment(f"the best {budget}", held, best)),
        "plateau.toml": (Choices.fixed(plateau), _comment("the plateau rule's choice", plateau_held, 0)),
        "exhaustive.toml": (row(exhaustive), _comment("the best without cut-offs", held, exhaustive)),
    }


def _comment(what: str, held: Explored, place: int) -> list[str]:
    figure = figures(held, place)
    low, high = figure["ndcg_10_interval"]
    return [
        f"{MARK}: {what}; predicted P50 {figure['p50_ms']:.0f} ms",
        f"On held-back queries nDCG@10 is {figure['ndcg_10']:.3f} (95 %: {low:.3f} to {high:.3f}).",
    ]

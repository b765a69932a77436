"""What ``calibrate`` prints, and the same as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

from cascaderank.calibrate.choose import FOLDS
from cascaderank.evaluate.bench import describe_machine
from cascaderank.evaluate.reliability import BINS

if TYPE_CHECKING:
    from rich.console import Console

    from cascaderank.calibrate import MethodResult
    from cascaderank.model import ModelSpec


def show_methods(
    screen: Console, name: str, fitted_on: Mapping[str, Any], results: Sequence[MethodResult], chosen: str
) -> None:
    screen.print(
        f"{name} on {fitted_on['data']}: {fitted_on['queries']} queries, {fitted_on['pairs']} pairs, "
        f"{fitted_on['relevant']} relevant (grade {fitted_on['relevant_from']} or more)"
    )
    if fitted_on["queries"] < 100:
        screen.print(f"note: {fitted_on['queries']} queries are few; 100 or more are advised")
    screen.print(
        f"on queries held back ({FOLDS} folds by query); ECE over {BINS} bins, equally wide or of equal mass:\n"
    )
    table = Table(box=None, pad_edge=False)
    for title in ("method", "ECE", "ECE, equal mass", "Brier", "log loss"):
        table.add_column(title, justify="left" if title == "method" else "right")
    for result in results:
        found = result.held_back
        values = (f"{value:.4f}" for value in (found.ece, found.ece_equal_mass, found.brier, found.log_loss))
        table.add_row(f"{result.method}{' <-' if result.method == chosen else ''}", *values)
    screen.print(table)
    before, after = (next(r.held_back for r in results if r.method == method) for method in (results[0].method, chosen))
    screen.print(f"\n{chosen}: ECE {before.ece:.4f} to {after.ece:.4f} ({_ratio(after.ece, before.ece)})")


def describe(
    spec: ModelSpec, fitted_on: Mapping[str, Any], results: Sequence[MethodResult], chosen: str, useful: bool
) -> dict[str, Any]:
    """The report that ``--json`` writes."""
    return {
        "machine": describe_machine(),
        "model": spec.name,
        "digest": spec.digest,
        "fitted_on": dict(fitted_on),
        "folds": FOLDS,
        "bins": BINS,
        "chosen": chosen,
        "helps": useful,
        "methods": [asdict(result) for result in results],
    }


def _ratio(after: float, before: float) -> str:
    return f"{after / before:.0%} of it" if before else "it was 0 before"

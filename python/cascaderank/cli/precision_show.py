"""What ``precision`` prints, and the same as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console

    from cascaderank.arithmetic import Figures, Variant


def show_machine(screen: Console, machine: Mapping[str, Any], what: str) -> None:
    flags = ", ".join(machine["flags"]) or "no known flags"
    screen.print(f"{machine['processor'] or 'unknown processor'} ({flags}), ONNX Runtime {machine['onnxruntime']}")
    screen.print(f"one row a run, one thread, in turn; scores on {what}")


def show_stage(
    screen: Console, name: str, reference: Variant, found: Sequence[Figures], best: Figures | None, max_loss: float
) -> None:
    """One table: a row per variant, the reference and the choice marked."""
    lengths = next(list(item.ms) for item in found if item.ms)
    table = Table(box=None, pad_edge=False)
    titles = ["variant", *(f"ms, {tokens} tokens" for tokens in lengths), "speed", "max diff", "mean diff", "tau"]
    for title in (*titles, "nDCG@10 lost (95 %)"):
        table.add_column(title, justify="left" if title == "variant" else "right")
    for item in found:
        label = _called(item, found) + (" (present)" if item.variant.present else "")
        if item.refused:
            table.add_row(label, "refused")
            continue
        lower, middle, upper = item.ratio
        cells = [*(f"{ms:.1f}" for ms in item.ms.values()), f"{middle:.2f} ({lower:.2f}-{upper:.2f})"]
        cells += [f"{item.max_abs_diff:.1e}", f"{item.mean_abs_diff:.1e}", f"{item.tau:.3f}", _lost(item)]
        table.add_row(f"{label} <-" if item is best else label, *cells)
    screen.print(f"\n{name}, beside {reference.name}:")
    screen.print(table)
    for item in found:
        if item.refused:
            screen.print(f"{_called(item, found)}: {item.refused}")
    if all(item.loss is None for item in found):
        screen.print("note: without --data only differences of scores are known, not what they cost in nDCG@10")
    elif best is None:
        screen.print(f"no variant is shown to lose at most {max_loss:g}")
    else:
        screen.print(f"<- the fastest whose loss is at most {max_loss:g} at the upper end of its interval")


def _called(item: Figures, found: Sequence[Figures]) -> str:
    """Its name, with the folder where several have that name: a model may be there twice in one precision."""
    alike = sum(other.variant.name == item.variant.name for other in found)
    return item.variant.name + (f", {item.variant.folder.name}" if alike > 1 else "")


def _lost(item: Figures) -> str:
    if item.loss is None:
        return "?"
    low, high = item.loss.interval
    return f"{item.loss.mean:+.4f} ({low:+.4f} to {high:+.4f})"


def describe(name: str, reference: Variant, found: Sequence[Figures], best: Figures | None) -> dict[str, Any]:
    """A stage of the report that ``--json`` writes; a figure that is not there is null."""
    rows = []
    for item in found:
        row = asdict(item) | {"variant": _plain(item.variant)}
        row["ratio"] = None if item.refused else list(item.ratio)
        rows.append(
            {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
        )
    chosen = None if best is None else _plain(best.variant)
    return {"name": name, "reference": _plain(reference), "chosen": chosen, "variants": rows}


def _plain(variant: Variant) -> dict[str, Any]:
    return asdict(variant) | {"folder": variant.folder.name}

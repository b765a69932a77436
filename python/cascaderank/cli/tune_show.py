"""What tuning prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from cascaderank.cli.terminal import counted, milliseconds
from cascaderank.evaluate.report.words import cuts, interval, over_first_pass
from cascaderank.tune.figures import row_words, share_words

if TYPE_CHECKING:
    from rich.console import Console

_FRONT_ROWS = 12


def show(screen: Console, found: Mapping[str, Any], folder: Path) -> None:
    """Print a result of ``run_tune``; ``folder`` is where its files are."""
    settings, machine, explored = found["settings"], found["machine"], found["explored"]
    screen.print(
        f"{found['data']}: {settings['queries']} queries ({settings['choosing']} to choose, {settings['reporting']} "
        f"held back), {settings['candidates']} candidates; {explored['choices']} combinations of cut-offs explored in "
        f"{explored['seconds']:.2f} s"
    )
    screen.print(f"{machine['cores']} cores, {machine['processor'] or machine['machine']}", style="dim")
    screen.print(found["population"]["text"], soft_wrap=True)
    for warning in found["warnings"]:
        screen.print(f"warning: {warning}", style="yellow")
    names = [stage["name"] for stage in found["cascade"]["stages"]]
    for curve in found["curves"]:
        screen.print(_curve(curve))
    screen.print(_front(found, names))
    screen.print(_held_back(found, names))
    _say_stages(screen, found)
    _say_budget(screen, found, names)
    _say_choice(screen, found, names)
    _say_folds(screen, found)
    _say_guarantee(screen, found, names)
    screen.print(f"per query: {found['per_query']['note']}", soft_wrap=True)
    screen.print(f"\nwritten to {folder}: {', '.join(sorted(file.name for file in folder.glob('*.*')))}")


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 else "right")
    return table


def _curve(curve: Mapping[str, Any]) -> Table:
    table = _table(
        f"\n{curve['stage']}: recall@k of {curve['entering']} candidates that enter", ["k", "recall", "loss (95 %)", ""]
    )
    for point in curve["points"]:
        mark = f"← plateau: the interval ends within {curve['tolerance']:g}" if point["keep"] == curve["chosen"] else ""
        loss = f"{point['loss']:.3f} {interval(point['loss_interval'])}"
        table.add_row(str(point["keep"]), f"{point['recall']:.3f}", loss, mark)
    return table


def _front(found: Mapping[str, Any], names: Sequence[str]) -> Table:
    table = _table(
        "\nPareto front (choosing half; nDCG@10 held back beside)", ["cut-offs", "P50", "nDCG@10", "held back", ""]
    )
    rows = found["front"]
    if len(rows) > _FRONT_ROWS:  # evenly, with both ends
        rows = [rows[place * (len(rows) - 1) // (_FRONT_ROWS - 1)] for place in range(_FRONT_ROWS)]
    for row in rows:
        mark = "over the budget" if row["p50_ms"] > found["settings"]["budget_ms"] else ""
        table.add_row(
            cuts(names, row["keeps"]), milliseconds(row["p50_ms"]), f"{row['ndcg_10']:.3f}",
            f"{row['held_back_ndcg_10']:.3f}", mark,
        )  # fmt: skip
    return table


def _held_back(found: Mapping[str, Any], names: Sequence[str]) -> Table:
    count = found["settings"]["reporting"]
    table = _table(f"\nOn the {count} held-back queries", ["", "cut-offs", "P50", "nDCG@10 (95 %)", "recall kept"])
    for name, row in found["held_back"].items():
        quality = f"{row['ndcg_10']:.3f} {interval(row['ndcg_10_interval'])}"
        table.add_row(name, row_words(names, row), milliseconds(row["p50_ms"]), quality, f"{row['recall']:.3f}")
    return table


def _say_stages(screen: Console, found: Mapping[str, Any]) -> None:
    screen.print("")
    for stage in found["stages"]:
        text = f"{stage['stage']}: {stage['short']}; {stage['reason']}"
        if "difference" in stage:
            held = stage["held_back"]
            text += (
                f" (nDCG@10 with it {stage['difference']:+.3f} {interval(stage['interval'])}, held back "
                f"{held['difference']:+.3f} {interval(held['interval'])})"
            )
        screen.print(text, soft_wrap=True)


def _say_budget(screen: Console, found: Mapping[str, Any], names: Sequence[str]) -> None:
    reference = found["budget_reference"]
    if reference is not None:
        screen.print(f"\n{share_words(names, found)}", soft_wrap=True)


def _say_choice(screen: Console, found: Mapping[str, Any], names: Sequence[str]) -> None:
    chosen, check, against = found["recommended"], found["check"], found["against_exhaustive"]
    note = f" ({chosen['note']})" if chosen["note"] else ""
    screen.print(f"\nrecommended: {cuts(names, chosen['keeps'])}{note}", style="bold")
    screen.print(
        f"held back: {against['quality']:.1%} of the nDCG@10 of the best without cut-offs, at {against['latency']:.1%} "
        f"of its predicted P50; {over_first_pass(found['against_first_pass'])}",
        soft_wrap=True,
    )
    screen.print(
        f"checked on {check['requests']} requests: measured P50 {milliseconds(check['measured_p50_ms'])}; predicted "
        f"{milliseconds(check['predicted_again_p50_ms'])} ({check['ms_error_again']:+.0%}) with stages timed between "
        f"them, {milliseconds(check['predicted_p50_ms'])} ({check['ms_error']:+.0%}) before the choice; nDCG@10 "
        f"predicted {check['predicted_ndcg_10']:.3f}, measured {check['measured_ndcg_10']:.3f} "
        f"({check['ndcg_differs']} queries differ)",
        soft_wrap=True,
    )


def _say_folds(screen: Console, found: Mapping[str, Any]) -> None:
    folds = found["folds"]
    screen.print(
        f"cross-validated over all {folds['queries']} queries, {folds['folds']} folds: {folds['quality']:.1%} of the "
        f"nDCG@10 of the best without cut-offs (difference {folds['difference']:+.3f} {interval(folds['interval'])}), "
        f"at {folds['latency']:.1%} of its predicted P50; {counted(len(folds['choices']), 'choice')} among them",
        soft_wrap=True,
    )


def _say_guarantee(screen: Console, found: Mapping[str, Any], names: Sequence[str]) -> None:
    guarantee = found["guarantee"]
    if guarantee is None:
        return
    what = cuts(names, guarantee["keeps"])
    if guarantee["path"] == "margin":
        what = "margins " + ", ".join("none" if one is None else f"{one:.2f}" for one in guarantee["margins"])
    if guarantee["cuts_nothing"]:
        what += " (nothing may be cut at this confidence)"
    screen.print(
        f"certified: {what}: recall loss at most {guarantee['alpha']:g} with confidence {guarantee['confidence']:g} "
        f"({guarantee['test']}, p = {guarantee['p_value']:.2g}); realised on held-back queries "
        f"{guarantee['held_back_loss']:.4f} {interval(guarantee['held_back_loss_interval'], 4)}",
        soft_wrap=True,
    )

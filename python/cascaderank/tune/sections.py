"""The report's sections: tables and paragraphs as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cascaderank.evaluate.report.html import facts, paragraph, table
from cascaderank.evaluate.report.words import cuts, interval, over_first_pass
from cascaderank.tune.figures import row_words, share_words

_LOST_ROWS = 30


def choice_section(found: Mapping[str, Any], names: Sequence[str]) -> str:
    against, chosen = found["against_exhaustive"], found["recommended"]
    text = (
        f"On the held-back queries it has {against['quality']:.1%} of the nDCG@10 of the best choice without cut-offs "
        f"(difference {against['difference']:+.3f}, 95 % {interval(against['interval'])}) at {against['latency']:.1%} "
        f"of its predicted P50; {over_first_pass(found['against_first_pass'])}."
    )
    share = "" if found["budget_reference"] is None else paragraph(share_words(names, found))
    return share + paragraph(text) + (paragraph(chosen["note"]) if chosen["note"] else "")


def held_back_section(found: Mapping[str, Any], names: Sequence[str]) -> str:
    rows = [
        [
            name,
            row_words(names, row),
            f"{row['p50_ms']:.1f}",
            f"{row['ndcg_10']:.3f} {interval(row['ndcg_10_interval'])}",
            f"{row['recall']:.3f} {interval(row['recall_interval'])}",
            *(f"{count:.0f}" for count in row["pairs"]),
        ]
        for name, row in found["held_back"].items()
    ]
    head = ["", "cut-offs", "predicted P50 ms", "nDCG@10 (95 %)", "recall kept (95 %)", *(f"{n}: pairs" for n in names)]
    return table(head, rows, left=2)


def folds_section(folds: Mapping[str, Any], names: Sequence[str]) -> str:
    """What ``cross_validate`` found."""
    text = (
        f"The same rule applied {folds['folds']} times, each time to all but one fold of the {folds['queries']} "
        f"queries, and reported on that fold: {folds['quality']:.1%} of the nDCG@10 of the best without cut-offs "
        f"(chosen by the same folds; difference {folds['difference']:+.3f}, 95 % {interval(folds['interval'])}) at "
        f"{folds['latency']:.1%} of its predicted P50."
    )
    rows = [
        [what, f"{row['ndcg_10']:.3f} {interval(row['ndcg_10_interval'])}", f"{row['p50_ms']:.1f}"]
        for what, row in (
            ("recommended", folds["recommended"]),
            ("best without cut-offs", folds["best_without_cut_offs"]),
        )
    ]
    often = [[cuts(names, choice["keeps"]), str(choice["folds"])] for choice in folds["choices"]]
    return paragraph(text) + table(["", "nDCG@10 (95 %)", "predicted P50 ms"], rows) + table(["chosen", "folds"], often)


def front_section(found: Mapping[str, Any], names: Sequence[str]) -> str:
    rows = [
        [
            cuts(names, row["keeps"]), f"{row['p50_ms']:.1f}", f"{row['ndcg_10']:.3f}",
            f"{row['held_back_ndcg_10']:.3f}",
        ]
        for row in found["front"]
    ]  # fmt: skip
    return table(["on the front", "predicted P50 ms", "nDCG@10 (choosing)", "nDCG@10 (held back)"], rows)


def stages_section(found: Mapping[str, Any]) -> str:
    rows = []
    for stage in found["stages"]:
        cells = [stage["stage"], stage["short"], stage["reason"]]
        if "difference" in stage:
            held = stage["held_back"]
            cells += [
                f"{stage['difference']:+.3f} {interval(stage['interval'])}",
                f"{held['difference']:+.3f} {interval(held['interval'])}",
            ]
        rows.append([*cells, *[""] * (5 - len(cells))])
    head = ["stage", "", "why", "nDCG@10 it adds (choosing, 95 %)", "held back (95 %)"]
    return table(head, rows, left=3)


def curve_section(curve: Mapping[str, Any]) -> str:
    rows = [
        [
            f"{point['keep']}{' ← plateau' if point['keep'] == curve['chosen'] else ''}",
            f"{point['recall']:.3f} {interval(point['recall_interval'])}",
            f"{point['loss']:.3f} {interval(point['loss_interval'])}",
        ]
        for point in curve["points"]
    ]
    return table(["k", "recall@k (95 %)", "loss (95 %)"], rows)


def check_section(check: Mapping[str, Any]) -> str:
    rows = [
        [f"P50 ms, {when}", f"{check[predicted]:.1f}", f"{check['measured_p50_ms']:.1f}", f"{check[error]:+.1%}"]
        for when, predicted, error in (
            ("stages timed between the requests", "predicted_again_p50_ms", "ms_error_again"),
            ("stages timed before the choice", "predicted_p50_ms", "ms_error"),
        )
    ]
    rows.append(
        [
            "nDCG@10", f"{check['predicted_ndcg_10']:.4f}", f"{check['measured_ndcg_10']:.4f}",
            f"{check['ndcg_differs']} queries differ",
        ]
    )  # fmt: skip
    text = (
        f"The recommended cascade, run from its file on {check['requests']} held-back queries. The cost model is "
        "fitted twice, each time on queries of the half that chose: before the choice, and from runs in between the "
        "checked requests. "
        "Where the two differ, the machine was not equally busy."
    )
    return paragraph(text) + table(["", "predicted", "measured", "difference"], rows)


def lost_section(lost: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    if not lost:
        return paragraph("No held-back query loses a relevant candidate before the end of the recommended cascade.")
    rows = [
        [
            entry["query_id"], entry["query"], str(entry["relevant"]),
            *(str(entry["lost"].get(name, "")) for name in names),
        ]
        for entry in lost[:_LOST_ROWS]
    ]  # fmt: skip
    text = f"{len(lost)} held-back queries have relevant candidates that do not leave the recommended cascade"
    text += "." if len(lost) <= _LOST_ROWS else f"; the {_LOST_ROWS} worst of them (report.json has all)."
    return paragraph(text) + table(["id", "query", "relevant", *(f"lost by {name}" for name in names)], rows, left=2)


def settings_section(found: Mapping[str, Any]) -> str:
    stages = [
        [
            stage["name"], stage["model"], stage["kind"], stage["precision"], stage["provider"], str(stage["keep"]),
            stage["digest"][:12],
        ]
        for stage in found["cascade"]["stages"]
    ]  # fmt: skip
    costs = [
        [
            cost["stage"], f"{cost['fixed']:.3f}", f"{cost['per_pair']:.4f}", f"{cost['per_token'] * 1e3:.4f}",
            f"{cost['error']:.1%}", str(cost["points"]),
        ]
        for cost in found["costs"]
    ]  # fmt: skip
    plain = {**found["settings"], **found["machine"], "fusion": found["cascade"]["fusion"]}
    plain |= {"milliseconds outside the stages": f"{found['overhead_ms']:.2f}"}
    return (
        table(["stage", "model", "kind", "precision", "on", "keep in the file", "digest"], stages, left=5)
        + paragraph("Cost model, fitted from measured runs: milliseconds per request.")
        + table(["stage", "fixed", "per pair", "per 1000 tokens", "median error", "runs"], costs)
        + facts(plain)
    )

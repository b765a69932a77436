"""The report's sections: tables and paragraphs as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from cascaderank.tune.pictures import guarantee_picture
from cascaderank.tune.words import cuts, interval

_LOST_ROWS = 30


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """The first ``left`` columns are words, the others numbers."""

    def row(cells: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=left' if place < left else ''}>{escape(cell)}</{tag}>" for place, cell in enumerate(cells)
        )

    body = "\n".join(f"<tr>{row(cells, 'td')}</tr>" for cells in rows)
    return f'<div class="wide"><table><tr>{row(head, "th")}</tr>\n{body}</table></div>'


def choice_section(found: Mapping[str, Any]) -> str:
    against, chosen = found["against_exhaustive"], found["recommended"]
    text = (
        f"On the held-back queries it has {against['quality']:.1%} of the nDCG@10 of the best choice without cut-offs "
        f"(difference {against['difference']:+.3f}, 95 % {interval(against['interval'])}) at {against['latency']:.1%} "
        "of its predicted P50."
    )
    return _paragraph(text) + (_paragraph(chosen["note"]) if chosen["note"] else "")


def held_back_section(found: Mapping[str, Any], names: Sequence[str]) -> str:
    rows = [
        [
            name,
            cuts(names, row["keeps"]),
            f"{row['p50_ms']:.1f}",
            f"{row['ndcg_10']:.3f} {interval(row['ndcg_10_interval'])}",
            f"{row['recall']:.3f} {interval(row['recall_interval'])}",
            *(f"{count:.0f}" for count in row["pairs"]),
        ]
        for name, row in found["held_back"].items()
    ]
    head = ["", "cut-offs", "predicted P50 ms", "nDCG@10 (95 %)", "recall kept (95 %)", *(f"{n}: pairs" for n in names)]
    return _table(head, rows, left=2)


def front_section(found: Mapping[str, Any], names: Sequence[str]) -> str:
    rows = [
        [
            cuts(names, row["keeps"]), f"{row['p50_ms']:.1f}", f"{row['ndcg_10']:.3f}",
            f"{row['held_back_ndcg_10']:.3f}",
        ]
        for row in found["front"]
    ]  # fmt: skip
    return _table(["on the front", "predicted P50 ms", "nDCG@10 (choosing)", "nDCG@10 (held back)"], rows)


def stages_section(found: Mapping[str, Any]) -> str:
    rows = []
    for stage in found["stages"]:
        cells = [stage["stage"], "pays" if stage["pays"] else "does not pay", stage["reason"]]
        if "difference" in stage:
            held = stage["held_back"]
            cells += [
                f"{stage['difference']:+.3f} {interval(stage['interval'])}",
                f"{held['difference']:+.3f} {interval(held['interval'])}",
            ]
        rows.append([*cells, *[""] * (5 - len(cells))])
    head = ["stage", "", "why", "nDCG@10 it adds (choosing, 95 %)", "held back (95 %)"]
    return _table(head, rows, left=3)


def curve_section(curve: Mapping[str, Any]) -> str:
    rows = [
        [
            f"{point['keep']}{' ← plateau' if point['keep'] == curve['chosen'] else ''}",
            f"{point['recall']:.3f} {interval(point['recall_interval'])}",
            f"{point['loss']:.3f} {interval(point['loss_interval'])}",
        ]
        for point in curve["points"]
    ]
    return _table(["k", "recall@k (95 %)", "loss (95 %)"], rows)


def guarantee_section(guarantee: Mapping[str, Any] | None, names: Sequence[str]) -> str:
    if guarantee is None:
        return _paragraph("None was asked for (--max-recall-loss).")
    what = cuts(names, guarantee["keeps"])
    if guarantee["path"] == "margin":
        margins = zip(names, guarantee["margins"], strict=True)
        what = "margins: " + ", ".join(f"{name} {'none' if one is None else f'{one:.2f}'}" for name, one in margins)
    text = (
        f"{what}. At most {guarantee['alpha']:g} of the first pass's relevant candidates is lost on average, with "
        f"confidence {guarantee['confidence']:g} ({guarantee['test']} p-value {guarantee['p_value']:.2g} on "
        f"{guarantee['queries']} queries; learn-then-test, arXiv 2110.01052), for queries exchangeable with the "
        f"labelled ones. Realised on the held-back queries: {guarantee['held_back_loss']:.4f} (95 % "
        f"{interval(guarantee['held_back_loss_interval'], 4)})."
    )
    if guarantee["cuts_nothing"]:
        text += " Nothing may be cut at this confidence."
    return _paragraph(text) + guarantee_picture(guarantee)


def per_query_section(found: Mapping[str, Any], names: Sequence[str]) -> str:
    rows = []
    for kind in found["kinds"]:
        held = kind["held_back"]
        saved = ", ".join(f"{name} {share:.0%}" for name, share in kind["held_back_saved_pairs"].items())
        rows.append(
            [
                kind["kind"], cuts(names, kind["keeps"]), saved, f"{kind['saved_ms']:.1%}",
                f"{kind['held_back_saved_ms']:.1%}", f"{held['difference']:+.3f} {interval(held['interval'])}",
            ]
        )  # fmt: skip
    if not rows:
        return _paragraph(found["note"])
    head = [
        "rule",
        "at most",
        "pairs saved (held back)",
        "time saved (choosing)",
        "(held back)",
        "nDCG@10 change (95 %)",
    ]
    return _paragraph(f"Against the recommended fixed cut-offs: {found['note']}.") + _table(head, rows, left=3)


def check_section(check: Mapping[str, Any]) -> str:
    rows = [
        ["P50 ms", f"{check['predicted_p50_ms']:.1f}", f"{check['measured_p50_ms']:.1f}", f"{check['ms_error']:+.1%}"],
        [
            "nDCG@10", f"{check['predicted_ndcg_10']:.4f}", f"{check['measured_ndcg_10']:.4f}",
            f"{check['ndcg_differs']} queries differ",
        ],
    ]  # fmt: skip
    text = f"The recommended cascade, run from its file on {check['requests']} held-back queries."
    return _paragraph(text) + _table(["", "predicted", "measured", "difference"], rows)


def lost_section(lost: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    if not lost:
        return _paragraph("No held-back query loses a relevant candidate before the end of the recommended cascade.")
    rows = [
        [
            entry["query_id"], entry["query"], str(entry["relevant"]),
            *(str(entry["lost"].get(name, "")) for name in names),
        ]
        for entry in lost[:_LOST_ROWS]
    ]  # fmt: skip
    text = f"{len(lost)} held-back queries have relevant candidates that do not leave the recommended cascade"
    text += "." if len(lost) <= _LOST_ROWS else f"; the {_LOST_ROWS} worst of them (report.json has all)."
    return _paragraph(text) + _table(["id", "query", "relevant", *(f"lost by {name}" for name in names)], rows, left=2)


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
        _table(["stage", "model", "kind", "precision", "on", "keep in the file", "digest"], stages, left=5)
        + _paragraph("Cost model, fitted from measured runs: milliseconds per request.")
        + _table(["stage", "fixed", "per pair", "per 1000 tokens", "median error", "runs"], costs)
        + _table(["", ""], [[str(name), str(value)] for name, value in plain.items()], left=2)
    )

"""The report's sections on rules beyond fixed cut-offs: what was certified, what may differ per query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cascaderank.evaluate.report.html import paragraph, table
from cascaderank.evaluate.report.words import cuts, interval
from cascaderank.tune.pictures import guarantee_picture


def guarantee_section(guarantee: Mapping[str, Any] | None, names: Sequence[str]) -> str:
    if guarantee is None:
        return paragraph("None was asked for (--max-recall-loss).")
    what = cuts(names, guarantee["keeps"])
    if guarantee["path"] == "margin":
        margins = zip(names, guarantee["margins"], strict=True)
        what = "margins: " + ", ".join(f"{name} {'none' if one is None else f'{one:.2f}'}" for name, one in margins)
    text = (
        f"{what}. At most {guarantee['alpha']:g} of the first pass's relevant candidates is lost on average, with "
        f"confidence {guarantee['confidence']:g} ({guarantee['test']} p-value {guarantee['p_value']:.2g} on "
        f"{guarantee['queries']} queries; learn-then-test, arXiv 2110.01052), for queries exchangeable with the "
        f"labelled ones that have a relevant candidate. Realised on the held-back queries: "
        f"{guarantee['held_back_loss']:.4f} (95 % {interval(guarantee['held_back_loss_interval'], 4)})."
    )
    if guarantee["cuts_nothing"]:
        text += " Nothing may be cut at this confidence."
    return paragraph(text) + guarantee_picture(guarantee)


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
        return paragraph(found["note"])
    head = [
        "rule",
        "at most",
        "pairs saved (held back)",
        "time saved (choosing)",
        "(held back)",
        "nDCG@10 change (95 %)",
    ]
    return paragraph(f"Against the recommended fixed cut-offs: {found['note']}.") + table(head, rows, left=3)

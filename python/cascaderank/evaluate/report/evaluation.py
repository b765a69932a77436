"""The page of an evaluation (``evaluate``): what every stage gains and loses, and what its probabilities are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cascaderank.evaluate.report.html import facts, page, paragraph, section, table
from cascaderank.evaluate.report.pictures import quality_picture
from cascaderank.evaluate.report.reliability import reliability_parts

SHOWN = {
    "R@kept": "recall@kept",
    "R@10": "recall@10",
    "R@20": "recall@20",
    "R@100": "recall@100",
    "nDCG@10": "nDCG@10",
    "RR@10": "MRR@10",
    "Success@1": "accuracy@1",
    "Success@10": "accuracy@10",
    "AP": "MAP",
}
"""The measures that are shown, by their keys, and what readers call them."""
FUSION_NOTE = (
    "Weights: the first pass's, then the stages'; the cascade's own for its own fusion, equal ones for the others."
)
_LOST_ROWS = 30


def evaluation_page(found: Mapping[str, Any]) -> str:
    """The whole page of a result of ``evaluate``, with ``data`` and perhaps ``ablation`` beside it."""
    machine, queries = found["machine"], {entry["query_id"]: entry["query"] for entry in found["queries"]}
    summary = (
        f"{len(queries)} queries, {found['candidates']} candidates, relevant from grade {found['relevant_from']}; "
        f"documents {'encoded ahead' if found['from_store'] else 'sent as texts'}; {machine['cores']} cores "
        f"({machine['processor'] or machine['machine']}). In brackets 95 % bootstrap intervals over queries."
    )
    parts = [
        paragraph("Few queries: below 100 the intervals are wide.", "warn") if found["few_queries"] else "",
        section("Quality after each stage", quality_picture(found["points"]), quality_table(found["points"])),
        section("Where the time goes", times_table(found["latency"])),
        section("Against the other cascade", against_parts(found) if "against" in found else ""),
        section("Ways to fuse", fusion_parts(found["ablation"]) if "ablation" in found else ""),
        section("Probabilities", reliability_parts(found["reliability"], "candidates that the stage scored")),
        section("Lost documents", *(losses_part(entry, queries) for entry in found["losses"])),
        section("Cascade and machine", stages_table(found["cascade"]), facts({**machine, **_settings(found)})),
    ]
    return page("evaluate", f"Evaluation on {found['data']}", summary, parts)


def _settings(found: Mapping[str, Any]) -> dict[str, Any]:
    return {"fusion": found["cascade"]["fusion"], "report format": found["format"]}


def mean(value: Mapping[str, Any]) -> str:
    """``0.541 [0.429, 0.652]``, on the page and on the screen."""
    low, high = value["interval"]
    return f"{value['mean']:.3f} [{low:.3f}, {high:.3f}]"


def difference(found: Mapping[str, Any]) -> tuple[str, str]:
    """A difference with its interval, and its p-value."""
    low, high = found["interval"]
    return f"{found['difference']:+.3f} [{low:+.3f}, {high:+.3f}]", f"{found['p_value']:.4f}"


def quality_table(points: Sequence[Mapping[str, Any]]) -> str:
    """A row per measure, a column per point."""
    rows = [["kept (median)", *(f"{point['kept']:.0f}" for point in points)]]
    rows += [[title, *(mean(point["values"][key]) for point in points)] for key, title in SHOWN.items()]
    return table(["after", *(point["name"] for point in points)], rows)


def times_table(latency: Mapping[str, Any]) -> str:
    rows = []
    for stage in [*latency["stages"], {"name": "in all", "ms": latency["ms"]}]:
        times = ["-"] * 3 if stage["ms"] is None else [f"{stage['ms'][key]:.1f}" for key in ("p50", "p95", "p99")]
        rows.append([stage["name"], *times])
    return table(["", "P50 ms", "P95 ms", "P99 ms"], rows)


def against_parts(found: Mapping[str, Any]) -> str:
    other, comparison = found["against"], found["comparison"]
    ratio = comparison["time_ratio"]["median"]
    rows = [[title, *difference(comparison["measures"][key])] for key, title in SHOWN.items()]
    return "\n".join(
        [
            quality_table(other["points"]),
            times_table(other["latency"]),
            paragraph(
                f"This cascade minus the other, at the end of both ({comparison['test']}). The other takes {ratio:.2f} "
                "times as long (median over queries, taking turns)."
            ),
            table(["at the end", "this - other", "p"], rows),
        ]
    )


def weights_of(entry: Mapping[str, Any]) -> str:
    """``0.1 : 0.3 : 0.6``: the first pass's, then the stages'."""
    return "-" if entry["weights"] is None else " : ".join(f"{weight:.3g}" for weight in entry["weights"])


def fusion_parts(ablation: Sequence[Mapping[str, Any]]) -> str:
    measured = sorted((e for e in ablation if "values" in e), key=lambda entry: -entry["values"]["nDCG@10"]["mean"])
    rows = [
        [
            entry["fusion"],
            weights_of(entry),
            *(mean(entry["values"][key]) for key in ("nDCG@10", "RR@10", "AP")),
            *difference(entry["to_best"]),
        ]
        for entry in measured
    ]
    left_out = [paragraph(f"{e['fusion']} left out: {e['left_out']}", "soft") for e in ablation if "left_out" in e]
    head = ["fusion", "weights", "nDCG@10", "MRR@10", "MAP", "nDCG@10 - best", "p"]
    return paragraph(FUSION_NOTE, "soft") + table(head, rows, left=2) + "".join(left_out)


def losses_part(entry: Mapping[str, Any], queries: Mapping[str, str]) -> str:
    """What one point lost, the queries that lost most first."""
    what = "did not find" if entry["name"] == "first pass" else "lost"
    text = f"{entry['name']} {what} {entry['lost']} of {entry['relevant_in']} relevant documents"
    lost = entry["queries"]
    if not lost:
        return paragraph(f"{text}.")
    text += f", for {len(lost)} queries" if len(lost) != 1 else ", for 1 query"
    text += "." if len(lost) <= _LOST_ROWS else f"; the {_LOST_ROWS} worst of them (--json has all)."
    rows = [
        [query["query_id"], queries[query["query_id"]], ", ".join(f"{n} ({g})" for n, g in query["lost"].items())]
        for query in lost[:_LOST_ROWS]
    ]
    return paragraph(text) + table(["id", "query", "lost (grade)"], rows, left=3)


def stages_table(cascade: Mapping[str, Any]) -> str:
    """The models behind the figures."""
    rows = [
        [
            stage["name"], stage["model"], stage["kind"], stage["precision"], stage["provider"],
            str(stage["keep"]), f"{stage['weight']:g}", stage["digest"][:12],
        ]
        for stage in cascade["stages"]
    ]  # fmt: skip
    return table(["stage", "model", "kind", "precision", "on", "keep", "weight", "digest"], rows, left=5)

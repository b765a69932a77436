"""The quality table as Markdown, and everything in it as plain data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cascaderank.evaluate.metrics import bootstrap_interval
from measuring.bootstrap import interval_over_sets
from measuring.measured import (
    Measured,
    Results,
    SetResult,
    bar_results,
    difference,
    int8_loss,
    ratio,
    worse_than_followed,
)
from measuring.sets import BAR, JUDGED, QA
from measuring.systems import CHEAP, IN_BOTH, RERANKERS, SINGLE, SYSTEMS, THE_BAR

BEGIN, END = "<!-- quality:begin -->", "<!-- quality:end -->"
MAP_SETS = ("wikiqa", "selqa", "trecqa")  # every sentence is judged, so average precision is the usual measure

Row = Sequence[str]


def markdown(head: Row, rows: Sequence[Row]) -> str:
    """A table; the first column holds names."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def limits(pair: Sequence[float], form: str = ".3f") -> str:
    """[low, high]."""
    low, high = (value + 0.0 for value in pair)  # no minus zero
    return f"[{low:{form}}, {high:{form}}]"


def system_table(
    chosen: Sequence[SetResult],
    name: str,
    systems: Sequence[str],
    of: Callable[[SetResult], Measured] = lambda result: result.narrow,
    mean: bool = False,
) -> str:
    """A row per system, a column per set, each with its 95 % interval; the mean over sets if asked."""
    shown = [s for s in systems if all(name in of(result).get(s, {}) for result in chosen)]
    rows = []
    for system in shown:
        sets = [of(result)[system][name] for result in chosen]
        cells = [f"{values.mean():.3f} {limits(bootstrap_interval(values))}" for values in sets]
        if mean:
            cells.append(f"**{np.mean([v.mean() for v in sets]):.3f}** {limits(interval_over_sets(sets))}")
        rows.append([system, *cells])
    titles = [f"{result.task} ({len(result.queries)})" for result in chosen]
    return markdown(["system", *titles, *(["mean"] if mean else [])], rows)


def recall_table(chosen: Sequence[SetResult]) -> str:
    """recall@20 / recall@100 out of the wide first pass, then recall@20 of what reranks the narrow one."""

    def cells(rows: list[Measured], system: str, names: tuple[str, ...]) -> list[str]:
        values = [[measured[system][name].mean() for name in names] for measured in rows]
        return [" / ".join(f"{v:.3f}" for v in row) for row in (*values, np.mean(values, axis=0))]

    wide, narrow = [result.wide or result.narrow for result in chosen], [result.narrow for result in chosen]
    rows = [[s, *cells(wide, s, ("recall20", "recall100"))] for s in CHEAP if all(s in m for m in wide)]
    rows += [[s, *cells(narrow, s, ("recall20",))] for s in RERANKERS if all(s in m for m in narrow)]
    return markdown(["system", *(str(result.task) for result in chosen), "mean"], rows)


def differences(results: Results) -> list[dict[str, Any]]:
    """What the bars ask: the cascade against the cheap systems, the large model against the bi-encoder."""
    bar, found = bar_results(results), []
    pairs = [("cascade", other) for other in (THE_BAR, "RRF", "BM25", "bi")] + [("large", "bi")]
    for system, other in pairs:
        if bar and all(system in result.narrow and other in result.narrow for result in bar):
            found.append({"sets": "bar", **difference(bar, system, other)})
    for task, result in results.items():
        if task.name in MAP_SETS and "large" in result.narrow:
            found.append({"sets": task.name, **difference([result], "large", "bi", "map")})
    return found


def ratios(results: Results) -> list[dict[str, Any]]:
    """What the smaller model keeps of the larger, and the cascade of the large model on all candidates."""
    found = []
    for title, chosen in (("bar", bar_results(results)), ("all", list(results.values()))):
        for system, other in (("small", "large"), ("cascade", "large on all"), ("cascade", "large")):
            if chosen and all(system in result.narrow and other in result.narrow for result in chosen):
                found.append({"sets": title, **ratio(chosen, system, other)})
    return found


def static_recall(results: Results) -> list[tuple[str, float]]:
    """Per set with a wide first pass: recall@100 of the static encoder over that of the bi-encoder."""
    found = []
    for task, result in results.items():
        if SINGLE["minilm-static"] in result.wide:
            static, dense = (result.wide[system]["recall100"].mean() for system in ("static", "bi"))
            found.append((str(task), float(static / dense)))
    return found


def summary(results: Results, settings: dict[str, Any]) -> dict[str, Any]:
    """Every number: settings, values per query, means with intervals, and all comparisons."""

    def plain(measured: Measured) -> dict[str, Any]:
        return {
            system: {
                name: {"mean": float(v.mean()), "interval": bootstrap_interval(v), "per_query": v.tolist()}
                for name, v in measures.items()
            }
            for system, measures in measured.items()
        }

    bar = bar_results(results)
    return {
        "settings": settings,
        "sets": {
            str(task): {
                "queries": result.queries,
                **{part: plain(getattr(result, part)) for part in ("narrow", "wide", "fp32", "int8")},
            }
            for task, result in results.items()
        },
        "differences": differences(results),
        "ratios": ratios(results),
        "static_recall100_over_bi": dict(static_recall(results)),
        "int8_loss": int8_loss(bar),
        "worse_than_followed": worse_than_followed(results),
    }


def _difference_table(found: Sequence[dict[str, Any]]) -> str:
    rows = []
    for row in found:
        name = "MAP" if row["measure"] == "map" else "nDCG@10"
        cells = [f"{row['sets']}, {name}", f"{row['mean']:+.3f} {limits(row['interval'], '+.3f')} ({row['queries']})"]
        over = f"{row['mean_over_sets']:+.3f} {limits(row['interval_over_sets'], '+.3f')}"
        cells += [over, f"{row['worst']:+.3f} {row['worst_set']}"] if row["sets"] == "bar" else ["", ""]
        rows.append([f"{row['system']} minus {row['other']}", *cells])
    return markdown(["difference", "sets", "over all queries", "mean over sets", "worst set"], rows)


def _ratio_table(found: Sequence[dict[str, Any]]) -> str:
    rows = [
        [f"{row['system']} / {row['other']}", row["sets"], f"{row['ratio']:.1%} {limits(row['interval'], '.1%')}"]
        for row in found
    ]
    return markdown(["ratio", "sets", "kept"], rows)


def _worse_lines(results: Results) -> str:
    found: list[dict[str, Any]] = worse_than_followed(results)
    if not found:
        return "No system is below what it follows on any set."
    lines = []
    for pair in dict.fromkeys((row["system"], row["other"]) for row in found):
        rows = [row for row in found if (row["system"], row["other"]) == pair]
        places = [f"{row['set']} {row['mean']:+.3f} {limits(row['interval'], '+.3f')}" for row in rows]
        lines.append(f"- {pair[0]} below {pair[1]}: {'; '.join(places)}.")
    return "\n".join(lines)


def _precision_table(compared: Sequence[SetResult]) -> str:
    """fp32 / int8 per set, each over the same queries."""
    shown = [s for s in IN_BOTH if all(s in result.fp32 for result in compared)]
    rows = []
    for result in compared:
        cells = [f"{result.fp32[s]['ndcg10'].mean():.3f} / {result.int8[s]['ndcg10'].mean():.3f}" for s in shown]
        rows.append([f"{result.task} ({len(result.fp32['BM25']['ndcg10'])})", *cells])
    return markdown(["set", *shown], rows)


def _loss_table(results: Results) -> str:
    """Over the sets of the bar: no other is measured in fp32."""
    losses: list[dict[str, Any]] = int8_loss(bar_results(results))
    rows = [
        [
            row["system"],
            f"{row['fp32']:.4f}",
            f"{row['int8']:.4f}",
            f"{row['loss']:+.2%} {limits(row['interval'], '+.2%')}",
        ]
        for row in losses
    ]
    if models := [row["loss"] for row in losses if row["system"] in SINGLE.values()]:
        rows.append(["models, averaged", "", "", f"**{np.mean(models):+.2%}**"])
    return markdown(["system", "fp32", "int8", "relative loss"], rows)


def report(results: Results, depth: int, wide: int) -> str:
    """All tables that the sets at hand allow, with headings."""
    groups = [(t, [results[task] for task in tasks if task in results]) for t, tasks in _GROUPS]
    ranked = [result for result in results.values() if result.task.source != "judged"]
    full = [result for result in ranked if result.wide]
    compared = [result for result in results.values() if result.fp32]
    parts = [_HEAD]
    for title, chosen in groups:
        if chosen:
            text = system_table(chosen, "ndcg10", SYSTEMS, mean=len(chosen) > 1)
            parts.append(f"**nDCG@10, {title.format(depth=depth)}**\n\n{text}")
    if judged := [result for result in results.values() if result.task.name in MAP_SETS]:
        parts.append(f"**MAP, all judged sentences**\n\n{system_table(judged, 'map', SYSTEMS, mean=len(judged) > 1)}")
    if found := differences(results):
        parts.append(f"**Paired differences** (queries in brackets)\n\n{_difference_table(found)}")
    if found := ratios(results):
        parts.append(f"**Share of nDCG@10 kept** (means over sets)\n\n{_ratio_table(found)}")
    if full:
        text = system_table(full, "ndcg10", CHEAP, lambda result: result.wide, mean=len(full) > 1)
        parts.append(f"**nDCG@10 out of BM25's first {wide}**\n\n{text}")
    if ranked:
        title = f"**recall@20 / recall@100 out of BM25's first {wide}** (a run: all it has)"
        parts.append(f"{title}; rerankers: recall@20 out of the first {depth}\n\n{recall_table(ranked)}")
    if shares := static_recall(results):
        listed = ", ".join(f"{name} {share:.1%}" for name, share in shares)
        mean = np.mean([share for _, share in shares])
        parts.append(f"recall@100 of the static encoder over the bi-encoder's: {listed}; mean {mean:.1%}.")
    if compared:
        parts.append(f"**fp32 / int8**, nDCG@10 on the same queries\n\n{_precision_table(compared)}")
        parts.append(_loss_table(results))
    parts.append(f"**Worse than what it follows** (nDCG@10)\n\n{_worse_lines(results)}")
    return "\n\n".join(parts)


_HEAD = (
    "int8 unless said; 95 % percentile bootstrap intervals over queries in square brackets, numbers of queries in "
    "round ones. BM25 + bi: sum of z-scores; RRF: of the same two, k = 60; cascade: as cascade.toml has it; large on "
    "all: its weights without the small model, the large one on every candidate. trec-dl21 calls its only split train; "
    "it is measured, never trained on."
)
_GROUPS = (
    ("reranking the first {depth} of BM25", BAR),
    ("all judged candidates", JUDGED),
    ("test parts of question-answer sets, reranking BM25's first {depth}", QA),
)


def write_between(path: Path, text: str) -> None:
    """Replace what stands between the markers; raises ValueError where `path` lacks them."""
    old = path.read_text(encoding="utf-8")
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} lacks {BEGIN} followed by {END}; add the two lines where the table belongs")
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")

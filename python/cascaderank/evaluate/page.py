"""A bench result as one HTML file that needs nothing else: tables, and bars drawn in SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_STYLE = """\
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1a1a1a; background: #fff }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #ccc }
th:first-child, td:first-child { text-align: left }
svg { max-width: 100% }
"""
_COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#a463f2")
_WIDTH, _BAR, _LEFT = 900, 26, 60


def page(found: Mapping[str, Any]) -> str:
    """The whole page."""
    latency = found["latency"]
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>cascaderank bench</title>",
        f"<style>{_STYLE}</style><h1>cascaderank bench</h1>",
        f"<p>{_sentence(found)}</p><h2>Where the time goes</h2>",
        _bars(latency),
        _latency_table(latency),
        "<h2>Request times</h2>",
        _curve([request["ms"] for request in found["requests"]]),
    ]
    if "quality" in found:
        parts += ["<h2>Quality</h2>", _quality_table(found["quality"])]
    return "\n".join([*parts, "</html>\n"])


def _sentence(found: Mapping[str, Any]) -> str:
    latency, settings, machine = found["latency"], found["settings"], found["machine"]
    return escape(
        f"{latency['requests']} requests of {settings['candidates']} candidates by {latency['concurrency']} caller(s) "
        f"on {machine['cores']} cores ({machine['processor'] or machine['machine']}): "
        f"{latency['pairs_per_s']:.0f} pairs/s, "
        f"{latency['tokens_per_s']:.0f} tokens/s, {latency['padding']:.1%} padding, "
        f"{latency['outside_share']:.1%} of the time outside the model."
    )


def _bars(latency: Mapping[str, Any]) -> str:
    """One bar per percentile, made of the stages' percentiles (which need not add up to the total's)."""
    stages = latency["stages"]
    keys = ("p50", "p95", "p99", "max")
    most = max([sum(stage["ms"][key] for stage in stages) for key in keys] + [1e-9])
    shapes: list[str] = []
    for row, key in enumerate(keys):
        x, y = float(_LEFT), row * (_BAR + 8)
        shapes.append(f"<text x='0' y='{y + 18}'>{key.upper()}</text>")
        for number, stage in enumerate(stages):
            width = stage["ms"][key] / most * (_WIDTH - _LEFT)
            title = escape(f"{stage['name']} {stage['ms'][key]:.1f} ms")
            colour = _COLOURS[number % len(_COLOURS)]
            shapes.append(
                f"<rect x='{x:.1f}' y='{y}' width='{width:.1f}' height='{_BAR}' fill='{colour}'>"
                f"<title>{title}</title></rect>"
            )
            x += width
    legend = " ".join(
        f"<tspan fill='{_COLOURS[number % len(_COLOURS)]}'>■</tspan> {escape(stage['name'])}"
        for number, stage in enumerate(stages)
    )
    height = len(keys) * (_BAR + 8) + 24
    return _svg(height, [*shapes, f"<text x='{_LEFT}' y='{height - 6}'>{legend}</text>"])


def _curve(times: Sequence[float]) -> str:
    """The cumulative distribution of the requests' times."""
    ordered, height = sorted(times), 220
    most = max(ordered[-1], 1e-9)
    points = [(_LEFT, height)]
    for place, ms in enumerate(ordered, start=1):
        x = round(_LEFT + ms / most * (_WIDTH - _LEFT - 10))
        points += [(x, points[-1][1]), (x, round(height - place / len(ordered) * (height - 10)))]
    line = " ".join(f"{x},{y}" for x, y in points)
    return _svg(
        height + 24,
        [
            f"<polyline points='{line}' fill='none' stroke='{_COLOURS[0]}' stroke-width='2'/>",
            f"<text x='0' y='14'>100 %</text><text x='0' y='{height}'>0 %</text>",
            f"<text x='{_LEFT}' y='{height + 18}'>0 ms</text>",
            f"<text x='{_WIDTH - 10}' y='{height + 18}' text-anchor='end'>{most:.0f} ms</text>",
        ],
    )


def _svg(height: int, shapes: Sequence[str]) -> str:
    return f"<svg viewBox='0 0 {_WIDTH} {height}' width='{_WIDTH}' role='img'>{''.join(shapes)}</svg>"


def _latency_table(latency: Mapping[str, Any]) -> str:
    rows = [
        [stage["name"], f"{stage['candidates_in']:.0f} → {stage['candidates_out']:.0f}", *_times(stage["ms"])]
        for stage in latency["stages"]
    ]
    rows.append(["in all", "", *_times(latency["ms"])])
    return _table(["stage", "candidates", "P50 ms", "P95 ms", "P99 ms", "max ms"], rows)


def _times(ms: Mapping[str, float]) -> list[str]:
    return [f"{ms[key]:.1f}" for key in ("p50", "p95", "p99", "max")]


def _quality_table(points: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            point["name"],
            str(point["kept"]),
            f"{point['recall_kept']:.3f}",
            f"{point['recall_10']:.3f}",
            f"{point['ndcg_10']:.3f} ({point['ndcg_10_interval'][0]:.3f} to {point['ndcg_10_interval'][1]:.3f})",
        ]
        for point in points
    ]
    return _table(["after", "kept", "recall@kept", "recall@10", "nDCG@10 (95 %)"], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"

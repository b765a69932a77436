"""Line plots as SVG text: axes with labels, lines, points, bands. Colours come from the page's style, so that they fit
a light screen, a dark one and paper."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

WIDTH, HEIGHT = 640, 320
PARTS = 6  # colours of parts in the style
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 16, 48
Points = Sequence[tuple[float, float]]


@dataclass(slots=True)
class Plot:
    """``x`` and ``y`` are (low, high); ``log`` puts the horizontal axis on a logarithmic scale."""

    x_label: str
    y_label: str
    x: tuple[float, float]
    y: tuple[float, float]
    log: bool = False
    shapes: list[str] = field(default_factory=list)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a value lies in the picture; outside values sit on the edge."""
        low, high = self.x
        share = (
            math.log(max(x, low) / low) / math.log(high / low)
            if self.log and high > low > 0
            else (x - low) / ((high - low) or 1.0)
        )
        up = (y - self.y[0]) / ((self.y[1] - self.y[0]) or 1.0)
        clip = (min(max(share, 0.0), 1.0), min(max(up, 0.0), 1.0))
        return _LEFT + clip[0] * (WIDTH - _LEFT - _RIGHT), HEIGHT - _BOTTOM - clip[1] * (HEIGHT - _TOP - _BOTTOM)

    def line(self, points: Points, kind: str) -> None:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.place(*point) for point in points))
        self.shapes.append(f'<polyline class="{kind}" points="{path}"/>')

    def steps(self, points: Points, kind: str) -> None:
        """A line that stays at a value until the next."""
        path = [points[0]]
        for before, after in pairwise(points):
            path += [(after[0], before[1]), after]
        self.line(path, kind)

    def band(self, low: Points, high: Points, kind: str) -> None:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.place(*point) for point in (*low, *reversed(high))))
        self.shapes.append(f'<polygon class="{kind}" points="{path}"/>')

    def dots(self, points: Points, kind: str, radius: float = 3.0) -> None:
        for x, y in (self.place(*point) for point in points):
            self.shapes.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"/>')

    def upright(self, x: float, label: str) -> None:
        """A vertical line through the whole picture, with a word beside it."""
        at, _ = self.place(x, self.y[0])
        end = at > WIDTH * 0.7
        anchor, shift = ("end", -4) if end else ("start", 4)
        self.shapes.append(f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>')
        self.shapes.append(
            f'<text class="label" x="{at + shift:.1f}" y="{_TOP + 12}" text-anchor="{anchor}">{escape(label)}</text>'
        )

    def text(self, title: str) -> str:
        """The whole picture; ``title`` is what a screen reader says."""
        bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
        axes = [f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>']
        axes.append(f'<line class="axis" x1="{_LEFT}" x2="{_LEFT}" y1="{_TOP}" y2="{bottom}"/>')
        for value in log_ticks(*self.x) if self.log else ticks(*self.x):
            at, _ = self.place(value, self.y[0])
            axes.append(f'<line class="axis" x1="{at:.1f}" x2="{at:.1f}" y1="{bottom}" y2="{bottom + 4}"/>')
            axes.append(f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{value:g}</text>')
        for value in ticks(*self.y):
            _, at = self.place(self.x[0], value)
            axes.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
            axes.append(f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{value:g}</text>')
        axes.append(
            f'<text x="{(_LEFT + right) / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">{escape(self.x_label)}</text>'
        )
        axes.append(
            f'<text transform="translate(14 {(_TOP + bottom) / 2:.0f}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.y_label)}</text>"
        )
        inside = "\n".join([*axes, *self.shapes])
        return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">\n{inside}\n</svg>'


def stacked_bars(rows: Mapping[str, Sequence[float]], names: Sequence[str], title: str) -> str:
    """One horizontal bar per row, made of one value per name; a legend below."""
    left, height, gap = 56, 24, 8
    most = max([sum(values) for values in rows.values()] + [1e-9])
    shapes: list[str] = []
    for row, (label, values) in enumerate(rows.items()):
        at, y = float(left), row * (height + gap) + 4
        shapes.append(f'<text x="0" y="{y + 16}">{escape(label)}</text>')
        for number, (name, value) in enumerate(zip(names, values, strict=True)):
            width = value / most * (WIDTH - left - _RIGHT)
            shapes.append(
                f'<rect class="part{number % PARTS}" x="{at:.1f}" y="{y}" width="{width:.1f}" height="{height}">'
                f"<title>{escape(f'{name} {value:.1f}')}</title></rect>"
            )
            at += width
    below = len(rows) * (height + gap) + 24
    legend = " ".join(
        f'<tspan class="part{number % PARTS}">■</tspan> {escape(name)}' for number, name in enumerate(names)
    )
    shapes.append(f'<text x="{left}" y="{below - 6}">{legend}</text>')
    inside = "\n".join(shapes)
    return f'<svg viewBox="0 0 {WIDTH} {below}" role="img" aria-label="{escape(title)}">\n{inside}\n</svg>'


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round values between two ends, about ``count`` of them."""
    if high <= low:
        return [low]
    raw = (high - low) / count
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * unit for factor in (1.0, 2.0, 5.0, 10.0) if factor * unit >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten between two positive ends."""
    if not 0 < low < high:
        return [low]
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [factor * 10.0**power for power in powers for factor in (1.0, 2.0, 5.0)]
    return [value for value in values if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]

"""Line charts as inline SVG: no library, no script needed to see them; colours come from ``page.css``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

Scale = Callable[[float], float]

WIDTH, HEIGHT = 560, 236
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 30
"""Margins around the plot, in units of the view box."""
POINTS = 600
"""Longer curves are drawn as means of neighbours."""


@dataclass(frozen=True)
class Series:
    """One curve. values: by position on the x axis, None: a gap. style: CSS classes, such as c0 to c7."""

    name: str
    values: Sequence[float | None]
    style: str


def line_chart(
    series: Sequence[Series],
    *,
    label: str,
    x: Sequence[float] | None = None,
    x_label: str = "frame",
    level: float | None = None,
) -> str:
    """An SVG element with axes, grid and one polyline per series; numbers on the axes are round.

    x: the positions, ascending; default 0, 1, 2, ... level: draw a reference line there and keep it in view.
    """
    length = max(len(one.values) for one in series)
    x = list(range(length)) if x is None else list(x)
    known = [value for one in series for value in one.values if value is not None]
    known += [] if level is None else [level]
    y_ticks = _ticks(min(known, default=0.0), max(known, default=1.0))
    across = _scale(x[0], x[-1], LEFT, WIDTH - RIGHT)
    up = _scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}" '
        f'data-left="{across(x[0]):g}" data-right="{across(x[-1]):g}" data-last="{x[-1]:g}">'
    ]
    for tick in y_ticks:
        parts += [_level("grid", up(tick)), _text(f"{tick:g}", LEFT - 8, up(tick) + 4, "end")]
    for tick in _ticks(x[0], x[-1], 6):
        if x[0] <= tick <= x[-1] and tick == int(tick):
            parts.append(_text(f"{tick:g}", across(tick), HEIGHT - 16, "middle"))
    parts.append(_text(x_label, WIDTH - RIGHT, HEIGHT - 3, "end"))
    if level is not None:
        parts.append(_level("level", up(level)))
    parts += [_curve(one, x, across, up) for one in series]
    parts.append(f'<line class="cursor" y1="{TOP}" y2="{HEIGHT - BOTTOM}" x1="-9" x2="-9"/></svg>')
    return "".join(parts)


def figure(
    title: str, series: Sequence[Series], x: Sequence[float], x_label: str, level: float | None = None
) -> str:
    """A chart in a frame, under its title and a key to the curves. Arguments: see `line_chart`."""
    keys = [f'<small><i class="key {one.style}"></i>{escape(one.name)}</small>' for one in series]
    caption = escape(title) + "".join(keys if len(keys) > 1 else ())
    chart = line_chart(series, label=title, x=x, x_label=x_label, level=level)
    return f"<figure><figcaption>{caption}</figcaption>{chart}</figure>"


def _text(text: str, x: float, y: float, anchor: str) -> str:
    return f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _level(style: str, y: float) -> str:
    return f'<line class="{style}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _curve(one: Series, x: Sequence[float], across: Scale, up: Scale) -> str:
    parts = [f'<g class="series {one.style}"><title>{escape(one.name)}</title>']
    for run in _runs(one.values):
        points = [(across(px), up(py)) for px, py in _thinned([(x[i], v) for i, v in run])]
        if len(points) > 1:
            parts.append(f'<polyline points="{" ".join(f"{px:.1f},{py:.1f}" for px, py in points)}"/>')
        if len(one.values) <= 32 or len(points) == 1:
            parts += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="2.2"/>' for px, py in points]
    return "".join([*parts, "</g>"])


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """The unbroken stretches of a curve, as (index, value)."""
    runs: list[list[tuple[int, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((index, value))
    return [run for run in runs if run]


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    size = math.ceil(len(points) / POINTS)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [
        (sum(p[0] for p in group) / len(group), sum(p[1] for p in group) / len(group)) for group in groups
    ]


def _scale(low: float, high: float, start: float, stop: float) -> Scale:
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (stop - start)


def _ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers that enclose [low, high], about `count` of them."""
    span = (high - low) or abs(high) or 1.0
    raw = max(span, 1e-9) / count  # finer ones would be rounded away
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * unit for factor in (1, 2, 2.5, 5, 10) if factor * unit >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, max(last, first + 1) + 1)]

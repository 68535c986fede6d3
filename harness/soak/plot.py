"""Small line plots as inline SVG: no script, no network; colours come from the page's CSS. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

WIDTH: Final = 640
HEIGHT: Final = 200
LEFT: Final = 56
RIGHT: Final = 10
TOP: Final = 10
BOTTOM: Final = 24
COLOURS_MAX: Final = 6
POINTS_MAX: Final = 1_200
"""More days than pixels are thinned out evenly."""


def plot(
    title: str, lines: Mapping[str, Sequence[float]], days: Sequence[int], *, unit: str = "", marked: Sequence[int] = ()
) -> str:
    """A figure with one line for each name over `days`; `marked` days are shaded: faults struck then."""
    top = max((value for values in lines.values() for value in values), default=0.0) or 1.0
    first, last = (days[0], days[-1]) if days else (0, 1)
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x_of(day: float) -> float:
        return LEFT + width * (day - first) / max(last - first, 1)

    def y_of(value: float) -> float:
        return TOP + height * (1 - value / top)

    half = width / max(last - first, 1) / 2
    shaded = "".join(
        f'<rect class="fault" x="{max(LEFT, x_of(day) - half):.1f}" y="{TOP}"'
        f' width="{min(WIDTH - RIGHT, x_of(day) + half) - max(LEFT, x_of(day) - half):.1f}"'
        f' height="{height}"/>'
        for day in marked
    )
    grid = "".join(_grid_line(y_of(top * part / 4), _short(top * part / 4)) for part in range(5))
    step = -(-len(days) // POINTS_MAX) or 1
    paths, legend = [], []
    for number, (name, values) in enumerate(lines.items()):
        points = list(zip(days, values, strict=True))[::step]
        path = " ".join(f"{x_of(day):.1f},{y_of(value):.1f}" for day, value in points)
        colour = f"c{number % COLOURS_MAX}"
        mark = f'<circle class="{colour}" cx="{LEFT}" cy="{y_of(values[0]):.1f}" r="3"/>' if len(points) == 1 else ""
        paths.append(f'<polyline class="{colour}" points="{path}"/>{mark}')
        legend.append(f'<span><i class="{colour}"></i>{escape(name)}</span>')
    axis = (
        f'<text x="{LEFT}" y="{HEIGHT - 6}">day {first}</text>'
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">day {last}</text>'
    )
    shown_unit = f" ({escape(unit)})" if unit else ""
    return (
        f"<figure><figcaption>{escape(title)}{shown_unit}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{shaded}{grid}{''.join(paths)}{axis}</svg>"
        f'<div class="legend">{"".join(legend)}</div></figure>'
    )


def _grid_line(y: float, text: str) -> str:
    return (
        f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
    )


def _short(value: float) -> str:
    """A number in at most five characters."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / {'G': 1e9, 'M': 1e6, 'k': 1e3}[letter]:.3g}{letter}"
    return f"{value:.3g}"

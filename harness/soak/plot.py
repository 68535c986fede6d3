"""Small line plots as inline SVG: no script, no network; colours come from the page's CSS. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Final

WIDTH: Final = 640
HEIGHT: Final = 220
LEFT: Final = 56
RIGHT: Final = 10
TOP: Final = 10
BOTTOM: Final = 24
COLOURS_MAX: Final = 6
WINDOW_WIDTH_MIN: Final = 1.0
"""An outage of seconds in a month would be too thin to see."""

DOTTED_POINTS_MAX: Final = 12
POINTS_MAX: Final = 1_200
"""More days than pixels are thinned out evenly."""


@dataclass(frozen=True, slots=True)
class Window:
    """From inject to heal, in days since the start."""

    name: str
    began: float
    ended: float


def plot(
    title: str,
    lines: Mapping[str, Sequence[float]],
    days: Sequence[float],
    *,
    unit: str = "",
    windows: Sequence[Window] = (),
) -> str:
    """A figure with one line for each name over `days` since the start; fault windows are shaded."""
    top, step_of_grid = _scale(max((value for values in lines.values() for value in values), default=0.0))
    last = days[-1] if days else 1.0
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x_of(day: float) -> float:
        return LEFT + width * min(day, last) / last

    def y_of(value: float) -> float:
        return TOP + height * (1 - value / top)

    shaded = "".join(
        f'<rect class="fault" x="{x_of(window.began):.1f}" y="{TOP}" height="{height}"'
        f' width="{max(WINDOW_WIDTH_MIN, x_of(window.ended) - x_of(window.began)):.1f}">'
        f"<title>{escape(window.name)}, day {window.began:.2f}</title></rect>"
        for window in windows
    )
    parts = range(round(top / step_of_grid) + 1)
    grid = "".join(_grid_line(y_of(step_of_grid * part), _short(step_of_grid * part)) for part in parts)
    step = -(-len(days) // POINTS_MAX) or 1
    paths, legend = [], []
    for number, (name, values) in enumerate(lines.items()):
        points = list(zip(days, values, strict=True))[::step]
        path = " ".join(f"{x_of(day):.1f},{y_of(value):.1f}" for day, value in points)
        colour = f"c{number % COLOURS_MAX}"
        dots = points if len(points) <= DOTTED_POINTS_MAX else []
        marks = "".join(
            f'<circle class="{colour}" cx="{x_of(day):.1f}" cy="{y_of(value):.1f}" r="3"/>' for day, value in dots
        )
        paths.append(f'<polyline class="{colour}" points="{path}"/>{marks}')
        legend.append(f'<span><i class="{colour}"></i>{escape(name)}</span>')
    axis = f'<text x="{LEFT}" y="{HEIGHT - 6}">start</text>' + "".join(
        f'<text x="{x_of(day):.1f}" y="{HEIGHT - 6}" text-anchor="{"end" if day == last else "middle"}">'
        f"day {day:g}</text>"
        for day in _marked_days(last)
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


def _scale(highest: float) -> tuple[float, float]:
    """The top of an axis and the step of its grid: a round number 3 to 6 times."""
    if highest < 1e-9:
        return 1.0, 0.25
    magnitude: float = 10.0 ** floor(log10(highest / 3))
    step = max(factor * magnitude for factor in (1, 2, 2.5, 5) if factor * magnitude <= highest / 2.9)
    return ceil(highest / step - 1e-9) * step, step


def _marked_days(last: float) -> list[float]:
    """Days that the axis names: about five, and the last."""
    if last < 2:
        return [last]
    _, step = _scale(last)
    step = max(1.0, float(round(step)))
    return [*(step * part for part in range(1, int(last / step) + 1) if last - step * part > step / 2), last]


def _short(value: float) -> str:
    """A number in at most five characters."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / {'G': 1e9, 'M': 1e6, 'k': 1e3}[letter]:.3g}{letter}"
    return f"{value:.3g}"

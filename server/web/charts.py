"""Charts of the fleet as SVG, drawn here: no script; colours come from the style sheet."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from markupsafe import Markup, escape

from server.journals import BatteryStep, Day

if TYPE_CHECKING:
    from server.app import App

DAYS: Final = 14
"""Days that the charts show, today being the last."""

KEPT: Final = timedelta(minutes=1)
Figures = tuple[list[Day], list[BatteryStep]]

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 640, 220, 52, 28, 12
_ROUND: Final = (1, 2, 5)


class Fleet:
    """Figures of the fleet, counted once in KEPT for each company: a million images take seconds."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._kept: dict[UUID | None, tuple[datetime, Figures]] = {}
        self._turn = asyncio.Lock()

    async def figures(self, company_id: UUID | None) -> Figures:
        """The last DAYS days, days without images too, and the batteries; not older than KEPT."""
        async with self._turn:
            now = self._app.parts.clock.now()
            kept = self._kept.get(company_id)
            if kept is not None and kept[0] <= now < kept[0] + KEPT:
                return kept[1]
            found = await _counted(self._app, company_id)
            self._kept[company_id] = (now, found)
            return found


async def _counted(app: App, company_id: UUID | None) -> Figures:
    today = app.parts.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    since = today - timedelta(days=DAYS - 1)
    found = {day.day: day for day in await app.journals.days(company_id, since)}
    dates = [(since + timedelta(days=number)).date() for number in range(DAYS)]
    return [found.get(each) or _empty(each) for each in dates], await app.journals.batteries(company_id)


def _empty(day: date) -> Day:
    return Day(day=day, complete=0, under_way=0, failed=0, retries=0, median_s=None, p95_s=None)


def stacked_bars(title: str, labels: Sequence[str], series: Mapping[str, Sequence[float]], unit: str = "") -> Markup:
    """A bar for each label, of a part for each series on top of the one before; with a table for those who hear it."""
    totals = [sum(values) for values in zip(*series.values(), strict=True)]
    top = _rounded_up(max(totals, default=0.0))
    slot = (_WIDTH - _LEFT) / max(1, len(labels))
    pieces = []
    for number, label in enumerate(labels):
        base, x = float(_HEIGHT - _BOTTOM), _LEFT + slot * (number + 0.15)
        for index, (name, values) in enumerate(series.items()):
            height = values[number] / top * (_HEIGHT - _BOTTOM - _TOP)
            if height <= 0:
                continue
            base -= height
            pieces.append(
                Markup(
                    '<rect class="s{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
                    "<title>{}, {}: {:g}{}</title></rect>"
                ).format(index, x, base, slot * 0.7, height, label, name, round(values[number], 1), unit)
            )
    return _figure(title, labels, series, pieces, top, unit)


def lines(title: str, labels: Sequence[str], series: Mapping[str, Sequence[float | None]], unit: str = "") -> Markup:
    """A line for each series; where a value is None the line is broken."""
    top = _rounded_up(max((value for values in series.values() for value in values if value is not None), default=0.0))
    slot = (_WIDTH - _LEFT) / max(1, len(labels))
    pieces = []
    for index, (name, values) in enumerate(series.items()):
        path, is_down = "", False
        for number, value in enumerate(values):
            if value is None:
                is_down = False
                continue
            x = _LEFT + slot * (number + 0.5)
            y = _HEIGHT - _BOTTOM - value / top * (_HEIGHT - _BOTTOM - _TOP)
            path += f"{'L' if is_down else 'M'}{x:.1f} {y:.1f}"
            is_down = True
            pieces.append(
                Markup(
                    '<circle class="s{}" cx="{:.1f}" cy="{:.1f}" r="3"><title>{}, {}: {:g}{}</title></circle>'
                ).format(index, x, y, labels[number], name, round(value, 1), unit)
            )
        pieces.append(Markup('<path class="s{} line" d="{}"/>').format(index, path))
    return _figure(title, labels, series, pieces, top, unit)


def _figure(
    title: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    pieces: Sequence[Markup],
    top: float,
    unit: str,
) -> Markup:
    slot = (_WIDTH - _LEFT) / max(1, len(labels))
    grid = Markup("").join(_grid_line(share, top, unit) for share in (0.0, 0.5, 1.0))
    every = -(-len(labels) // 8) or 1
    names = Markup("").join(
        Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
            _LEFT + slot * (number + 0.5), _HEIGHT - 8, label
        )
        for number, label in enumerate(labels)
        if (len(labels) - 1 - number) % every == 0
    )
    legend = Markup("").join(
        Markup('<span class="legend s{}">{}</span>').format(index, name) for index, name in enumerate(series)
    )
    drawing = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}</svg>').format(
        _WIDTH, _HEIGHT, f"{title}; the table below has its figures", grid, Markup("").join(pieces), names
    )
    return Markup(
        '<figure class="card chart"><figcaption><h2>{}</h2><p>{}</p></figcaption>{}'
        "<details><summary>Figures</summary>{}</details></figure>"
    ).format(title, legend, drawing, _table(labels, series, unit))


def _grid_line(share: float, top: float, unit: str) -> Markup:
    y = _HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP)
    return Markup(
        '<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>'
        '<text x="{}" y="{:.1f}" text-anchor="end">{:g}{}</text>'
    ).format(_LEFT, _WIDTH, y, y, _LEFT - 6, y + 4, top * share, unit)


def _table(labels: Sequence[str], series: Mapping[str, Sequence[float | None]], unit: str) -> Markup:
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(name) for name in series)
    rows = []
    for number, label in enumerate(labels):
        cells = Markup("").join(Markup("<td>{}</td>").format(_said(values[number], unit)) for values in series.values())
        rows.append(Markup('<tr><th scope="row">{}</th>{}</tr>').format(label, cells))
    return Markup('<table class="figures"><thead><tr><td></td>{}</tr></thead><tbody>{}</tbody></table>').format(
        head, Markup("").join(rows)
    )


def _said(value: float | None, unit: str) -> str:
    return "none" if value is None else str(escape(f"{round(value, 1):g}{unit}"))


def _rounded_up(value: float) -> float:
    """1, 2 or 5 times a power of ten, not below the value."""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value > 0:
        power /= 10
    return next((step * power for step in _ROUND if step * power >= value), 10 * power) if value > 0 else 1.0

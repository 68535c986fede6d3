"""The strip above a timeline: one lane for each device, a mark for each record, empty time cut short. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final

from harness.sequence import stamp

WIDTH: Final = 1_000
NAMES_WIDTH: Final = 70
LANE_HEIGHT: Final = 34
GAP_MS_MAX: Final = 2_000
"""Longer than this nothing is drawn: a night's sleep would leave no room for the rest."""

MARKS_MAX: Final = 6_000
_ROW_OF: Final[Mapping[str, int]] = {"wake": 0, "fault": 0, "serial": 1, "message": 2, "row": 3}


@dataclass(frozen=True, slots=True)
class Mark:
    """Something of `who` at that time; `kind`: wake, fault, serial, message or row."""

    t_ms: int
    who: str
    kind: str


def strip(marks: Sequence[Mark], lanes: Sequence[str]) -> str:
    """An SVG; nothing where there is nothing to draw."""
    if not marks or not lanes:
        return ""
    places, cuts = _places(sorted({mark.t_ms for mark in marks}))
    height = LANE_HEIGHT * len(lanes) + 18
    parts = [
        f'<svg class="strip" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="all records over time">',
        *(_lane(index, name) for index, name in enumerate(lanes)),
    ]
    for x, before_ms, after_ms in cuts:
        parts.append(
            f'<line class="cut" x1="{x:.1f}" x2="{x:.1f}" y1="2" y2="{height - 16}"><title>'
            f"nothing from {stamp(before_ms)} to {stamp(after_ms)}</title></line>"
        )
    rank = {name: index for index, name in enumerate(lanes)}
    seen: set[tuple[int, str, str]] = set()
    for mark in marks:
        key = round(places[mark.t_ms]), mark.who, mark.kind
        if mark.who in rank and key not in seen and len(seen) < MARKS_MAX:
            seen.add(key)
            parts.append(_mark(mark, places[mark.t_ms], rank[mark.who]))
    first, last = min(places), max(places)
    parts.append(f'<text x="{NAMES_WIDTH}" y="{height - 4}">{stamp(first)}</text>')
    parts.append(f'<text x="{WIDTH - 4}" y="{height - 4}" text-anchor="end">{stamp(last)}</text></svg>')
    return "".join(parts)


def _places(times: Sequence[int]) -> tuple[dict[int, float], list[tuple[float, int, int]]]:
    """Where each time stands, and where time was cut out: (place, before, after)."""
    used_ms, at = 0, {times[0]: 0}
    jumps: list[tuple[int, int, int]] = []
    for before, after in pairwise(times):
        gap_ms = after - before
        if gap_ms > GAP_MS_MAX:
            jumps.append((used_ms + GAP_MS_MAX // 2, before, after))
        used_ms += min(gap_ms, GAP_MS_MAX)
        at[after] = used_ms
    scale = (WIDTH - NAMES_WIDTH - 10) / max(used_ms, 1)
    places = {t_ms: NAMES_WIDTH + 4 + used * scale for t_ms, used in at.items()}
    return places, [(NAMES_WIDTH + 4 + used * scale, before, after) for used, before, after in jumps]


def _lane(index: int, name: str) -> str:
    y = LANE_HEIGHT * index
    return (
        f'<text x="4" y="{y + 20}">{escape(name)}</text>'
        f'<line class="rule" x1="0" x2="{WIDTH}" y1="{y + LANE_HEIGHT}" y2="{y + LANE_HEIGHT}"/>'
    )


def _mark(mark: Mark, x: float, lane: int) -> str:
    y = LANE_HEIGHT * lane + 3 + 7.5 * _ROW_OF[mark.kind]
    title = f"<title>{stamp(mark.t_ms)} {escape(mark.who)} {mark.kind}</title>"
    if mark.kind in ("wake", "fault"):
        points = f"{x - 4:.1f},{y + 6:.1f} {x + 4:.1f},{y + 6:.1f} {x:.1f},{y:.1f}"
        return f'<polygon class="m-{mark.kind}" points="{points}">{title}</polygon>'
    return f'<rect class="m-{mark.kind}" x="{x - 0.8:.1f}" y="{y:.1f}" width="1.6" height="6">{title}</rect>'

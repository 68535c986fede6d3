"""The sequence diagram as SVG: device, broker, server, database from left to right, scenario time downwards. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from harness.report.words import printable
from harness.sequence import Lane, Move, shortened, stamp
from harness.units import duration_text

LANES: Final[dict[Lane, int]] = {"device": 120, "broker": 400, "server": 560, "database": 860}
WIDTH: Final = 1_000
HEAD: Final = 34
LINE: Final = 25
GAP_MS: Final = 10 * 60_000
MOVES_MAX: Final = 160
LABEL_LENGTH_CHARS_MAX: Final = 110
ARROW_LABEL_LENGTH_CHARS_MAX: Final = 58
ROW_LABEL_LENGTH_CHARS_MAX: Final = 44


def sequence_svg(moves: Sequence[Move], title: str, limit: int = MOVES_MAX) -> str:
    """The drawing; colours come from the page's style sheet. A tooltip on each line has all of it."""
    parts: list[str] = []
    y = HEAD + LINE
    before_ms: int | None = None
    for move in shortened(moves, limit):
        if before_ms is not None and move.t_ms - before_ms >= GAP_MS:
            parts.append(_words(LANES["device"] + 12, y, f"{duration_text(move.t_ms - before_ms)} later", "gap"))
            y += LINE
        before_ms = move.t_ms
        parts.append(_drawn(move, y))
        y += LINE
    lives = "".join(
        f'<text class="head" x="{x}" y="20" text-anchor="middle">{lane}</text>'
        f'<line class="life" x1="{x}" y1="{HEAD - 6}" x2="{x}" y2="{y - 6}"/>'
        for lane, x in LANES.items()
    )
    return (
        f'<svg class="seq" viewBox="0 0 {WIDTH} {y + 4}" role="img" aria-label="{_safe(title)}">'
        f"{lives}{''.join(parts)}</svg>"
    )


def _drawn(move: Move, y: int) -> str:
    when = f'<text class="t" x="0" y="{y}">{stamp(move.t_ms)}</text>'
    more = f"<title>{_safe(move.label)}\n{_safe(move.more)}</title>"
    return f'<g class="{_class(move)}">{more}{when}{_body(move, y)}</g>'


def _class(move: Move) -> str:
    return "rows" if move.tone == "plain" and move.target == "database" else move.tone


def _body(move: Move, y: int) -> str:
    source, target = LANES[move.source], LANES[move.target]
    if move.tone == "gap":
        return _words(source + 12, y, move.label, "gap")
    if move.tone == "step":
        return _line(96, y - 4, WIDTH - 10, dashed=True) + _words(WIDTH - 12, y - 8, move.label, "w", anchor="end")
    if move.tone == "bad":
        box = f'<rect x="96" y="{y - 16}" width="{WIDTH - 106}" height="{LINE - 3}" rx="4"/>'
        return box + _words(LANES["device"] + 12, y, f"\u2716 {move.label}", "w")
    if source == target:
        return _note(move, source, y)
    if move.tone == "fault":
        middle = source + 60
        cross = _cross(middle, y - 4)
        return _line(source, y - 4, middle) + cross + _words(middle + 14, y, move.label, "w")
    return _arrow(move, source, target, y)


def _note(move: Move, x: int, y: int) -> str:
    """Something that happens on a lifeline; words of the last one stand at its left."""
    mark = _cross(x, y - 4) if move.tone == "fault" else f'<circle class="dot" cx="{x}" cy="{y - 4}" r="3"/>'
    if x == LANES["database"]:
        return mark + _words(x - 12, y, move.label, "w", anchor="end")
    return mark + _words(x + 12, y, move.label, "w")


def _arrow(move: Move, source: int, target: int, y: int) -> str:
    """From lifeline to lifeline; what passes the broker leaves a dot there."""
    way = 1 if target > source else -1
    tip = f'<path class="tip" d="M{target} {y} l{-8 * way} -4 v8 z"/>'
    passed = min(source, target) < LANES["broker"] < max(source, target)
    dot = f'<circle class="dot" cx="{LANES["broker"]}" cy="{y}" r="2.5"/>' if passed else ""
    longest = ROW_LABEL_LENGTH_CHARS_MAX if move.target == "database" else ARROW_LABEL_LENGTH_CHARS_MAX
    label = _words(min(source, target) + 12, y - 5, move.label, "w", longest=longest)
    return _line(source, y, target) + tip + dot + label


def _line(x1: int, y: int, x2: int, *, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="4 4"' if dashed else ""
    return f'<line class="way" x1="{x1}" y1="{y}" x2="{x2}" y2="{y}"{dash}/>'


def _cross(x: int, y: int) -> str:
    return f'<path class="way" d="M{x - 5} {y - 5} l10 10 m0 -10 l-10 10"/>'


def _words(
    x: int, y: int, text: str, kind: str, *, anchor: str = "start", longest: int = LABEL_LENGTH_CHARS_MAX
) -> str:
    shown = text if len(text) <= longest else text[: longest - 3] + "..."
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{_safe(shown)}</text>'


def _safe(text: str) -> str:
    return escape("\n".join(printable(line) for line in text.split("\n")))

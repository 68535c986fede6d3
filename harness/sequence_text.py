"""The sequence diagram as plain text, at most 76 characters wide: device, server, database. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from harness.sequence import Lane, Move, shortened, stamp
from harness.units import duration_text

STAMP_WIDTH: Final = 13
SPANS: Final = (33, 27)
"""Between device and server, and between server and database."""

GAP_MS: Final = 10 * 60_000
"""A longer silence gets a line of its own."""

WIDTH_MAX: Final = STAMP_WIDTH + SPANS[0] + SPANS[1] + 3
NOTE_WIDTH: Final = SPANS[1] - 4
NOTE_LINES_MAX: Final = 4
LOGGED: Final = ("error:", "warning:")
AFTERWARDS: Final = 2
"""Lines that are shown of what came after the last thing that was found wrong."""


def text_diagram(moves: Sequence[Move], limit: int = 40) -> tuple[str, ...]:
    """The diagram's lines; the database's lifeline is left out where nothing is known of it."""
    told = _logged_once([move for move in moves if move.tone != "step"])
    wrong = max((index for index, move in enumerate(told) if move.tone == "bad"), default=len(told))
    picked = shortened(told[: wrong + 1 + AFTERWARDS], limit)
    if not picked:
        return ()
    has_rows = any("database" in (move.source, move.target) for move in moves)
    head = f"{'':{STAMP_WIDTH}}device{'':{SPANS[0] - 5}}server"
    lines = [f"{head}{'':{SPANS[1] - 12}}database" if has_rows else head]
    before_ms = picked[0].t_ms
    for move in picked:
        if move.t_ms - before_ms >= GAP_MS:
            lines.append(f"{'':{STAMP_WIDTH}}:  {duration_text(move.t_ms - before_ms)} later")
        before_ms = move.t_ms
        first, *further = _labels(move)
        lines.append(_line(replace(move, label=first), has_rows))
        lines += [_joined_note(text, has_rows) for text in further]
    return tuple(lines)


def _logged_once(moves: Sequence[Move]) -> list[Move]:
    """A log line that comes again and again stands once, with how often, until something else happens."""
    kept: list[Move] = []
    times: list[int] = []
    places: dict[str, int] = {}
    for move in moves:
        is_log = move.source == move.target and move.label.startswith(LOGGED)
        if is_log and move.label in places:
            times[places[move.label]] += 1
            continue
        if is_log:
            places[move.label] = len(kept)
        else:
            places.clear()
        kept.append(move)
        times.append(1)
    return [
        move if count == 1 else replace(move, label=move.label.replace(":", f", {count} times:", 1))
        for move, count in zip(kept, times, strict=True)
    ]


def _labels(move: Move) -> list[str]:
    """A note at the server's lifeline has little room: what it says goes on in the lines below."""
    is_note = move.tone not in ("gap", "bad", "fault") and move.source == move.target
    if not is_note or _column(move.source, move.tone) != 1 or len(move.label) <= NOTE_WIDTH:
        return [move.label]
    return textwrap.wrap(move.label, NOTE_WIDTH, max_lines=NOTE_LINES_MAX, placeholder=" ...") or [move.label]


def _joined_note(text: str, has_rows: bool) -> str:
    """One more line of a note, under its first."""
    ends = ["|", "|", "|"] if has_rows else ["|", "|"]
    spans = ["", f"   {text}"] if has_rows else [""]
    line = _joined(ends, spans)
    return f"{'':{STAMP_WIDTH}}{line if has_rows else f'{line}   {text}'}"[:WIDTH_MAX].rstrip()


def _line(move: Move, has_rows: bool) -> str:
    if move.tone == "gap":
        return f"{'':{STAMP_WIDTH}}{move.label}"
    when = f"{stamp(move.t_ms):<{STAMP_WIDTH}}"
    label = _brief(move.label)
    if move.tone == "bad":
        return f"{when}!!! {label}"[:WIDTH_MAX]
    ends = ["|", "|", "|"] if has_rows else ["|", "|"]
    source, target = _column(move.source, move.tone), _column(move.target, move.tone)
    left = min(source, target, len(ends) - 1)
    if source != target:
        spans = ["" for _ in ends[1:]]
        spans[left] = _arrow(label, SPANS[left], leftward=target < source)
        return when + _joined(ends, spans)
    if move.tone == "fault":
        ends[left] = "X"
    note = f"{'##' if move.tone == 'fault' else '--'} {label}"
    if left == len(ends) - 1:  # the last lifeline has its words at its left
        return when + _joined(ends, ["" for _ in ends[2:]] + [f"{note} ".rjust(SPANS[left - 1])[: SPANS[left - 1]]])
    spans = ["" for _ in ends[1:]]
    spans[left] = note
    return when + _joined(ends, spans)


def _brief(label: str) -> str:
    for word, short in ((" of ", " "), (" for ", " "), (".jpg", "")):
        label = label.replace(word, short)
    return label


def _column(lane: Lane, tone: str) -> int:
    if tone == "fault" and lane == "broker":
        return 0  # it struck on the way between device and broker
    return {"device": 0, "broker": 1, "server": 1, "database": 2}[lane]


def _arrow(label: str, width: int, *, leftward: bool) -> str:
    """`-- HELLO (pendingImg=0) ------>`, or `<-- SNAP ------`; a label that is too long is cut."""
    room = width - 5
    text = _fitted(label, room)
    if leftward:
        return f"<-- {text} ".ljust(width, "-") if len(text) < room else f"<- {text} ".ljust(width, "-")
    return f"{'--' if len(text) < room else '-'} {text} ".ljust(width - 1, "-") + ">"


def _fitted(label: str, room: int) -> str:
    """What fits; of the rows of one COMMIT the first ones that do."""
    if len(label) <= room:
        return label
    parts = label.split("; ")
    while len(parts) > 1:
        parts.pop()
        if len("; ".join(parts)) <= room:
            return "; ".join(parts)
    return label[: room - 3] + "..."


def _joined(ends: Sequence[str], spans: Sequence[str]) -> str:
    """Lifelines and what stands between; a note that is too long runs over the lifelines right of it."""
    line, place = ends[0], 0
    for span, width, end in zip(spans, SPANS, ends[1:], strict=False):
        place += width + 1
        if len(line) > place or len(line) + len(span) > place:
            line = (line + span)[: WIDTH_MAX - STAMP_WIDTH]
        else:
            line = (line + span).ljust(place) + end
    return line.rstrip()

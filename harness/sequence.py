"""What happened in a run as moves between lifelines: device, broker, server, database. Text and SVG draw them. Pure.

Chunks of one image that follow each other become one move, and so do the rows that only count them. What was seen
beside the history, rows as they changed, comes as records of kind `row`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from harness.history import Record
from harness.jsonable import json_line
from harness.message_words import chunk_of, message_words, number_ranges

Lane = Literal["device", "broker", "server", "database"]
Tone = Literal["plain", "fault", "heal", "step", "bad", "gap"]

TELLING: Final = (
    "image_name",
    "status",
    "protocol_state",
    "payload_status",
    "provisioning_status",
    "received_chunks",
    "total_chunks",
    "retry_count",
    "timeout_reason",
    "failure_reason",
    "command_type",
    "alert_type",
    "severity",
    "ack_type",
    "reference_count",
    "next_wake_at",
    "device_image_id",
)
"""Columns that say what a row is about, in this order; a change of others alone is not drawn."""

IMAGES: Final = "device_images"
_SHORT_NAMES: Final = {
    "device_images": "image",
    "device_wake_sessions": "session",
    "device_wake_payloads": "payload",
    "device_commands": "command",
    "device_alerts": "alert",
    "devices": "device",
    "duplicate_images_log": "duplicate",
    "original_images": "original",
}
_QUIET: Final = ("device_ack_log", "device_history")
"""They say again what messages and other rows say."""

_TOLD_FIRST: Final = ("device_images", "device_commands", "device_alerts", "device_wake_payloads")
_COUNTED: Final = frozenset({"received_chunks"})
POWER_LOST: Final = "power lost"
"""What a device says where a fault has said so already."""

HARMLESS: Final = ("start", "started", "resume", "settled")
ENDS: Final = ("crash", "stop", "pause")
MORE_LENGTH_CHARS_MAX: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One line of the diagram; with source and target the same it happens on that lifeline.

    `more` is the whole of it, for who wants to see it; `index` the record's place in the history.
    """

    t_ms: int
    source: Lane
    target: Lane
    label: str
    tone: Tone = "plain"
    who: str = ""
    more: str = ""
    index: int = 0
    rank: int = 0
    """Of rows: which tell most; 0 for all others."""


@dataclass(slots=True)
class _Fold:
    """Chunks of one image under way, and the row that counts them."""

    first: Move
    image: str
    ids: list[int]
    rows: list[tuple[Move, Record]]


class _Standing:
    """Who takes messages just now: one to a device that sleeps, or to servers that are down, stays at the broker."""

    def __init__(self) -> None:
        self._asleep: set[str] = set()
        self._down: dict[str, bool] = {}

    def see(self, record: Record) -> None:
        if record.kind == "sleep":
            self._asleep.add(record.who)
        elif record.kind == "wake":
            self._asleep.discard(record.who)
        elif record.kind == "server" and record.who.startswith("server"):
            action = str(record.fields.get("action", ""))
            if action.startswith(HARMLESS):
                self._down[record.who] = False
            elif action.startswith(ENDS):
                self._down[record.who] = True

    def held(self, move: Move | None, record: Record) -> Move | None:
        if move is None or record.kind != "message":
            return move
        is_down = move.source == "device" and bool(self._down) and all(self._down.values())
        if is_down or (move.target == "device" and record.who in self._asleep):
            return replace(move, target="broker", label=f"held: {move.label}")
        return move


def moves_of(records: Iterable[Record], who: str | None = None) -> list[Move]:
    """The moves of one device, or of all (None), with what befell broker, server and database."""
    moves: list[Move] = []
    fold: _Fold | None = None
    standing = _Standing()
    for index, record in enumerate(records):
        if record.kind == "check":
            break  # the bench is taken down; that is no part of the story
        standing.see(record)
        move = standing.held(_move(record, index), record)
        if move is None or (who is not None and not _concerns(record, who)):
            continue
        if who is None and record.who not in ("", "runner") and move.source == "device":
            move = replace(move, label=f"{record.who}: {move.label}")
        chunk = chunk_of(record)
        if chunk is not None:
            if fold is not None and (fold.image, fold.first.who) == (chunk[0], record.who):
                fold.ids.append(chunk[1])
                continue
            moves += _unfolded(fold)
            fold = _Fold(move, chunk[0], [chunk[1]], [])
        elif fold is not None and _only_counts(record):
            fold.rows.append((move, record))
        else:
            moves += _unfolded(fold)
            fold = None
            moves.append(move)
    return _grouped(moves + _unfolded(fold))


def with_moment(moves: Sequence[Move], t_ms: int, label: str) -> list[Move]:
    """The moves with a mark where something was found wrong."""
    place = next((index for index, move in enumerate(moves) if move.t_ms > t_ms), len(moves))
    mark = Move(t_ms=t_ms, source="server", target="server", label=label, tone="bad")
    return [*moves[:place], mark, *moves[place:]]


def shortened(moves: Sequence[Move], limit: int) -> list[Move]:
    """At most `limit` moves: the first quarter, the faults between as far as they fit, and the end."""
    if len(moves) <= limit:
        return list(moves)
    head = max(1, limit // 4)
    tail = max(1, limit - head - 1)
    middle = moves[head : len(moves) - tail]
    faults = sum(move.tone == "fault" for move in middle)
    more = f", {faults} {'fault' if faults == 1 else 'faults'} among them" if faults else ""
    label = f"... {len(middle)} lines left out{more} ..."
    gap = Move(t_ms=middle[0].t_ms, source="device", target="device", label=label, tone="gap")
    return [*moves[:head], gap, *moves[len(moves) - tail :]]


def _grouped(moves: Sequence[Move]) -> list[Move]:
    """Rows that one COMMIT changed are one move."""
    grouped: list[Move] = []
    for move in moves:
        last = grouped[-1] if grouped else None
        if last is None or not (move.rank and last.rank and last.t_ms == move.t_ms):
            grouped.append(move)
            continue
        first, then = (last, move) if last.rank <= move.rank else (move, last)
        is_same_row = last.label.split(" ")[0] == move.label.split(" ")[0]
        label = move.label if is_same_row else f"{first.label}; {then.label}"
        grouped[-1] = replace(first, label=label, more=f"{last.more}\n{move.more}")
    return grouped


def _concerns(record: Record, who: str) -> bool:
    return record.who in (who, "runner") or (record.kind == "server") or record.who in ("server", "broker", "database")


def _move(record: Record, index: int) -> Move | None:
    found = _drawn(record)
    if found is None:
        return None
    source, target, label, tone = found
    more = json_line(dict(record.fields))
    return Move(
        t_ms=record.t_ms,
        source=source,
        target=target,
        label=label,
        tone=tone,
        who=record.who,
        rank=_rank(record),
        more=more if len(more) <= MORE_LENGTH_CHARS_MAX else more[: MORE_LENGTH_CHARS_MAX - 3] + "...",
        index=index,
    )


def _rank(record: Record) -> int:
    if record.kind != "row":
        return 0
    table = record.fields.get("table")
    return 1 + (_TOLD_FIRST.index(table) if table in _TOLD_FIRST else len(_TOLD_FIRST))


def _drawn(record: Record) -> tuple[Lane, Lane, str, Tone] | None:
    fields = record.fields
    match record.kind:
        case "message" if fields.get("direction") == "down":
            return "server", "device", message_words(fields), "plain"
        case "message":
            return "device", "server", message_words(fields), "plain"
        case "row":
            label = row_words(fields)
            return None if label is None else ("server", "database", label, "plain")
        case "fault":
            return _fault(fields)
        case "server" if record.t_ms > 0 or fields.get("action") != "started":
            return _act(record)
        case "wake":
            return "device", "device", f"wakes, number {fields.get('number')} ({fields.get('reason')})", "plain"
        case "sleep":
            return "device", "device", _sleep_words(fields.get("until_ms")), "plain"
        case "capture":
            offline = ", offline" if fields.get("offline") else ""
            return "device", "device", f"takes {fields.get('image_name')}{offline}", "plain"
        case "log" if fields.get("level") in ("warning", "error", "critical") and fields.get("text") != POWER_LOST:
            lane: Lane = "device" if fields.get("source") in ("device", "gate") else "server"
            return lane, lane, f"{fields['level']}: {fields.get('text')}", "plain"
        case "invoke":
            return "device", "device", f"steps[{fields.get('index')}] {fields.get('step')}", "step"
        case "fail":
            return "device", "device", f"steps[{fields.get('index')}] {fields.get('step')} fails here", "bad"
        case "info" if fields.get("phase") == "heal":
            return "device", "device", "the steps are over: faults heal, queues drain", "step"
    return None


def _fault(fields: Mapping[str, Any]) -> tuple[Lane, Lane, str, Tone]:
    """What struck. A message that is hit on its way is drawn at the broker's side of the device."""
    address = fields.get("address")
    if address is not None:
        return "device", "broker", f"{address}: {_struck_words(fields.get('actions') or [])}", "fault"
    name = str(fields.get("action", "fault")).replace("_", " ")
    phase = fields.get("phase")
    reason = f" ({fields['reason']})" if "reason" in fields else ""
    return "device", "device", f"{name} {phase or ''}".rstrip() + reason, "heal" if phase == "ends" else "fault"


def _struck_words(actions: Sequence[Any]) -> str:
    if not actions:
        return "lost on its way"
    if isinstance(actions[-1], int):
        return f"{actions[-1]} copies"
    if actions[0] == "delay":
        return f"arrives {actions[-1]} later"
    words = {
        "change": "changed on its way",
        "poweroff": "then power loss",
        "cut": "then cut",
        "deliverpart": "only a part arrives",
        "begin": "",
        "deliver": "",
        "drop": "dropped",
    }
    named = [word for action in actions if (word := words.get(str(action), str(action)))]
    if named:
        return ", ".join(named)
    copies = sum(action == "deliver" for action in actions)
    if "begin" in actions:
        return "a fault begins"
    return f"{copies} copies" if copies > 1 else "goes through"


def _act(record: Record) -> tuple[Lane, Lane, str, Tone]:
    """What befell server, broker or database; `record.who` names the place, such as server0."""
    lane: Lane = "broker" if record.who == "broker" else "database" if record.who == "database" else "server"
    action = str(record.fields.get("action", ""))
    tone: Tone = "heal" if action.startswith(HARMLESS) else "fault"
    return lane, lane, f"{record.who}: {action.replace('_', ' ')}", tone


def _sleep_words(until_ms: int | None) -> str:
    return "sleeps" if until_ms is None else f"sleeps until {stamp(until_ms)[:8]}"


def row_words(fields: Mapping[str, Any]) -> str | None:
    """A changed row in words; None where nothing changed that tells something."""
    table = str(fields.get("table", ""))
    changes = fields.get("changes")
    if changes is None:  # a bench with boards only notes what is new
        changes = {name: [None, fields[name]] for name in TELLING if name in fields and name != "image_name"}
    shown = [name for name in TELLING if name in changes and name != "image_name"]
    where = str(fields.get("image_name") or _SHORT_NAMES.get(table, table)) if table == IMAGES else _short(table)
    if table in _QUIET:
        return None
    if fields.get("op") == "delete":
        return f"{where} deleted"
    if not shown:
        return f"{where} new" if fields.get("op") == "insert" else None
    if "protocol_state" in shown:
        shown = [name for name in shown if name != "payload_status"]
    words = [_change(column, changes[column][1], is_new=fields.get("op") == "insert") for column in shown]
    told = " ".join([where, *(word for word in words if word)])
    progress = fields.get("progress")
    return f"{told} {progress}" if progress and changes.keys() & {"received_chunks", "status"} else told


def _short(table: str) -> str:
    return _SHORT_NAMES.get(table, table)


def _change(column: str, after: Any, *, is_new: bool) -> str:
    """States by themselves, other columns with their name; counts are told by `progress`."""
    if column in ("received_chunks", "total_chunks") or after is None or (is_new and after == 0):
        return ""
    if column in ("status", "protocol_state", "payload_status", "command_type", "alert_type", "ack_type"):
        return str(after)
    return f"{column} {_brief(after)}"


def _brief(value: Any) -> str:
    """An instant without date and fractions, everything else as it is."""
    text = "null" if value is None else str(value)
    return text[11:16] if len(text) >= 19 and text[4:5] == "-" and text[10:11] == "T" else text


def _only_counts(record: Record) -> bool:
    changes = record.fields.get("changes")
    if record.kind != "row" or record.fields.get("op") != "update" or not isinstance(changes, Mapping):
        return False
    telling = {name for name in changes if name in TELLING}
    return bool(telling) and telling <= _COUNTED


def _unfolded(fold: _Fold | None) -> list[Move]:
    if fold is None:
        return []
    repeats = len(fold.ids) - len(set(fold.ids))
    several = "chunk" if len(set(fold.ids)) == 1 else "chunks"
    many = f" ({len(fold.ids)} messages)" if repeats else ""
    prefix, mark, _ = fold.first.label.partition(": chunk ")
    prefix = f"{prefix}: " if mark else ""
    label = f"{prefix}{several} {number_ranges(fold.ids)} of {fold.image}{many}"
    moves = [replace(fold.first, label=label)]
    by_row: dict[str, list[tuple[Move, Record]]] = {}
    for move, record in fold.rows:
        by_row.setdefault(str(record.fields.get("key")), []).append((move, record))
    for rows in by_row.values():
        (_, first), (last_move, last) = rows[0], rows[-1]
        before, after = first.fields["changes"]["received_chunks"][0], last.fields["changes"]["received_chunks"][1]
        whole = {**last.fields, "changes": {"received_chunks": [before, after]}}
        moves.append(replace(last_move, label=row_words(whole) or last_move.label))
    return moves


def stamp(t_ms: int) -> str:
    """Scenario time as `03:00:00.503`, with days in front from the second one on: `1d 03:00:00.503`."""
    seconds, milliseconds = divmod(t_ms, 1_000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    text = f"{hour:02d}:{minute:02d}:{second:02d}.{milliseconds:03d}"
    return f"{days}d {text}" if days else text

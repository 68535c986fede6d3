"""A device's messages as a sequence diagram in plain text, for the paragraph that explains a failure. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from harness.history import History, Record
from harness.jsonable import json_line

LABEL_LENGTH_CHARS_MAX: Final = 72
_SHOWN_KINDS: Final = ("message", "row", "capture", "fault", "wake", "sleep", "server")


def sequence_lines(history: History, who: str | None = None, limit: int = 40) -> tuple[str, ...]:
    """What happened with one device (all of them: None), one line each, runs of chunks folded into one line.

    At most `limit` lines: the first third and the end, with a line between that counts what is left out.
    """
    records = [
        record for record in history.of_kind(*_SHOWN_KINDS) if who is None or record.who in (who, "server", "broker")
    ]
    lines = [_line(run) for run in _folded(records)]
    if len(lines) <= limit:
        return tuple(lines)
    head = max(1, limit // 3)
    tail = max(1, limit - head - 1)
    return (*lines[:head], f"... {len(lines) - head - tail} lines left out ...", *lines[-tail:])


def line_of(plain: Mapping[str, Any]) -> str:
    """One record of a history file as a line; serial lines and messages are shown whole."""
    fields = {key: value for key, value in plain.items() if key not in ("t_ms", "kind", "who")}
    record = Record(t_ms=plain["t_ms"], kind=plain["kind"], who=plain["who"], fields=fields)
    if record.kind == "serial":
        return f"{_stamp(record.t_ms)}  {record.who:<12} |  {fields.get('text', '')}"
    return _line([record])


def _folded(records: Sequence[Record]) -> list[list[Record]]:
    runs: list[list[Record]] = []
    for record in records:
        chunk = _chunk_key(record)
        if runs and chunk is not None and chunk == _chunk_key(runs[-1][-1]):
            runs[-1].append(record)
        else:
            runs.append([record])
    return runs


def _chunk_key(record: Record) -> tuple[str, str] | None:
    payload = record.fields.get("payload")
    if record.kind != "message" or not isinstance(payload, dict) or "chunk_id" not in payload:
        return None
    return record.who, str(payload.get("image_name"))


def _line(run: Sequence[Record]) -> str:
    record = run[0]
    label = _label(run)
    if len(label) > LABEL_LENGTH_CHARS_MAX:
        label = label[: LABEL_LENGTH_CHARS_MAX - 3] + "..."
    stamp = _stamp(record.t_ms)
    if record.kind != "message":
        return f"{stamp}  {record.who:<12} *  {record.kind}: {label}".rstrip(": ")
    arrow = "<--" if record.fields.get("direction") == "down" else "-->"
    channel = str(record.fields.get("topic", "")).rpartition("/")[2]
    return f"{stamp}  {record.who:<12} {arrow} {channel:<7} {label}"


def _label(run: Sequence[Record]) -> str:
    first, last = run[0], run[-1]
    payload = first.fields.get("payload")
    if _chunk_key(first) is not None and isinstance(payload, dict):
        ids = [str(item.fields["payload"]["chunk_id"]) for item in run]
        shown = ids[0] if len(run) == 1 else f"{ids[0]}..{last.fields['payload']['chunk_id']} ({len(ids)} messages)"
        return f"chunk {shown} of {payload.get('image_name')}"
    if first.kind == "message":
        return _message_label(payload)
    values = {key: value for key, value in first.fields.items() if value is not None and key != "sha256"}
    return ", ".join(f"{key} {value}" for key, value in sorted(values.items()))


def _message_label(payload: Any) -> str:
    if not isinstance(payload, dict):
        return str(payload)
    shown = {key: value for key, value in payload.items() if key not in ("device_id", "payload")}
    return json_line(shown)


def _stamp(t_ms: int) -> str:
    seconds, milliseconds = divmod(t_ms, 1_000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    text = f"{hour:02d}:{minute:02d}:{second:02d}.{milliseconds:03d}"
    return f"{days}d {text}" if days else text

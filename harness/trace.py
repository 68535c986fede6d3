"""Records of a history as lines, for a timeline. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from harness.history import Record
from harness.jsonable import json_line
from harness.sequence import stamp

LABEL_LENGTH_CHARS_MAX: Final = 72


def line_of(plain: Mapping[str, Any]) -> str:
    """One record of a history file as a line; serial lines and messages are shown whole."""
    fields = {key: value for key, value in plain.items() if key not in ("t_ms", "kind", "who")}
    record = Record(t_ms=plain["t_ms"], kind=plain["kind"], who=plain["who"], fields=fields)
    if record.kind == "serial":
        return f"{stamp(record.t_ms)}  {record.who:<12} |  {fields.get('text', '')}"
    when = stamp(record.t_ms)
    if record.kind != "message":
        return f"{when}  {record.who:<12} *  {record.kind}: {_values(fields)}".rstrip(": ")
    arrow = "<--" if fields.get("direction") == "down" else "-->"
    channel = str(fields.get("topic", "")).rpartition("/")[2]
    return f"{when}  {record.who:<12} {arrow} {channel:<7} {_message(fields.get('payload'))}"


def _values(fields: Mapping[str, Any]) -> str:
    values = {key: value for key, value in fields.items() if value is not None and key != "sha256"}
    return _cut(", ".join(f"{key} {value}" for key, value in sorted(values.items())))


def _message(payload: Any) -> str:
    if not isinstance(payload, dict):
        return _cut(str(payload))
    if "chunk_id" in payload:
        return _cut(f"chunk {payload['chunk_id']} of {payload.get('image_name')}")
    return _cut(json_line({key: value for key, value in payload.items() if key not in ("device_id", "payload")}))


def _cut(label: str) -> str:
    return label if len(label) <= LABEL_LENGTH_CHARS_MAX else label[: LABEL_LENGTH_CHARS_MAX - 3] + "..."

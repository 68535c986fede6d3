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
        return f"{when}  {record.who:<12} *  {record.kind}: {values_words(fields)}".rstrip(": ")
    arrow = "<--" if fields.get("direction") == "down" else "-->"
    channel = str(fields.get("topic", "")).rpartition("/")[2]
    return f"{when}  {record.who:<12} {arrow} {channel:<7} {message_words(fields.get('payload'))}"


def values_words(fields: Mapping[str, Any]) -> str:
    """`name value, name value`, cut where it is long."""
    values = {key: value for key, value in fields.items() if value not in (None, []) and key != "sha256"}
    return _cut(", ".join(f"{key} {_value(value)}" for key, value in sorted(values.items())))


def _value(value: Any) -> str:
    return " + ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def message_words(payload: Any) -> str:
    """A payload on one line; a chunk as `chunk 3 of image_1.jpg`."""
    if not isinstance(payload, dict):
        return _cut(str(payload))
    if "chunk_id" in payload:
        return _cut(f"chunk {payload['chunk_id']} of {payload.get('image_name')}")
    return _cut(json_line({key: value for key, value in payload.items() if key not in ("device_id", "payload")}))


def _cut(label: str) -> str:
    return label if len(label) <= LABEL_LENGTH_CHARS_MAX else label[: LABEL_LENGTH_CHARS_MAX - 3] + "..."

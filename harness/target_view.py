"""A target's tables in the shape of wakestorm's own: common table expressions before every query. Pure text.

Only rows of the cameras given are in it, so neither a check nor a scenario's SQL ever sees a row of somebody else's
device. Ids come as text; `device_id` is the one that the plan gives the camera.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from harness.target import OBJECT_COLUMNS, Target
from harness.target_tables import COLUMNS

_JUDGED: Final[dict[str, dict[str, str]]] = {
    "device_images": {
        "image_id": "text",
        "device_id": "text",
        "image_name": "text",
        "wire_image_name": "text",
        "captured_at": "timestamptz",
        "created_at": "timestamptz",
        "status": "text",
        "object_key": "text",
        "image_size": "int",
        "received_chunks": "int",
        "total_chunks": "int",
        "retry_count": "int",
        "max_retries": "int",
        "failed_at": "timestamptz",
    },
    "device_image_chunks": {"image_id": "text", "chunk_index": "int"},
    "device_wake_sessions": {
        "session_id": "text",
        "device_id": "text",
        "wake_timestamp": "timestamptz",
        "status": "text",
        "ended_at": "timestamptz",
        "hello_digest": "text",
    },
    "device_wake_payloads": {
        "payload_id": "text",
        "device_id": "text",
        "received_at": "timestamptz",
        "session_id": "text",
        "device_image_id": "text",
        "image_status": "text",
        "payload_status": "text",
        "protocol_state": "text",
        "is_complete": "bool",
    },
}
"""Columns that the evidence is made of, with their types: NULL where the target has none."""

_OR_ELSE: Final = {"wire_image_name": "image_name", "created_at": "captured_at"}

REQUIRED: Final = {
    "devices": ("device_id", "device_mac"),
    "device_images": ("device_id", "image_id", "image_name", "captured_at", "status"),
}
"""Without these nothing can be judged."""

_OF_IMAGE: Final = ("image_id", "device_image_id")


def quoted(name: str) -> str:
    """An SQL identifier; `schema.table` is two."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))


def literal(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"


def written_mac(mac: str, form: str) -> str:
    """A plain MAC as the target's database writes it."""
    text = ":".join(mac[at : at + 2] for at in range(0, len(mac), 2)) if form.startswith("colons") else mac
    return text.lower() if form.endswith("lower") else text


@dataclass(frozen=True, slots=True, kw_only=True)
class TheirTables:
    """What of wakestorm's tables a target has: own table -> own column -> the target's column."""

    target: Target
    columns: Mapping[str, Mapping[str, str]]

    def name(self, table: str) -> str:
        """The target's name of an own table, quoted."""
        return quoted(their_name(self.target, table))

    def has(self, table: str, *columns: str) -> bool:
        """Whether all of these are there."""
        return table in self.columns and set(columns) <= self.columns[table].keys()

    def column(self, table: str, column: str) -> str:
        """The target's name of a column, quoted, of a table called `t`."""
        return f"t.{quoted(self.columns[table][column])}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSeen:
    """A target that was looked at: its file, and what its database has."""

    target: Target
    file: str
    tables: TheirTables
    postgres_major: int


def their_name(target: Target, table: str) -> str:
    """What the target calls an own table."""
    names = target.tables.get(table)
    return table if names is None or names.table is None else names.table


def their_columns(target: Target, table: str, there: Sequence[str]) -> dict[str, str]:
    """Own column -> the target's, of those that are there."""
    names = target.tables.get(table)
    mapped = {} if names is None else names.columns
    wanted = {column: mapped.get(column, column) for column in COLUMNS[table]}
    if table == "device_images":
        wanted |= {column: mapped[column] for column in OBJECT_COLUMNS if column in mapped}
    return {own: theirs for own, theirs in wanted.items() if theirs in there}


def owner_of(columns: Mapping[str, Mapping[str, str]], table: str) -> str:
    """The column that says whose a row is; empty where none does, and the table can not be used."""
    there = columns[table]
    candidates = ("device_mac",) if table == "devices" else ("device_id", "device_mac", *_OF_IMAGE)
    return next((column for column in candidates if column in there), "")


def with_view(tables: TheirTables, devices: Mapping[str, str], query: str, *, filled: bool) -> str:
    """The query over these cameras' rows only; `devices` is MAC -> device id.

    `filled`: the columns of the evidence are all there, NULL where the target has none.
    """
    form = tables.target.devices.mac_form
    rows = [
        f"({literal(mac)}, {literal(written_mac(mac, form))}, {literal(device_id)})"
        for mac, device_id in sorted(devices.items())
    ] or ["(NULL::text, NULL::text, NULL::text)"]
    parts = [f"ws_own (device_mac, stored_mac, device_id) AS (VALUES {', '.join(rows)})"]
    mac, key = tables.column("devices", "device_mac"), tables.column("devices", "device_id")
    parts.append(
        f"ws_devices AS (SELECT {key} AS their_key, o.* FROM {tables.name('devices')} t"
        f" JOIN ws_own o ON {mac}::text = o.stored_mac)"
    )
    image, image_owner = tables.column("device_images", "image_id"), _join(tables, "device_images")
    parts.append(
        f"ws_images AS (SELECT {image} AS their_key, o.device_id FROM {tables.name('device_images')} t {image_owner})"
    )
    names = [*tables.columns, *(table for table in _JUDGED if filled and table not in tables.columns)]
    parts += [f"{table} AS ({_select(tables, table, filled=filled)})" for table in names]
    return f"WITH {', '.join(parts)} ({query.strip().rstrip(';')})"


def _join(tables: TheirTables, table: str) -> str:
    owner = owner_of(tables.columns, table)
    column = tables.column(table, owner)
    if owner == "device_mac":
        return f"JOIN ws_own o ON {column}::text = o.stored_mac"
    return f"JOIN {'ws_images' if owner in _OF_IMAGE else 'ws_devices'} o ON {column} = o.their_key"


def _select(tables: TheirTables, table: str, *, filled: bool) -> str:
    there = tables.columns.get(table, {})
    types = _JUDGED.get(table, {}) if filled else {}
    shown = {column: _shown(tables, table, column, types) for column in there if column not in OBJECT_COLUMNS}
    for column, kind in types.items():
        if column not in shown:
            shown[column] = shown.get(_OR_ELSE.get(column, ""), f"NULL::{kind}")
    shown |= _objects(tables) if table == "device_images" else {}
    text = ", ".join(f"{expression} AS {quoted(column)}" for column, expression in shown.items())
    if not there:
        return f"SELECT {text} WHERE false"
    return f"SELECT {text} FROM {tables.name(table)} t {_join(tables, table)}"


def _shown(tables: TheirTables, table: str, column: str, types: Mapping[str, str]) -> str:
    if column == "device_id":
        return "o.device_id"
    if column == "device_mac" and table == "devices":
        return "o.device_mac"
    expression = tables.column(table, column)
    names = tables.target.tables.get(table)
    if names is not None and (values := names.values.get(column)):
        whens = " ".join(f"WHEN {literal(theirs)} THEN {literal(own)}" for own, theirs in values.items())
        return f"CASE {expression}::text {whens} ELSE {expression}::text END"
    if column.endswith("_id"):
        return f"{expression}::text"
    return f"{expression}::{types[column]}" if column in types else expression


def _objects(tables: TheirTables) -> dict[str, str]:
    """Hash and size of the stored bytes, where the table has bytes or hash."""
    if tables.has("device_images", "object_bytes"):
        column = tables.column("device_images", "object_bytes")
        return {"object_sha256": f"encode(sha256({column}), 'hex')", "object_size_bytes": f"octet_length({column})"}
    if tables.has("device_images", "object_sha256"):
        column, has_size = tables.column("device_images", "object_sha256"), tables.has("device_images", "image_size")
        size = tables.column("device_images", "image_size") if has_size else "NULL"
        return {"object_sha256": f"lower({column}::text)", "object_size_bytes": f"{size}::int"}
    return {}

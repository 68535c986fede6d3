"""Rows as they change, for the history of a bench with boards: serial lines, messages and rows on one timeline.

Asked often and cheaply: two small SELECTs as the reader, never more than one in 100 ms, and only after something
happened. So a row's time is that of the look, up to 100 ms late; its order among rows is the database's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import asyncpg

from harness.bench.clock import ScenarioClock
from harness.history import History

AT_MOST_EVERY_S: Final = 0.1

_WATCHED: Final[Mapping[str, str]] = {
    "device_images": """
        SELECT i.image_id::text AS id, d.device_mac, i.image_name, i.status, i.received_chunks, i.total_chunks,
            i.retry_count
        FROM device_images i JOIN devices d USING (device_id) ORDER BY i.created_at, i.image_id
    """,
    "device_wake_sessions": """
        SELECT s.session_id::text AS id, d.device_mac, s.status
        FROM device_wake_sessions s JOIN devices d USING (device_id) ORDER BY s.wake_timestamp, s.session_id
    """,
}


class RowChanges:
    """What stood there at the last look, and how it differs now."""

    def __init__(self, history: History, clock: ScenarioClock, names: Mapping[str, str]) -> None:
        self._history = history
        self._clock = clock
        self._names = names
        self._known: dict[tuple[str, str], dict[str, Any]] = {}
        self._looked_at = 0
        self._due_s = 0.0

    async def look(self, reader: asyncpg.Connection) -> None:
        """Append a record for each row that is new or changed; a database that does not answer is asked again later."""
        now_s = asyncio.get_running_loop().time()
        if now_s < self._due_s or len(self._history) == self._looked_at:
            return
        self._due_s = now_s + AT_MOST_EVERY_S
        try:
            for table, query in _WATCHED.items():
                for row in await reader.fetch(query):
                    self._compare(table, dict(row))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            return
        self._looked_at = len(self._history)

    def _compare(self, table: str, row: dict[str, Any]) -> None:
        key = table, row.pop("id")
        who = self._names.get(row.pop("device_mac"), "stranger")
        before = self._known.get(key)
        self._known[key] = row
        changed = {name: value for name, value in row.items() if before is None or before[name] != value}
        if changed:
            image = {"image_name": row["image_name"]} if "image_name" in row else {}
            self._history.append(self._clock.elapsed_ms(), "row", who, table=table, **{**image, **changed})

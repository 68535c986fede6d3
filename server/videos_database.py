"""`wakestorm db stamp` and `db orphans`: the cures that seed 004 names for its first two common issues."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import asyncpg

from server.database import reached
from server.migrations.apply import current, history_of, is_behind, stamp
from server.serving import EXIT_USAGE, ServeError, place_of

_ORPHANS: Final = """
SELECT id, camera_pin_id FROM videos v
WHERE NOT EXISTS (SELECT 1 FROM camera_pins cp WHERE cp.id = v.camera_pin_id)
ORDER BY id
"""
_DELETE: Final = """
DELETE FROM videos v WHERE NOT EXISTS (SELECT 1 FROM camera_pins cp WHERE cp.id = v.camera_pin_id)
"""
_GIVE: Final = """
UPDATE videos v SET camera_pin_id = $1
WHERE NOT EXISTS (SELECT 1 FROM camera_pins cp WHERE cp.id = v.camera_pin_id)
"""


def stamped(url: str, revision: str) -> str:
    """Writes down that the database stands at the revision, runs nothing; returns the history. Raises ServeError."""
    history = history_of(revision)

    async def work() -> str:
        is_behind(history, revision, None)
        await stamp(url, revision, history=history)
        return history

    return reached(url, work())


def orphans(url: str) -> list[tuple[UUID, UUID]]:
    """(video, the pin that it names) of videos whose pin does not exist. Raises ServeError."""

    async def work() -> list[tuple[UUID, UUID]]:
        connection = await _connected(url)
        try:
            return [(row["id"], row["camera_pin_id"]) for row in await connection.fetch(_ORPHANS)]
        finally:
            await connection.close()

    return reached(url, work())


def mended(url: str, pin_id: UUID | None) -> int:
    """Gives orphaned videos that pin, or (None) deletes them; returns how many. Raises ServeError."""

    async def work() -> int:
        connection = await _connected(url)
        try:
            if pin_id is None:
                tag = await connection.execute(_DELETE)
            elif await connection.fetchval("SELECT count(*) FROM camera_pins WHERE id = $1", pin_id):
                tag = await connection.execute(_GIVE, pin_id)
            else:
                raise ServeError(f"there is no pin {pin_id}: nothing was changed", EXIT_USAGE)
        finally:
            await connection.close()
        return int(tag.split()[-1])

    return reached(url, work())


async def _connected(url: str) -> asyncpg.Connection[Any]:
    if await current(url, history="videos") is None:
        raise ServeError(f"{place_of(url)} has no videos: run `wakestorm db migrate`")
    return await asyncpg.connect(url, timeout=10)

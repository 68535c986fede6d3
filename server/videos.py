"""Malls, their camera pins, and the videos on them (seed 004)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, Final
from uuid import UUID

from server.clock import Clock
from server.ids import IdSource
from server.log import Log
from server.objects import ObjectStore, StoreFailed
from server.once import EVERY_TIME, Once
from server.queries import load
from server.reading import record
from server.store import BEFORE_ALL, Place, Store
from server.wire.states import UploadStatus

VIDEOS = load("videos.sql")

NAME_CHARS_MAX: Final = 255
ORIGINAL, PROXY = "original", "proxy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mall:
    """A place with cameras."""

    id: UUID
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A camera's place in a mall."""

    id: UUID
    mall_id: UUID
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """A recording of one pin. `original_path` and `proxy_path` are keys in the object store."""

    id: UUID
    mall_id: UUID
    pin_id: UUID
    filename: str
    file_size_bytes: int | None
    checksum_sha256: str | None
    original_path: str | None
    proxy_path: str | None
    width: int | None
    height: int | None
    fps: float | None
    codec: str | None
    duration_seconds: float | None
    recorded_at: datetime | None
    operator_notes: str | None
    uploaded_by_user_id: UUID | None
    upload_status: UploadStatus
    processing_status: str
    processing_job_id: str | None
    processing_error: str | None
    uploaded_at: datetime
    processing_started_at: datetime | None
    processing_completed_at: datetime | None
    created_at: datetime
    updated_at: datetime


def video_of(row: Any) -> Video:
    """The video of a row of videos."""
    return record(
        Video,
        row,
        fps=None if row["fps"] is None else float(row["fps"]),
        upload_status=UploadStatus(row["upload_status"]),
    )


def key_of(kind: str, *, mall_id: UUID, pin_id: UUID, video_id: UUID, part: str) -> str:
    """Where bytes of a video live: under ids, never under a name that somebody sent."""
    return f"videos/{mall_id}/{pin_id}/{kind}/{video_id}{part}"


def suffix_of(filename: str) -> str:
    """The name's ending, where it is a plain one."""
    suffix = PurePosixPath(filename).suffix.lower()
    return suffix if 1 < len(suffix) <= 8 and suffix[1:].isascii() and suffix[1:].isalnum() else ""


class Videos:
    """Reads and deletes; uploads are `server.video_uploads`, background work `server.jobs`."""

    def __init__(self, *, store: Store, objects: ObjectStore, clock: Clock, ids: IdSource, log: Log) -> None:
        self.store = store
        self.objects = objects
        self.clock = clock
        self.ids = ids
        self._log = log

    # -- malls and pins ------------------------------------------------------------------------------

    async def create_mall(self, name: str, once: Once = EVERY_TIME) -> Mall:
        """A new mall."""
        async with self._transaction() as connection:
            await once.begin(connection)
            mall = record(Mall, await connection.fetchrow(VIDEOS["create_mall"], self.ids(), name))
            await once.end(connection, mall)
        return mall

    async def malls(self, after: Place | None, limit: int) -> list[Mall]:
        """Malls, the oldest first."""
        start = after or BEFORE_ALL
        async with self._transaction() as connection:
            rows = await connection.fetch(VIDEOS["list_malls"], start.created_at, start.id, limit)
        return [record(Mall, row) for row in rows]

    async def mall(self, mall_id: UUID) -> Mall | None:
        """None where there is none."""
        async with self._transaction() as connection:
            row = await connection.fetchrow(VIDEOS["read_mall"], mall_id)
        return None if row is None else record(Mall, row)

    async def delete_mall(self, mall_id: UUID) -> bool:
        """The mall with its pins and videos; their bytes go with the next sweeps. False where there is none."""
        async with self._transaction() as connection:
            return await connection.fetchval(VIDEOS["delete_mall"], mall_id) is not None

    async def create_pin(self, mall_id: UUID, name: str, once: Once = EVERY_TIME) -> Pin | None:
        """A new pin of a mall; None where there is no such mall."""
        async with self._transaction() as connection:
            await once.begin(connection)
            row = await connection.fetchrow(VIDEOS["create_pin"], self.ids(), mall_id, name)
            pin = None if row is None else record(Pin, row)
            await once.end(connection, pin)
        return pin

    async def pins(self, mall_id: UUID, after: Place | None, limit: int) -> list[Pin]:
        """The pins of a mall, the oldest first."""
        start = after or BEFORE_ALL
        async with self._transaction() as connection:
            rows = await connection.fetch(VIDEOS["list_pins"], mall_id, start.created_at, start.id, limit)
        return [record(Pin, row) for row in rows]

    async def delete_pin(self, pin_id: UUID) -> bool:
        """The pin with its videos; their bytes go with the next sweeps. False where there is none."""
        async with self._transaction() as connection:
            return await connection.fetchval(VIDEOS["delete_pin"], pin_id) is not None

    # -- videos --------------------------------------------------------------------------------------

    async def video(self, video_id: UUID) -> Video | None:
        """The video, None where there is none."""
        async with self._transaction() as connection:
            row = await connection.fetchrow(VIDEOS["get_video"], video_id)
        return None if row is None else video_of(row)

    async def videos(self, mall_id: UUID | None, pin_id: UUID | None, after: Place | None, limit: int) -> list[Video]:
        """Videos of a mall, of a pin, or all (None), the oldest first; those under way too."""
        start = after or BEFORE_ALL
        async with self._transaction() as connection:
            rows = await connection.fetch(VIDEOS["list_videos"], mall_id, pin_id, start.created_at, start.id, limit)
        return [video_of(row) for row in rows]

    async def delete_video(self, video_id: UUID) -> bool:
        """The video with its jobs and its bytes, the bytes last. False where there is none."""
        async with self._transaction() as connection:
            await connection.fetchrow(VIDEOS["lock_upload"], video_id)
            parts = await connection.fetch(VIDEOS["drop_parts"], video_id)
            row = await connection.fetchrow(VIDEOS["delete_video"], video_id)
        if row is None:
            return False
        await self.forget([row["original_path"], row["proxy_path"], *(part["object_key"] for part in parts)])
        return True

    def blocks(self, key: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Bytes of a stored video, or a range of them."""
        return self.objects.blocks(key, start, length)

    async def forget(self, keys: Iterable[str | None]) -> None:
        """Remove objects that no row names; a failure is logged, and the sweep mends it."""
        for key in keys:
            if key is None or not key.startswith("videos/"):  # a path of phase 1 is not ours to delete
                continue
            try:
                await self.objects.delete(key)
            except StoreFailed as error:
                self._log("warning", f"[Videos] left for the sweep: {error}", device=None)

    def _transaction(self) -> Any:
        return self.store.transaction(self.clock.now())

"""A server's HTTP side on a real PostgreSQL and a store, without broker and without sockets; and what must be so."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
from PIL import Image

from server.app import App, Parts, Settings, open_pool
from server.ids import random_ids
from server.objects import ObjectStore
from server.offload import InlineOffload

START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


class HandClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.moment = START

    def now(self) -> datetime:
        return self.moment

    def advance(self, **step: float) -> None:
        self.moment += timedelta(**step)

    async def sleep_until(self, moment: datetime) -> None:
        self.moment = max(self.moment, moment)


@dataclass(eq=False)
class Rig:
    """One server, not started: its HTTP side and its services."""

    app: App
    pool: asyncpg.Pool[Any]
    clock: HandClock
    http: httpx.AsyncClient
    lines: list[str] = field(default_factory=list)

    async def rows(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        async with self.pool.acquire() as connection:
            return [dict(row) for row in await connection.fetch(query, *arguments)]

    async def project(self, name: str = "yard") -> UUID:
        answer = await self.http.post("/api/v1/projects", json={"name": name})
        assert answer.status_code == 201, answer.text
        return UUID(answer.json()["id"])

    async def upload(
        self, project_id: UUID, data: bytes, *styles: str, name: str = "photo.jpg", **said: str
    ) -> list[dict[str, Any]]:
        answer = await self.post_upload(project_id, data, *styles, name=name, **said)
        assert answer.status_code == 201, answer.text
        found: list[dict[str, Any]] = answer.json()
        return found

    async def post_upload(
        self, project_id: UUID, data: bytes, *styles: str, name: str = "photo.jpg", **said: str
    ) -> httpx.Response:
        return await self.http.post(
            f"/api/v1/projects/{project_id}/images",
            files={"file": (name, data, "image/jpeg")},
            data={"style": list(styles or ("original",)), **said},
        )

    async def keys(self) -> set[str]:
        pages = [page for prefix in PREFIXES for page in await self.app.objects.pages(prefix)]
        return {stored.key for page in pages for stored in page}

    async def clean_up(self) -> None:
        """What the monitor does, a day and more after everything."""
        originals = self.app.originals
        for _ in range(2):
            await originals.mend_counts()
            await originals.sweep()
            self.clock.advance(hours=25)
            await originals.clean_up_orphaned_originals()
            await originals.sweep()

    async def assert_sound(self, *, after_clean_up: bool = False) -> None:
        """References equal rows, every referenced byte is there; after the clean-up nothing else is."""
        originals = await self.rows("SELECT *, fn_count_original_references(id) AS real FROM original_images")
        images = await self.rows("SELECT * FROM images WHERE deleted_at IS NULL")
        keys = await self.keys()
        wrong = [row for row in originals if row["reference_count"] < row["real"]]
        assert not wrong, f"fewer references than rows: {wrong}"
        needed = {row["s3_key"] for row in originals}
        needed |= {row["processed_url"] for row in images if row["processed_url"]}
        needed |= {row["original_url"] for row in images if row["original_image_id"] is None}
        assert needed <= keys, f"rows without bytes: {sorted(needed - keys)}"
        if after_clean_up:
            assert all(row["reference_count"] == row["real"] > 0 for row in originals), originals
            assert keys == needed, f"bytes without rows: {sorted(keys - needed)}"


PREFIXES = ("originals", "processed", "uploads")


def jpeg(number: int, side_px: int = 24) -> bytes:
    """A small picture; another number, other bytes."""
    out = io.BytesIO()
    Image.new("RGB", (side_px, side_px), (90, 160, 70)).save(out, "JPEG", comment=str(number))
    return out.getvalue()


async def new_rig(dsn: str, objects: str | ObjectStore, clock: HandClock | None = None, **settings: Any) -> Rig:
    """A server on this database and store; `pool_size` and `dedup` are settings."""
    pool = await open_pool(dsn, size=settings.pop("pool_size", 4))
    clock = clock or HandClock()
    lines: list[str] = []
    parts = Parts(
        clock=clock,
        ids=random_ids(),
        pool=pool,
        offload=InlineOffload(),
        log=lambda level, line, *, device: lines.append(f"{level} {line}"),
        objects=objects if isinstance(objects, ObjectStore) else None,
    )
    url = objects if isinstance(objects, str) else ":memory:"
    settings.setdefault("insecure_local", True)
    app = App(Settings(database_url=dsn, mqtt_url="mqtt://127.0.0.1:1", objects_url=url, **settings), parts)
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app=app.asgi()), base_url="http://127.0.0.1")
    return Rig(app, pool, clock, http, lines)


def run(
    dsn: str, objects: Path | str, body: Callable[[Rig], Awaitable[None]], *, time_limit_s: float = 60, **settings: Any
) -> None:
    """The body with one server."""

    async def main() -> None:
        rig = await new_rig(dsn, str(objects), **settings)
        try:
            async with asyncio.timeout(time_limit_s):
                await body(rig)
        finally:
            await rig.http.aclose()
            rig.pool.terminate()

    asyncio.run(main())

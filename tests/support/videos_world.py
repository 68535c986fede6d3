"""A server's HTTP side with malls, pins and uploads; what must be so after everything."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from server.objects import ObjectStore
from tests.support.originals_world import HandClock, Rig, new_rig

API = "/api/v1"
PART = 1_024


class StandingClock(HandClock):
    """Waits never end by themselves: nothing happens that the test does not do."""

    async def sleep_until(self, moment: Any) -> None:
        if moment > self.moment:
            await asyncio.get_running_loop().create_future()


async def run_jobs(rig: Rig) -> None:
    """What the watch does at a look; returns when the jobs that it sent have been worked on, by the server itself."""
    side = rig.app.videos
    await side.watch.look()
    tasks = list(side._carrier._tasks)  # type: ignore[attr-defined]
    await asyncio.gather(*tasks)


@dataclass(eq=False)
class Yard:
    """A rig with one mall and its pin."""

    rig: Rig
    pin_id: str
    mall_id: str

    @property
    def http(self) -> httpx.AsyncClient:
        return self.rig.http

    async def new_pin(self, name: str = "car park") -> str:
        answer = await self.http.post(f"{API}/malls/{self.mall_id}/pins", json={"name": name})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def initiate(self, data: bytes, *, status: int = 201, **said: Any) -> dict[str, Any]:
        body = {"pin_id": self.pin_id, "filename": "a.mp4", "size_bytes": len(data), "part_size_bytes": PART} | said
        answer = await self.http.post(f"{API}/videos/uploads", json=body)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def put(self, upload: dict[str, Any], number: int, data: bytes, **headers: str) -> httpx.Response:
        part = upload["parts"][number - 1]
        piece = data[part["offset_bytes"] : part["offset_bytes"] + part["size_bytes"]]
        return await self.http.put(part["url"], content=piece, headers=headers)

    async def send(self, upload: dict[str, Any], data: bytes, order: Sequence[int] | None = None) -> None:
        for number in order or range(1, len(upload["parts"]) + 1):
            answer = await self.put(upload, number, data)
            assert answer.status_code == 200, answer.text

    async def complete(self, upload: dict[str, Any], *, status: int | None = 200, **said: str) -> dict[str, Any]:
        place = f"{API}/videos/{upload['video_id']}/upload/complete"
        answer = await self.http.post(place, json=said or None)
        assert status is None or answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json() | {"status_code": answer.status_code}
        return found

    async def stored(self, data: bytes, **said: Any) -> dict[str, Any]:
        upload = await self.initiate(data, **said)
        await self.send(upload, data)
        return await self.complete(upload)

    async def run_jobs(self) -> None:
        """As the function of that name."""
        await run_jobs(self.rig)

    async def sweep(self) -> None:
        """Two days later, as the monitor does it."""
        for _ in range(2):
            self.rig.clock.advance(hours=25)
            await self.rig.app.videos.uploads.expire()
            await self.rig.app.originals.sweep()

    async def keys(self) -> list[str]:
        return [stored.key for page in await self.rig.app.objects.pages("videos") for stored in page]

    async def assert_sound(self) -> None:
        """Every stored video has its bytes, to the hash; nothing else is stored; no failed one keeps a checksum."""
        videos = await self.rig.rows("SELECT * FROM videos")
        stored = [row for row in videos if row["upload_status"] == "uploaded"]
        for row in stored:
            data = await self.rig.app.objects.get(row["original_path"])
            assert hashlib.sha256(data).hexdigest() == row["checksum_sha256"]
        paths = {row[name] for row in stored for name in ("original_path", "proxy_path") if row[name]}
        assert sorted(await self.keys()) == sorted(paths)
        assert all(row["checksum_sha256"] is None for row in videos if row["upload_status"] != "uploaded")
        assert await self.rig.rows("SELECT * FROM video_upload_parts") == []


async def new_yard(dsn: str, objects: str | ObjectStore, clock: HandClock | None = None, **settings: Any) -> Yard:
    """A server with a mall and a pin."""
    rig = await new_rig(dsn, objects, clock or StandingClock(), **settings)
    mall = await rig.http.post(f"{API}/malls", json={"name": "Northgate"})
    yard = Yard(rig, "", mall.json()["id"])
    yard.pin_id = await yard.new_pin("entrance")
    return yard


def run(
    dsn: str, objects: Path | str, body: Callable[[Yard], Awaitable[None]], *, time_limit_s: float = 60, **settings: Any
) -> None:
    """The body with one server."""

    async def main() -> None:
        yard = await new_yard(dsn, str(objects), **settings)
        try:
            async with asyncio.timeout(time_limit_s):
                await body(yard)
        finally:
            await yard.rig.app.videos.close()
            await yard.http.aclose()
            yard.rig.pool.terminate()

    asyncio.run(main())

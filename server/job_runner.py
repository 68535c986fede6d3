"""One job done by one worker: claim, fetch the original, make the proxy in a limited process, store it, note it."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from server.clock import Clock
from server.jobs import RENEW_EVERY, Jobs, Lease
from server.log import Log
from server.objects import ObjectStore, StoreFailed
from server.offload import Offload, WorkFailed
from server.store import DATABASE_ERRORS
from server.video_media import VideoProperties, VideoRefused, make_proxy
from server.videos import PROXY, key_of


class JobRunner:
    """What a worker does with a job's id. `host` is what the row says of it."""

    def __init__(
        self, *, jobs: Jobs, objects: ObjectStore, offload: Offload, clock: Clock, log: Log, host: str
    ) -> None:
        self._jobs = jobs
        self._objects = objects
        self._offload = offload
        self._clock = clock
        self._log = log
        self._host = host

    async def run(self, job_id: UUID) -> bool:
        """Whether the job was this worker's and is done now; its errors go into its row, a lost lease ends it."""
        lease = await self._jobs.claim(job_id, self._host)
        if lease is None:
            return False
        work = asyncio.create_task(self._worked(lease))
        heart = asyncio.create_task(self._beating(lease, work))
        try:
            return await work
        except asyncio.CancelledError:
            if not work.cancelled():
                raise
            self._say("warning", "lost its lease, or was cancelled", lease)
            return False
        finally:
            work.cancel()
            heart.cancel()
            await asyncio.gather(work, heart, return_exceptions=True)

    async def _beating(self, lease: Lease, work: asyncio.Task[bool]) -> None:
        while True:
            await self._clock.sleep_until(self._clock.now() + RENEW_EVERY)
            with contextlib.suppress(*DATABASE_ERRORS):  # while the database is away the lease may run out
                if not await self._jobs.renew(lease):
                    work.cancel()
                    return

    async def _worked(self, lease: Lease) -> bool:
        try:
            with tempfile.TemporaryDirectory(prefix="wakestorm-proxy-") as folder:
                properties, key = await self._proxy(lease, Path(folder))
        except (VideoRefused, FileNotFoundError) as error:
            return await self._failed(lease, error, for_good=True)
        except (WorkFailed, StoreFailed, OSError) as error:
            return await self._failed(lease, error)
        result = {"width": properties.width, "height": properties.height, "fps": properties.fps}
        done = await self._jobs.complete(lease, result | {"codec": properties.codec}, key)
        if not done:
            with contextlib.suppress(StoreFailed):  # the sweep finds it
                await self._objects.delete(key)
        return done

    async def _proxy(self, lease: Lease, folder: Path) -> tuple[VideoProperties, str]:
        source, target = folder / "original", folder / "proxy.mp4"
        with source.open("wb") as file:
            async for block in self._objects.blocks(lease.original_path):
                await self._offload.call(_writing(file, block))
        properties = await self._offload.isolated(make_proxy, str(source), str(target))
        name = f"-{lease.token.hex[:12]}.mp4"
        key = key_of(PROXY, mall_id=lease.mall_id, pin_id=lease.pin_id, video_id=lease.video_id, part=name)
        with target.open("rb") as proxy:
            await self._objects.put_file(key, proxy)
        return properties, key

    async def _failed(self, lease: Lease, error: BaseException, *, for_good: bool = False) -> bool:
        words = f"{type(error).__name__}: {' '.join(str(error).split())}"
        self._say("warning", words[:300], lease)
        await self._jobs.fail(lease, words, for_good=for_good)
        return False

    def _say(self, level: str, words: str, lease: Lease) -> None:
        self._log(level, f"[Jobs] job {lease.job_id}: {words}", device=None)


def _writing(file: IO[bytes], block: bytes) -> Any:
    return lambda: file.write(block)

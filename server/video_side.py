"""The videos' side of a server, wired: rows, uploads, jobs, and who does the jobs."""

from __future__ import annotations

from server.clock import Clock
from server.ids import IdSource
from server.job_runner import JobRunner
from server.job_watch import Carrier, InProcessCarrier, JobWatch
from server.jobs import Jobs
from server.log import Log
from server.objects import ObjectStore
from server.offload import Offload
from server.store import Store
from server.video_uploads import VideoUploads
from server.videos import Videos


class VideoSide:
    """Without a carrier the server works on its jobs itself, in its own loop and by its own clock."""

    def __init__(
        self,
        *,
        store: Store,
        objects: ObjectStore,
        offload: Offload,
        clock: Clock,
        ids: IdSource,
        log: Log,
        carrier: Carrier | None,
        is_idle_quiet: bool,
    ) -> None:
        self.videos = Videos(store=store, objects=objects, clock=clock, ids=ids, log=log)
        self.jobs = Jobs(store, clock, ids)
        self.uploads = VideoUploads(self.videos, self.jobs, offload)
        runner = JobRunner(jobs=self.jobs, objects=objects, offload=offload, clock=clock, log=log, host="server")
        self._carrier = carrier or InProcessCarrier(runner.run)
        self.watch = JobWatch(jobs=self.jobs, carrier=self._carrier, clock=clock, log=log, is_idle_quiet=is_idle_quiet)
        self._log = log

    async def tidy(self) -> None:
        """Once a day: uploads that nobody finished expire; jobs that nobody watches are looked for."""
        expired = await self.uploads.expire()
        if expired:
            self._log("info", f"[Videos] Expired uploads: {expired}", device=None)
        self.watch.wake()

    async def close(self) -> None:
        """Lets the carrier go."""
        await self._carrier.close()

"""Background work on videos as rows: `processing_jobs` with their leases are the truth, whatever carries the work.

A job goes pending -> running -> completed | failed | cancelled, and back to pending while tries are left. A worker
holds it by a lease that it renews; who finds a lease run out takes the job back. Only the holder's token writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from server.clock import Clock
from server.ids import IdSource
from server.queries import load
from server.reading import record
from server.store import Connection, Store
from server.wire.states import JobStatus

JOBS = load("jobs.sql")

PROXY_GENERATION: Final = "proxy_generation"
ATTEMPTS_MAX: Final = 3
LEASE: Final = timedelta(seconds=30)
"""A worker that is not heard of for so long has lost its job."""

RENEW_EVERY: Final = timedelta(seconds=10)
BACKOFF: Final = timedelta(seconds=20)
"""Before the second try; as long again before each further one."""

SEND_AGAIN_AFTER: Final = timedelta(minutes=10)
LOST: Final = "the worker was lost: its lease ran out"


class JobConflict(ValueError):
    """What is asked of a job can't be done in its state; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A row of processing_jobs, and how often it was tried."""

    id: UUID
    video_id: UUID
    job_type: str
    status: JobStatus
    celery_task_id: str | None
    worker_hostname: str | None
    result_data: dict[str, Any] | None
    error_message: str | None
    queued_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    attempt: int
    attempts_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A job in the hands of one worker."""

    job_id: UUID
    token: UUID
    video_id: UUID
    mall_id: UUID
    pin_id: UUID
    original_path: str


class Jobs:
    """The queue. Database errors come as asyncpg raises them."""

    def __init__(self, store: Store, clock: Clock, ids: IdSource) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids

    # -- for whoever wants work done -----------------------------------------------------------------

    async def queue(self, connection: Connection, video_id: UUID, job_type: str = PROXY_GENERATION) -> UUID:
        """A new job, in the caller's transaction; `JobWatch` sends it once that has committed."""
        job_id, task_id = self._ids(), self._ids()
        await connection.fetchrow(JOBS["queue_job"], job_id, video_id, job_type, str(task_id), ATTEMPTS_MAX)
        return job_id

    async def queue_again(self, video_id: UUID, job_type: str) -> Job | None:
        """A new job for a stored video, None where there is none; raises JobConflict while one is under way."""
        async with self._transaction() as connection:
            if await connection.fetchval(JOBS["share_stored_video"], video_id) is None:
                return None
            live = await connection.fetchval(JOBS["live_job_of_video"], video_id, job_type)
            if live is not None:
                raise JobConflict(f"job {live} is at it already: wait for it, or cancel it")
            job_id = await self.queue(connection, video_id, job_type)
            return _job(await connection.fetchrow(JOBS["get_job"], job_id))

    async def job(self, job_id: UUID) -> Job | None:
        """The job, None where there is none."""
        async with self._transaction() as connection:
            row = await connection.fetchrow(JOBS["get_job"], job_id)
        return None if row is None else _job(row)

    async def jobs_of(self, video_id: UUID) -> list[Job]:
        """The jobs of a video, the newest first."""
        async with self._transaction() as connection:
            return [_job(row) for row in await connection.fetch(JOBS["list_jobs"], video_id)]

    async def cancel(self, job_id: UUID) -> Job | None:
        """Nobody works on it any more; raises JobConflict where it has ended, None where there is none."""
        async with self._transaction() as connection:
            row = await connection.fetchrow(JOBS["lock_job"], job_id)
            if row is None:
                return None
            if row["status"] not in (JobStatus.PENDING, JobStatus.RUNNING):
                raise JobConflict(f"job {job_id} is {row['status']} already")
            await self._end(connection, job_id, JobStatus.CANCELLED, error="cancelled by request")
            return _job(await connection.fetchrow(JOBS["get_job"], job_id))

    # -- for workers ---------------------------------------------------------------------------------

    async def claim(self, job_id: UUID, host: str) -> Lease | None:
        """The job for this worker alone, or None: it is done, cancelled, another's, or not due yet."""
        now, token = self._clock.now(), self._ids()
        async with self._store.transaction(now) as connection:
            row = await connection.fetchrow(JOBS["lock_job"], job_id)
            if row is None or row["status"] != JobStatus.PENDING or row["run_after"] > now:
                return None
            video: Any = await connection.fetchrow(JOBS["start_job"], job_id, host[:255], token, LEASE)
        return Lease(
            job_id=job_id,
            token=token,
            video_id=video["id"],
            mall_id=video["mall_id"],
            pin_id=video["pin_id"],
            original_path=video["original_path"],
        )

    async def renew(self, lease: Lease) -> bool:
        """The lease runs on; False where it is lost: stop working."""
        async with self._transaction() as connection:
            return await connection.fetchval(JOBS["renew_lease"], lease.job_id, lease.token, LEASE) is not None

    async def complete(self, lease: Lease, result: Mapping[str, Any], proxy_path: str) -> bool:
        """Done; False where the lease is lost, and nothing is written."""
        async with self._transaction() as connection:
            if not await self._holds(connection, lease):
                return False
            done = JobStatus.COMPLETED
            return await self._end(connection, lease.job_id, done, result=result, proxy_path=proxy_path)

    async def fail(self, lease: Lease, error: str, *, for_good: bool = False) -> bool:
        """Failed: tried again later while tries are left, unless it would fail again. False where the lease is lost."""
        async with self._transaction() as connection:
            if not await self._holds(connection, lease):
                return False
            await self._fail(connection, lease.job_id, error, for_good=for_good)
        return True

    # -- for the watch -------------------------------------------------------------------------------

    async def take_back_lost(self) -> int:
        """Jobs whose lease ran out are failed, to be tried again or for good; returns how many."""
        async with self._transaction() as connection:
            lost = [row["id"] for row in await connection.fetch(JOBS["lost_jobs"])]
            for job_id in lost:
                row = await connection.fetchrow(JOBS["lock_job"], job_id)
                if row is not None and row["status"] == JobStatus.RUNNING and row["leased_until"] <= self._clock.now():
                    await self._fail(connection, job_id, LOST)
        return len(lost)

    async def to_send(self) -> list[tuple[UUID, str]]:
        """(job, task) of those to be given to the carrier now; they count as sent."""
        async with self._transaction() as connection:
            rows = await connection.fetch(JOBS["jobs_to_send"], SEND_AGAIN_AFTER)
        return sorted((row["id"], row["celery_task_id"]) for row in rows)

    async def not_sent(self, job_id: UUID) -> None:
        """The carrier did not take it."""
        async with self._transaction() as connection:
            await connection.execute(JOBS["unsend_job"], job_id)

    async def are_any_live(self) -> bool:
        """Whether anything is pending or running."""
        async with self._transaction() as connection:
            return bool(await connection.fetchval(JOBS["any_live_job"]))

    # -- within a transaction ------------------------------------------------------------------------

    async def _holds(self, connection: Connection, lease: Lease) -> bool:
        row = await connection.fetchrow(JOBS["lock_job"], lease.job_id)
        return row is not None and row["status"] == JobStatus.RUNNING and row["token"] == lease.token

    async def _fail(self, connection: Connection, job_id: UUID, error: str, *, for_good: bool = False) -> None:
        row: Any = await connection.fetchrow(JOBS["get_job"], job_id)
        if for_good or row["attempt"] >= row["attempts_max"]:
            await self._end(connection, job_id, JobStatus.FAILED, error=error)
        else:
            pause = BACKOFF * row["attempt"]
            await connection.execute(JOBS["try_job_again"], job_id, error[:2_000], str(self._ids()), pause)

    @staticmethod
    async def _end(
        connection: Connection,
        job_id: UUID,
        status: JobStatus,
        *,
        result: Mapping[str, Any] | None = None,
        error: str | None = None,
        proxy_path: str | None = None,
    ) -> bool:
        told = None if error is None else error[:2_000]
        ended = await connection.fetchval(JOBS["end_job"], job_id, status.value, result, told, proxy_path)
        return ended is not None

    def _transaction(self) -> Any:
        return self._store.transaction(self._clock.now())


def _job(row: Any) -> Job:
    return record(Job, row, status=JobStatus(row["status"]))

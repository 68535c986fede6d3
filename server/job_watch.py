"""The watch over background jobs: gives pending ones to the carrier, takes them back from workers that are lost.

The rows say what is to be done; what the carrier forgets, or a worker that died held, is given out again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Final, Protocol
from uuid import UUID

from server.clock import Clock
from server.jobs import Jobs
from server.log import Log
from server.store import DATABASE_ERRORS

LOOK_EVERY: Final = timedelta(seconds=10)
"""With a lease of 30 s a killed worker's job is taken back within 40 s."""


class CarrierFailed(Exception):
    """The carrier is away; the message says what it said."""


class Carrier(Protocol):
    """Brings the id of a job to a worker, at least once, or forgets it."""

    async def send(self, job_id: UUID, task_id: str) -> None:
        """Returns when the carrier has it; raises CarrierFailed."""
        ...

    async def close(self) -> None:
        """Lets go; what is under way is found again by its lease."""
        ...


class InProcessCarrier:
    """Works in the server's own loop, one job after another: for benches, whose clock no other process shares."""

    def __init__(self, run: Callable[[UUID], Coroutine[Any, Any, Any]]) -> None:
        self._run = run
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(self, job_id: UUID, task_id: str) -> None:
        """Begins as soon as the job before is done."""
        task = asyncio.create_task(self._work(job_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, job_id: UUID) -> None:
        async with self._turn:
            try:
                await self._run(job_id)
            except DATABASE_ERRORS:  # its lease runs out
                return

    async def close(self) -> None:
        """Drops what is under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class JobWatch:
    """Looks every 10 s; with `is_idle_quiet` only while there are jobs, and when it is woken."""

    def __init__(self, *, jobs: Jobs, carrier: Carrier, clock: Clock, log: Log, is_idle_quiet: bool) -> None:
        self._jobs = jobs
        self._carrier = carrier
        self._clock = clock
        self._log = log
        self._is_idle_quiet = is_idle_quiet
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.set()

    async def run(self) -> None:
        """For ever; a database or a carrier that is away is asked again at the next look."""
        is_quiet = self._is_idle_quiet
        while True:
            await self._pause(is_quiet)
            self._woken.clear()
            try:
                is_quiet = not await self.look() and self._is_idle_quiet
            except DATABASE_ERRORS as error:
                is_quiet = False
                self._log("error", f"[Jobs] Database failed: {type(error).__name__}: {error}", device=None)

    async def _pause(self, is_quiet: bool) -> None:
        waits: set[asyncio.Task[object]] = {asyncio.create_task(self._woken.wait())}
        if not is_quiet:
            waits.add(asyncio.create_task(self._clock.sleep_until(self._clock.now() + LOOK_EVERY)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def look(self) -> bool:
        """Take back what is lost, send what is due; whether any job is under way."""
        if not await self._jobs.are_any_live():
            return False
        lost = await self._jobs.take_back_lost()
        if lost:
            self._log("warning", f"[Jobs] Taken back from lost workers: {lost}", device=None)
        for job_id, task_id in await self._jobs.to_send():
            try:
                await self._carrier.send(job_id, task_id)
            except CarrierFailed as error:
                await self._jobs.not_sent(job_id)
                self._log("error", f"[Jobs] not sent, will be tried again: {error}", device=None)
        return True

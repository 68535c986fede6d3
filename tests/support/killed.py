"""A server's work in a process of its own, which kills itself (-9) before one of its steps.

A step is a statement to PostgreSQL or an operation of the store.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from server.objects import ObjectStore
from tests.support.originals_world import HandClock, Rig, new_rig

Work = Callable[[Rig, list[str]], Awaitable[None]]

SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["tests.support.originals_world"])


def was_killed(dsn: str, folder: str, clock: HandClock, work: Work, ids: list[str], kill_before: int) -> bool:
    """Whether the work had so many steps; `work` is a module's function, with a server on this database and folder."""
    process = SPAWN.Process(target=_worked, args=(dsn, folder, clock, work, ids, kill_before))
    process.start()
    process.join(300)
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode != 0


def _worked(dsn: str, folder: str, clock: HandClock, work: Work, ids: list[str], kill_before: int) -> None:
    count = 0

    def stepped(target: Any, name: str) -> None:
        real = getattr(target, name)

        async def call(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == kill_before:
                os.kill(os.getpid(), signal.SIGKILL)
            return await real(*arguments, **options)

        setattr(target, name, call)

    async def body() -> None:
        rig = await new_rig(dsn, folder, clock)
        for name in ("execute", "executemany", "fetch", "fetchmany", "fetchrow", "fetchval"):
            stepped(asyncpg.Connection, name)
        stepped(ObjectStore, "_call")
        await work(rig, ids)

    asyncio.run(body())

"""Waiting for a change on scenario time: it ends with the change or with its time, never before."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from harness.bench.clock import Changes, ScenarioClock
from harness.bench.processes_time import Pacer
from harness.bench.virtual.loop import VirtualLoop


def run(work: Coroutine[Any, Any, None]) -> None:
    loop = VirtualLoop()
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()


def test_a_wait_ends_with_the_next_change() -> None:
    async def body() -> None:
        clock, changes = ScenarioClock(0), Changes()
        clock.call_at(30, changes.notify)
        assert await changes.wait(clock, 100)
        assert clock.now_ms() == 30

    run(body())


def test_a_wait_that_timed_out_does_not_end_the_next_one() -> None:
    """It did: whoever waited after a timeout span without end, and no virtual time passed."""

    async def body() -> None:
        clock, changes = ScenarioClock(0), Changes()
        assert not await changes.wait(clock, 100)
        assert not await changes.wait(clock, 250)
        assert clock.now_ms() == 250

    run(body())


def test_every_waiting_task_hears_of_a_change_and_each_keeps_its_own_limit() -> None:
    async def body() -> None:
        clock, changes = ScenarioClock(0), Changes()
        first = asyncio.ensure_future(changes.wait(clock, 50))
        second = asyncio.ensure_future(changes.wait(clock, 500))
        third = asyncio.ensure_future(changes.wait(clock, 500))
        clock.call_at(80, changes.notify)
        assert not await first
        assert await asyncio.gather(second, third) == [True, True]
        assert clock.now_ms() == 80

    run(body())


class Asleep:
    """Devices that sleep, and a server with a clock of its own that has something to say at 5,000 ms."""

    def __init__(self, clock: ScenarioClock, said: list[tuple[str, int, int]]) -> None:
        self.clock, self.said = clock, said

    def is_quiet(self) -> bool:
        return True

    async def rested(self) -> int | None:
        return 5_000

    async def step_servers(self, to_ms: int) -> None:
        await asyncio.sleep(0.03)
        moment_ms = int(self.clock.now().timestamp() * 1000)
        self.said.append(("server", self.clock.now_ms(), moment_ms))


def test_what_servers_do_when_time_jumps_bears_the_time_to_which_it_jumps() -> None:
    """It bore the time before the jump, which depends on how long the devices were awake."""

    async def body() -> None:
        clock, said = ScenarioClock(0), list[tuple[str, int, int]]()
        pacer = Pacer(clock, Asleep(clock, said), lambda: asyncio.sleep(0))
        pacer.start()
        there = asyncio.Event()
        clock.call_at(5_000, there.set)
        await pacer.wait_for(there.wait())
        said.append(("device", clock.now_ms(), clock.elapsed_ms()))
        await pacer.stop()
        assert said == [("server", 5_000, 5_000), ("device", 5_000, 5_000)]

    run(body())

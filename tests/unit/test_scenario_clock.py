"""Waiting for a change on scenario time: it ends with the change or with its time, never before."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from harness.bench.clock import Changes, ScenarioClock
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

"""Scenario time over real time: it passes as it passes while anything goes on, and jumps while everybody sleeps.

A jump goes to the next moment that anybody waits for, a server's monitor too, so that what is due comes in order. It
happens only while the runner waits for time, all devices sleep and the servers have worked everything off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from harness.bench.clock import Changes, ScenarioClock, stirred

LOOK_EVERY_S: Final = 0.05
LOOK_AT_MOST_EVERY_S: Final = 0.005
JUMP_MIN_MS: Final = 20
"""What is due earlier is waited for."""


class Sleepers(Protocol):
    """What may be asleep: the bench's devices and servers."""

    def is_quiet(self) -> bool:
        """No device does anything, and nothing is being started, stopped or healed."""
        ...

    async def rested(self) -> int | None:
        """Scenario time of the next thing that a server waits for; now, while one has something to do."""
        ...

    async def step_servers(self, to_ms: int) -> None:
        """Bring the servers' clocks to that scenario time."""
        ...


class Pacer:
    """Looks often, calls `on_look` each time, and jumps where it can."""

    def __init__(self, clock: ScenarioClock, sleepers: Sleepers, on_look: Callable[[], Awaitable[None]]) -> None:
        self._clock = clock
        self._sleepers = sleepers
        self._on_look = on_look
        self._waiting = 0
        self._stir = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.jumps = 0

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End; what went wrong is told to those who wait, not here."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def stir(self) -> None:
        """Something happened: look soon."""
        self._stir.set()

    async def wait_for(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of `work`, which waits for time; time may jump meanwhile. Raises what a look raised."""
        assert self._task is not None, "the bench has started"
        task = asyncio.get_running_loop().create_task(work)
        try:
            with self._a_waiter():
                await asyncio.wait((task, self._task), return_when=asyncio.FIRST_COMPLETED)
            if self._task.done() and not task.done():
                self._task.result()
            return await task
        finally:
            task.cancel()

    @contextmanager
    def _a_waiter(self) -> Iterator[None]:
        self._waiting += 1
        self._stir.set()
        try:
            yield
        finally:
            self._waiting -= 1

    async def _run(self) -> None:
        while True:
            await stirred(self._stir, not_before_s=LOOK_AT_MOST_EVERY_S, at_last_s=LOOK_EVERY_S)
            await self._on_look()
            while self._may_jump() and await self._jump():
                await self._on_look()

    def _may_jump(self) -> bool:
        return self._waiting > 0 and self._sleepers.is_quiet()

    async def _jump(self) -> bool:
        """Whether time was moved on."""
        server_ms = await self._sleepers.rested()
        due = [at_ms for at_ms in (server_ms, self._clock.next_due_ms()) if at_ms is not None]
        if not due or not self._may_jump() or min(due) - self._clock.now_ms() < JUMP_MIN_MS:
            return False
        with self._clock.moved_to(min(due)):
            await self._sleepers.step_servers(min(due))
        self.jumps += 1
        await asyncio.sleep(0)
        return True


class RealTimeChanges(Changes):
    """As `Changes`, but who waits lets time jump."""

    def __init__(self) -> None:
        super().__init__()
        self.pacer: Pacer | None = None

    async def wait(self, clock: ScenarioClock, until_ms: int) -> bool:
        """True after the next `notify`, False when `until_ms` came first."""
        assert self.pacer is not None, "the bench has started"
        return bool(await self.pacer.wait_for(super().wait(clock, until_ms)))

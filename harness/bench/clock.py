"""Scenario time: milliseconds since 1970 that start at the scenario's `start` and follow the running loop.

On the virtual loop it is exact; in the processes bench it follows real time and can be moved on (`moved_to`).
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def moment_of(ms: int) -> datetime:
    """Milliseconds since 1970 as an aware UTC datetime."""
    return EPOCH + timedelta(milliseconds=ms)


class Timer:
    """A call at a scenario time; `cancel` takes it back."""

    __slots__ = ("at_ms", "callback", "handle", "is_done")

    def __init__(self, at_ms: int, callback: Callable[[], None]) -> None:
        self.at_ms = at_ms
        self.callback = callback
        self.handle: asyncio.TimerHandle | None = None
        self.is_done = False

    def cancel(self) -> None:
        """The call does not happen."""
        self.is_done = True
        if self.handle is not None:
            self.handle.cancel()

    def fire(self) -> None:
        """Make the call, once."""
        if not self.is_done:
            self.is_done = True
            self.callback()


class ScenarioClock:
    """Now, and calls at later times. `server.clock.Clock` too: `now()` and `sleep_until()`.

    `zero_s` is the loop's time at `start_ms`; None: now.
    """

    def __init__(self, start_ms: int, zero_s: float | None = None) -> None:
        self.start_ms = start_ms
        self._loop = asyncio.get_running_loop()
        self._zero_s = self._loop.time() if zero_s is None else zero_s
        self._stepped_ms = 0
        self._standing_ms = 0
        self._timers: list[tuple[int, int, Timer]] = []
        self._count = 0

    def now_ms(self) -> int:
        """Scenario time, milliseconds since 1970."""
        return self.start_ms + self.elapsed_ms()

    def elapsed_ms(self) -> int:
        """Milliseconds since the scenario's start."""
        elapsed_ms = self._stepped_ms + int((self._loop.time() - self._zero_s) * 1000 + 1e-6)
        return max(elapsed_ms, self._standing_ms) if self._standing_ms else elapsed_ms

    def now(self) -> datetime:
        """Scenario time, aware, UTC, to the microsecond of the loop."""
        elapsed_us = round((self._loop.time() - self._zero_s) * 1_000_000)
        running = moment_of(self.start_ms + self._stepped_ms) + timedelta(microseconds=elapsed_us)
        return max(running, moment_of(self.start_ms + self._standing_ms)) if self._standing_ms else running

    async def sleep_until(self, moment: datetime) -> None:
        """Return once `now()` has reached `moment`."""
        while (left := moment - self.now()) > timedelta():
            await asyncio.sleep(left.total_seconds())

    def call_at(self, at_ms: int, callback: Callable[[], None]) -> Timer:
        """Call once scenario time is `at_ms`, at once where it is past."""
        timer = Timer(at_ms, callback)
        while self._timers and self._timers[0][2].is_done:  # else each would be kept for ever
            heapq.heappop(self._timers)
        self._count += 1
        heapq.heappush(self._timers, (at_ms, self._count, timer))
        self._schedule(timer)
        return timer

    def _schedule(self, timer: Timer) -> None:
        due_s = self._zero_s + (timer.at_ms - self.start_ms - self._stepped_ms) / 1000
        timer.handle = self._loop.call_at(max(due_s, self._loop.time()), timer.fire)

    def next_due_ms(self) -> int | None:
        """Scenario time of the next call."""
        return min((timer.at_ms for _, _, timer in self._timers if not timer.is_done), default=None)

    @contextmanager
    def moved_to(self, at_ms: int) -> Iterator[None]:
        """Within the block time stands at `at_ms`, and what is due waits; after it time goes on from there.

        What others do who come there first, such as servers with clocks of their own, thus happens at that time.
        """
        self._standing_ms = at_ms - self.start_ms
        try:
            yield
        finally:
            self._standing_ms = 0
            self._step(max(0, at_ms - self.now_ms()))

    def _step(self, step_ms: int) -> None:
        """Timers that are due now fire, the others come so much earlier."""
        self._stepped_ms += step_ms
        waiting = [entry for entry in self._timers if not entry[2].is_done]
        self._timers = waiting
        heapq.heapify(self._timers)
        for _, _, timer in sorted(waiting, key=lambda entry: entry[:2]):
            if timer.handle is not None:
                timer.handle.cancel()
            self._schedule(timer)


async def stirred(stir: asyncio.Event, *, not_before_s: float, at_last_s: float) -> None:
    """Waits `not_before_s`, then for `stir`, but no longer than `at_last_s`; `stir` is clear afterwards."""
    await asyncio.sleep(not_before_s)
    try:
        async with asyncio.timeout(at_last_s):
            await stir.wait()
    except TimeoutError:
        pass
    stir.clear()


class Changes:
    """Tells waiting tasks that something happened; each looks for itself whether it was what it waits for."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[bool]] = []

    def notify(self) -> None:
        """Something happened."""
        waiting, self._waiting = self._waiting, []
        for woken in waiting:
            if not woken.done():
                woken.set_result(True)

    async def wait(self, clock: ScenarioClock, until_ms: int) -> bool:
        """True after the next `notify`, False when `until_ms` came first."""
        woken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(woken)
        timer = clock.call_at(until_ms, lambda: None if woken.done() else woken.set_result(False))
        try:
            return await woken
        finally:
            timer.cancel()
            if woken in self._waiting:
                self._waiting.remove(woken)

"""Deadlines of thousands of cameras on one timer of the loop: a heap entry costs a fraction of a timer.

A cancelled entry stays in the heap until its time has come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush


class Deadline:
    """One entry. `cancel` may be called at any time, also after it was called back."""

    __slots__ = ("at_s", "callback")

    def __init__(self, at_s: float, callback: Callable[[], None]) -> None:
        self.at_s = at_s
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """It is not called back."""
        self.callback = None

    def __lt__(self, other: Deadline) -> bool:
        return self.at_s < other.at_s


class Deadlines:
    """Callbacks at times of the loop's clock, the earliest first; never before their time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[Deadline] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at_s = 0.0

    def call_at(self, at_s: float, callback: Callable[[], None]) -> Deadline:
        """Call then."""
        deadline = Deadline(at_s, callback)
        heappush(self._heap, deadline)
        self._arm(at_s)
        return deadline

    def _arm(self, at_s: float) -> None:
        if self._timer is not None:
            if self._timer_at_s <= at_s:
                return
            self._timer.cancel()
        self._timer, self._timer_at_s = self._loop.call_at(at_s, self._due), at_s

    def _due(self) -> None:
        self._timer = None
        heap, now_s = self._heap, self._loop.time()
        while heap and (heap[0].callback is None or heap[0].at_s <= now_s):
            callback = heappop(heap).callback
            if callback is not None:
                callback()
        if heap:
            self._arm(heap[0].at_s)

"""Which devices to look at again, and when: one heap and one waiting task, whatever the size of the fleet.

A hint, never the truth: after a restart the sweep fills it again from the open sessions.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from datetime import datetime

from server.clock import Clock


class Watchlist:
    """Calls `on_due(mac)` when a device's time has come; of several times for one device each counts once."""

    def __init__(self, clock: Clock, on_due: Callable[[str], None]) -> None:
        self._clock = clock
        self._on_due = on_due
        self._heap: list[tuple[datetime, str]] = []
        self._listed: dict[str, datetime] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._listed)

    def add(self, mac: str, at: datetime) -> None:
        """Look at that device at that time, or at the earlier one that it is listed for."""
        listed = self._listed.get(mac)
        if listed is not None and listed <= at:
            return
        self._listed[mac] = at
        heapq.heappush(self._heap, (at, mac))
        if self._heap[0] == (at, mac):
            self._changed.set()

    async def run(self) -> None:
        """Wait for the next time, for ever."""
        while True:
            self._changed.clear()
            if not self._heap:
                await self._changed.wait()
                continue
            at = self._heap[0][0]
            if self._clock.now() < at:
                await self._wait_until(at)
            self._call_due()

    async def _wait_until(self, at: datetime) -> None:
        sleeping = asyncio.ensure_future(self._clock.sleep_until(at))
        changed = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait((sleeping, changed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            changed.cancel()

    def _call_due(self) -> None:
        now = self._clock.now()
        while self._heap and self._heap[0][0] <= now:
            at, mac = heapq.heappop(self._heap)
            if self._listed.get(mac) == at:
                del self._listed[mac]
                self._on_due(mac)

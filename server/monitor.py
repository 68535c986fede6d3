"""Every 5 minutes: images past their window are failed and retried, commands expire, nothing is left lying.

The decisions are SQL's (`timeout_stale_images`, design 9.3); this is the clock behind them, and the sweep for images or
sessions that a server which died left in the middle.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from server.clock import Clock
from server.intake import DATABASE_ERRORS, Intake
from server.log import Log
from server.queries import load
from server.store import Store

MONITOR = load("monitor.sql")


@dataclass(frozen=True, slots=True)
class Tick:
    """What one tick did."""

    timed_out: tuple[dict[str, Any], ...]
    swept: int


class Monitor:
    """Calls `tick` every `every`, for ever; a database that is away is tried again at the next."""

    def __init__(self, *, store: Store, intake: Intake, clock: Clock, log: Log, every: timedelta) -> None:
        self._store = store
        self._intake = intake
        self._clock = clock
        self._log = log
        self._every = every
        self.is_busy = False

    async def run(self) -> None:
        """Sweep at once, then tick, for ever."""
        await self._try(self.sweep)
        due = self._clock.now() + self._every
        while True:
            await self._clock.sleep_until(due)
            await self._try(self.tick)
            due = max(due + self._every, self._clock.now())

    async def _try(self, work: Any) -> None:
        self.is_busy = True
        try:
            await work()
        except DATABASE_ERRORS as error:
            self._log("error", f"[Monitor] Database failed: {type(error).__name__}: {error}", device=None)
        finally:
            self.is_busy = False

    async def tick(self) -> Tick:
        """One round: time out and retry, one transaction an image; expire commands; sweep."""
        if not await self._store.is_anything_due(self._clock.now()):
            return Tick((), 0)
        async with self._store.transaction(self._clock.now()) as connection:
            stale = [row["image_id"] for row in await connection.fetch(MONITOR["stale_images"])]
            expired = await connection.fetch(MONITOR["expire_commands"])
        rows: list[dict[str, Any]] = []
        for image_id in stale:
            async with self._store.transaction(self._clock.now()) as connection:
                rows.extend(dict(row) for row in await connection.fetch(MONITOR["timeout_image"], image_id))
        for row in rows:
            self._log("warning", f"[Monitor] Timed out: {row['image_name']}", device=row["device_mac"])
        if expired:
            self._log("info", f"[Monitor] Expired commands: {len(expired)}", device=None)
        return Tick(tuple(rows), await self.sweep())

    async def sweep(self) -> int:
        """Complete whole images that nobody completed, and watch sessions that nobody watches; returns how many."""
        whole, sessions = await self._store.unfinished()
        for image_id in whole:
            await self._intake.send_all(await self._intake.complete(image_id))
        for mac, _ in sessions:
            self._intake.watchlist.add(mac, self._clock.now())
        return len(whole)

"""Every 5 minutes: images past their window are failed and retried, commands expire, nothing is left lying.

The decisions are SQL's (`timeout_stale_images`, design 9.3); this is the clock behind them, and the sweep for images or
sessions that a server which died left in the middle.

Among several servers one leads: each transaction of a round tries the same advisory lock, and who does not get it
leaves the round to the other. The lock ends with its transaction, so a leader that dies frees it at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from server.clock import Clock
from server.intake import Intake
from server.log import Log
from server.store import DATABASE_ERRORS, MONITOR, Look, Store
from server.upkeep import Upkeep


@dataclass(frozen=True, slots=True)
class Tick:
    """What one tick did. `is_leader` False: another server was at it, and what is left is its work."""

    timed_out: tuple[dict[str, Any], ...]
    expired: int = 0
    swept: int = 0
    is_leader: bool = True

    def report(self, now: datetime) -> dict[str, Any]:
        """Seed 002's answer of `monitor_image_timeouts`, as JSON values."""
        return {
            "success": True,
            "summary": {
                "images_timed_out": len(self.timed_out),
                "retries_queued": sum(1 for row in self.timed_out if row["retry_queued"]),
                "failed_to_queue": sum(1 for row in self.timed_out if row["queue_error"]),
            },
            "processed_images": [{key: _plain(value) for key, value in row.items()} for row in self.timed_out],
            "timestamp": now.isoformat(),
        }


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, int | str | None) else str(value)


async def time_out(store: Store, clock: Clock) -> Tick:
    """One round on a database: fail stale images, one transaction each, queue their retries, expire commands."""
    rows: list[dict[str, Any]] = []
    async with store.transaction(clock.now()) as connection:
        if not await connection.fetchval(MONITOR["try_to_lead"]):
            return Tick((), is_leader=False)
        stale = [row["image_id"] for row in await connection.fetch(MONITOR["stale_images"])]
        expired = await connection.fetch(MONITOR["expire_commands"])
        await connection.execute(MONITOR["forget_staged"])
    for image_id in stale:
        async with store.transaction(clock.now()) as connection:
            if not await connection.fetchval(MONITOR["try_to_lead"]):
                return Tick(tuple(rows), len(expired), is_leader=False)
            rows.extend(dict(row) for row in await connection.fetch(MONITOR["timeout_image"], image_id))
    return Tick(tuple(rows), len(expired))


class Monitor:
    """Calls `tick` every `every`, for ever; a database that is away is tried again at the next.

    `changes` counts what anybody has written, where that can be known (a bench that lets transactions in one by one):
    then a look whose answer can not have changed is spared. A server of its own looks every time.
    """

    def __init__(
        self,
        *,
        store: Store,
        intake: Intake,
        clock: Clock,
        log: Log,
        every: timedelta,
        changes: Callable[[], int] | None = None,
        upkeep: Upkeep | None = None,
    ) -> None:
        self._store = store
        self._intake = intake
        self._clock = clock
        self._log = log
        self._every = every
        self._upkeep = upkeep
        self._changes = changes
        self._quiet_since: int | None = None
        self._due_at: datetime | None = None
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
        """One round: time out and retry, one transaction an image; expire commands; sweep, leader or not."""
        now = self._clock.now()
        look = None if self._is_quiet(now) else await self._store.look()
        is_due = look is not None and look.due_at is not None and look.due_at <= now
        if self._upkeep is not None and (is_due or self._upkeep.is_sweep_due(now)):
            await self._upkeep.tick(now)
        if look is None:
            return Tick(())
        self._due_at = look.due_at
        self._quiet_since = None if look.whole or look.in_session or self._changes is None else self._changes()
        tick = Tick(())
        if is_due:
            tick = await time_out(self._store, self._clock)
            for row in tick.timed_out:
                self._log("warning", f"[Monitor] Timed out: {row['image_name']}", device=row["device_mac"])
            if tick.expired:
                self._log("info", f"[Monitor] Expired commands: {tick.expired}", device=None)
        return replace(tick, swept=await self._sweep(look))

    def _is_quiet(self, now: datetime) -> bool:
        """The last look found nothing to sweep, nothing was written since, and nothing has come due."""
        if self._changes is None or self._quiet_since != self._changes():
            return False
        return self._due_at is None or now < self._due_at

    async def sweep(self) -> int:
        """Complete whole images that nobody completed, and watch sessions that nobody watches; returns how many."""
        return await self._sweep(await self._store.look())

    async def _sweep(self, look: Look) -> int:
        for image_id in look.whole:
            await self._intake.send_all(await self._intake.complete([image_id]))
        for mac in look.in_session:
            self._intake.watchlist.add(mac, self._clock.now())
        return len(look.whole)

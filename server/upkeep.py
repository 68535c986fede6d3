"""What the monitor does for originals: the clean-up at each tick; counts, stored objects and keys at midnight (UTC)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from server.accounts import forget_sign_ins
from server.log import Log
from server.objects import StoreFailed
from server.once import forget_keys
from server.originals import Originals
from server.store import MONITOR
from server.video_side import VideoSide

DAY: Final = timedelta(days=1)
COPIES_ASIDE_KEPT_FOR: Final = timedelta(days=30)
"""Damaged copies of images that came whole later, or were given up."""


class Upkeep:
    """Safe on several servers at once: whatever goes, goes under the lock of its hash."""

    def __init__(self, originals: Originals, videos: VideoSide, log: Log) -> None:
        self._originals = originals
        self._videos = videos
        self._log = log
        self._next_sweep: datetime | None = None

    def is_sweep_due(self, now: datetime) -> bool:
        """Whether midnight (UTC) has passed since the last sweep, or since the first question."""
        if self._next_sweep is None:
            self._next_sweep = _next_midnight(now)
        return now >= self._next_sweep

    async def tick(self, now: datetime) -> None:
        """Orphaned originals go after their grace; once a day counts are compared, and what is old swept."""
        try:
            await self._originals.clean_up_orphaned_originals()
            if self.is_sweep_due(now):
                self._next_sweep = _next_midnight(now)
                await self._videos.tidy()
                await self._originals.mend_counts()
                await self._originals.sweep()
                async with self._originals.store.transaction(now) as connection:
                    await forget_keys(connection)
                    await forget_sign_ins(connection, now)
                    await connection.execute(MONITOR["forget_copies_aside"], COPIES_ASIDE_KEPT_FOR)
        except StoreFailed as error:
            self._log("error", f"[Originals] cleanup failed: {error}", device=None)


def _next_midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + DAY

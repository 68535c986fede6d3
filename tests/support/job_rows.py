"""Rows of processing_jobs that workers of other processes write, by the machine's own time."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from tests.support.originals_world import Rig
from tests.support.videos_world import StandingClock

WITHIN_S = 90


def at_present() -> StandingClock:
    """A clock that stands where the machine's is now: workers have no other."""
    clock = StandingClock()
    clock.moment = datetime.fromtimestamp(time.time(), UTC)
    return clock


async def until(rig: Rig, status: str, count: int = 1) -> dict[str, Any]:
    """The oldest of so many jobs that are in this state; AssertionError where there never are."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        rows = await rig.rows("SELECT * FROM processing_jobs ORDER BY queued_at")
        found = [row for row in rows if row["status"] == status]
        if len(found) >= count:
            return found[0]
    raise AssertionError(f"never {status}: {rows}")

"""The door to time: every "now" of the server and every wait comes from a Clock.

`SystemClock` is the product's; `SteppedClock` (`wakestorm serve --test-clock`) can be moved on by a test bench. The
embedded bench passes a virtual one of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the server needs of time."""

    def now(self) -> datetime:
        """The present, aware, UTC."""
        ...

    async def sleep_until(self, moment: datetime) -> None:
        """Return once `now()` has reached `moment`."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """The present, aware, UTC."""
        return datetime.now(UTC)

    async def sleep_until(self, moment: datetime) -> None:
        """Return once `now()` has reached `moment`."""
        while (left := (moment - self.now()).total_seconds()) > 0:
            await asyncio.sleep(left)


class SteppedClock:
    """The machine's time plus an offset that `advance` moves on; waits notice at once."""

    def __init__(self, start: datetime | None = None) -> None:
        self._base = SystemClock()
        self._offset = timedelta() if start is None else start - self._base.now()
        self._moved = asyncio.Event()
        self._awaited: list[datetime] = []

    def now(self) -> datetime:
        """The present, aware, UTC, with every step so far."""
        return self._base.now() + self._offset

    @property
    def next_due(self) -> datetime | None:
        """The earliest moment that something waits for."""
        return min(self._awaited, default=None)

    def advance(self, step: timedelta) -> None:
        """Move the present on; raises ValueError for a step back."""
        if step < timedelta():
            raise ValueError(f"the test clock only moves forward, not by {step}")
        self._offset += step
        self._moved.set()
        self._moved = asyncio.Event()

    async def sleep_until(self, moment: datetime) -> None:
        """Return once `now()` has reached `moment`, by time or by a step."""
        self._awaited.append(moment)
        try:
            while (left := (moment - self.now()).total_seconds()) > 0:
                moved = self._moved
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await moved.wait()
        finally:
            self._awaited.remove(moment)

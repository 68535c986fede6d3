"""Live progress on standard error: one line that is rewritten on a terminal, one line a day elsewhere."""

from __future__ import annotations

from collections import Counter
from typing import Final, TextIO

from harness.soak.telling import DayEnded, Ticked

_SHARED: Final = ("server", "broker", "database")


class Progress:
    """`days` is how many were ordered; `columns` of the terminal, None elsewhere; `now_s` is real time since the start.

    A line that is longer than its terminal is wide can not be rewritten.
    """

    def __init__(self, stream: TextIO, *, days: int, columns: int | None) -> None:
        self._stream = stream
        self._days = days
        self._columns = columns
        self._faults: Counter[str] = Counter()
        self._stored = 0
        self._line = ""

    def ticked(self, tick: Ticked, now_s: float) -> None:
        """An hour has passed."""
        if self._columns is not None:
            days = tick.hours / 24
            self._show(days, tick.wakes, tick.images_captured, tick.faults, tick.rss_bytes, now_s)

    def day_ended(self, day: DayEnded, now_s: float) -> None:
        """A day was judged."""
        sample = day.sample
        self._faults.update(sample["faults"])
        self._stored = sample["images_complete"]
        if not day.is_past:
            self._show(day.day, sample["wakes"], sample["images_captured"], 0, sample["rss_bytes"], now_s)

    def _show(self, days: float, wakes: int, captured: int, fresh: int, rss_bytes: int, now_s: float) -> None:
        rate = 60 * days / now_s if now_s > 0 else 0.0
        line = (
            f"day {days:.1f}/{self._days}  {wakes} wakes  {captured} taken, {self._stored} stored"
            f"  {self._faults.total() + fresh} faults  {rss_bytes / 1e6:.0f} MB  {rate:.1f} days/min"
        )
        if self._columns is None:
            self._stream.write(line + "\n")
        else:
            fuller = f"{line}  ({self._faults_of_whom()})"
            shown = fuller if len(fuller) < self._columns else line[: self._columns - 1]
            self._stream.write("\r\x1b[K" + shown)
        self._stream.flush()

    def _faults_of_whom(self) -> str:
        """Such as `server 11, broker 28, database 39, cameras and lines 306`."""
        of: Counter[str] = Counter()
        for kind, count in self._faults.items():
            word = kind.split(" ")[0]
            of[word if word in _SHARED else "cameras and lines"] += count
        return ", ".join(f"{word} {of[word]}" for word in (*_SHARED, "cameras and lines"))

    def close(self) -> None:
        """The line stays where it is."""
        if self._columns is not None:
            self._stream.write("\n")
            self._stream.flush()

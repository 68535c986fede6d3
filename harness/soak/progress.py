"""Live progress on standard error: one line that is rewritten on a terminal, one line a day elsewhere."""

from __future__ import annotations

from collections import Counter
from typing import TextIO

from harness.soak.telling import DayEnded, Ticked


class Progress:
    """`days` is how many were ordered; `now_s` of each call is real time since the start."""

    def __init__(self, stream: TextIO, *, days: int, tty: bool) -> None:
        self._stream = stream
        self._days = days
        self._tty = tty
        self._faults: Counter[str] = Counter()
        self._stored = 0
        self._line = ""

    def ticked(self, tick: Ticked, now_s: float) -> None:
        """An hour has passed."""
        if self._tty:
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
        by_word: Counter[str] = Counter()
        for kind, count in self._faults.items():
            by_word[kind.split(" ")[0]] += count
        faults = " ".join(f"{word} {count}" for word, count in sorted(by_word.items()))
        rate = 60 * days / now_s if now_s > 0 else 0.0
        line = (
            f"day {days:.1f}/{self._days}  wakes {wakes}  images {captured} taken, {self._stored} stored"
            f"  faults {self._faults.total() + fresh} ({faults})  rss {rss_bytes / 1e6:.0f} MB  {rate:.1f} days/min"
        )
        if self._tty:
            self._stream.write("\r\x1b[K" + line[:200])
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def close(self) -> None:
        """The line stays where it is."""
        if self._tty:
            self._stream.write("\n")
            self._stream.flush()

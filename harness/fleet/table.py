"""What a fleet is doing, as a table that stays in place on a terminal, else as a line every few seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table

from harness.fleet.order import FleetState

LINE_EVERY_S: Final = 5.0
TROUBLES_SHOWN: Final = 3


def shown_ms(duration_ms: float | None) -> str:
    """`840 ms`, `3.2 s`, `-` where there is none."""
    if duration_ms is None:
        return "-"
    return f"{duration_ms:.0f} ms" if duration_ms < 1000 else f"{duration_ms / 1000:.1f} s"


def latency_words(state: FleetState) -> str:
    """p50, p95 and p99 of the time from wake to final ACK."""
    latencies = state.latencies()
    return ", ".join(f"p{percent} {shown_ms(latencies.percentile_ms(percent))}" for percent in (50, 95, 99))


class FleetTable:
    """Call `update` often; it decides what is shown. Use as a context manager."""

    def __init__(self, stream: TextIO, state: FleetState, *, title: str, clock_s: Callable[[], float]) -> None:
        self._state = state
        self._title = title
        self._clock_s = clock_s
        self._console = Console(file=stream, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._last_line_s = clock_s()
        self._rate_base: tuple[float, int] = (0.0, 0)
        self._rate = 0.0

    def __enter__(self) -> FleetTable:
        if self._live is not None:
            self._live.__enter__()
        else:
            self._console.print(self._title, soft_wrap=True)
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.__exit__(None, None, None)

    def update(self) -> None:
        """Show what there is now."""
        self._measure_rate()
        if self._live is not None:
            self._live.update(self._table(), refresh=True)
        elif self._clock_s() - self._last_line_s >= LINE_EVERY_S:
            self._last_line_s = self._clock_s()
            self._console.print(self._line(), soft_wrap=True)

    def _measure_rate(self) -> None:
        at_s, done = self._rate_base
        elapsed_s, now_done = self._state.elapsed_s, int(self._state.sums()["done"])
        if elapsed_s - at_s >= 2.0:
            self._rate = (now_done - done) / (elapsed_s - at_s)
            self._rate_base = (elapsed_s, now_done)

    def _table(self) -> Table:
        sums = self._state.sums()
        table = Table(title=self._title, title_justify="left", min_width=60)
        for name in ("asleep", "connecting", "uploading", "done", "failed"):
            table.add_column(name, justify="right")
        failed = f"[red]{sums['failed']:,}[/red]" if sums["failed"] else "0"
        table.add_row(*(f"{sums[name]:,}" for name in ("asleep", "connecting", "uploading", "done")), failed)
        troubles = [f"{count} x {text}" for text, count in list(self._state.troubles().items())[:TROUBLES_SHOWN]]
        caption = [
            f"{self._state.elapsed_s:.0f} s, {self._rate:.1f} wakes/s, wake to final ACK: {latency_words(self._state)}",
            *(f"lost shard {part}: {reason}" for part, reason in sorted(self._state.lost.items())),
            *troubles,
        ]
        table.caption, table.caption_justify = "\n".join(caption), "left"
        return table

    def _line(self) -> str:
        sums = self._state.sums()
        names = ("asleep", "connecting", "uploading", "done", "failed")
        counts = ", ".join(f"{sums[name]} {name}" for name in names)
        return f"{self._state.elapsed_s:.0f} s: {counts}; {self._rate:.1f} wakes/s; {latency_words(self._state)}"

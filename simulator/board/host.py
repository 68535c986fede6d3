"""Puts a board on asyncio: its port, its timer, its log file, and the app that runs when it has booted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import BinaryIO, Protocol

from simulator.board.board import AppStarted, AppStopped, Board, BoardEvent, ConsoleLine, Unplugged
from simulator.board.ports import Port
from simulator.board.resets import ChipReset


class App(Protocol):
    """What runs on the board once it has booted."""

    def start(self, event: AppStarted) -> None:
        """app_main is called."""
        ...

    def stop(self, *, has_power: bool) -> None:
        """It is gone, in the middle of whatever it did."""
        ...

    def line(self, text: str) -> None:
        """Somebody typed a line on the console."""
        ...


class BoardHost:
    """Drives one board on the running loop. `on_event` hears all that happens to it."""

    def __init__(
        self,
        board: Board,
        port: Port,
        *,
        log: BinaryIO | None = None,
        on_event: Callable[[BoardEvent], None] | None = None,
    ) -> None:
        self.board = board
        self.port = port
        self._app: App | None = None
        self._log = log
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._is_plugged = False

    @property
    def now_ms(self) -> float:
        """The loop's clock."""
        return self._loop.time() * 1000

    @property
    def is_plugged(self) -> bool:
        """Whether the port is there."""
        return self._is_plugged

    def run(self, app: App) -> None:
        """The app that a boot starts; before `plug`."""
        self._app = app

    async def plug(self) -> None:
        """Put the cable in: the port appears, the board gets its power."""
        if not self._is_plugged:
            await self.port.plug(self._received, self._lines)
            self._is_plugged = True
        self.power_on()

    def unplug(self) -> None:
        """Pull the cable."""
        self.power_off()
        self._is_plugged = False
        self.port.unplug()

    @property
    def _core(self) -> Board:
        """The board, which knows now at which speed the host listens."""
        if self._is_plugged:
            self.board.host_speed(self.port.baud())
        return self.board

    # -- what a power switch and buttons do ----------------------------------------------------------

    def power_on(self) -> None:
        """Not heard while there is power."""
        self._send(self._core.power_on(self.now_ms))

    def power_off(self) -> None:
        """At once."""
        self.board.power_off()
        self._settle()

    def reset(self, *, download: bool = False) -> None:
        """Press the reset button, with `download` the boot button too."""
        self._send(self._core.reset(self.now_ms, download=download))

    def wake(self) -> None:
        """The wake-up pin."""
        self._send(self._core.wake(self.now_ms))

    # -- what the app does -------------------------------------------------------------------------

    def app_writes(self, text: bytes) -> None:
        """The app's serial output."""
        self._send(self._core.app_writes(text))

    def app_resets(self, reset: ChipReset) -> None:
        """The chip restarts by itself."""
        self._send(self._core.app_resets(reset, self.now_ms))

    def app_sleeps(self, for_ms: float | None) -> None:
        """Deep sleep; None: until somebody wakes it."""
        self.board.app_sleeps(None if for_ms is None else self.now_ms + for_ms)
        self._settle()

    def wakes_in(self, for_ms: float) -> None:
        """Set the timer of a deep sleep anew."""
        self.board.wakes_at(self.now_ms + for_ms)
        self._settle()

    # -- the line ----------------------------------------------------------------------------------

    def _received(self, data: bytes, baud: int | None) -> None:
        self._send(self.board.feed(data, self.now_ms, baud))

    def _lines(self, dtr: bool, rts: bool) -> None:
        self._send(self._core.lines(dtr, rts, self.now_ms))

    def _send(self, data: bytes) -> None:
        if data:
            if self._log is not None:
                self._log.write(data)
                self._log.flush()
            if self._is_plugged:
                self.port.write(data)
        self._settle()

    def _settle(self) -> None:
        """Tell what happened, then wait for the next deadline."""
        self._tell(self.board.events())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.board.deadline_ms is not None:
            self._timer = self._loop.call_at(self.board.deadline_ms / 1000, self._tick)

    def _tell(self, events: Iterable[BoardEvent]) -> None:
        for event in events:
            if self._on_event is not None:
                self._on_event(event)
            match event:
                case Unplugged():
                    self._is_plugged = False
                    self.port.unplug()
                case AppStarted() if self._app is not None:
                    self._app.start(event)
                case AppStopped(has_power=has_power) if self._app is not None:
                    self._app.stop(has_power=has_power)
                case ConsoleLine(text=text) if self._app is not None:
                    self._app.line(text)

    def _tick(self) -> None:
        self._send(self._core.tick(self.now_ms + 0.5))

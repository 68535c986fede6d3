"""What can take a board's power, wake it and set its clock: `Switch` and the ones there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from harness.blame import Blame
from harness.dut.console import Console, ConsoleError
from harness.dut.power import PowerSwitch
from harness.errors import WakestormError

CLEAN: Final = "format"
"""The console command that empties card and counters, for firmware that has one."""


class Switch(Protocol):
    """A board's power, buttons and clock, as far as something outside it has them."""

    def power_off(self) -> None:
        """Dark, at once."""
        ...

    def power_on(self) -> None:
        """It boots."""
        ...

    def wake(self) -> None:
        """Out of deep sleep."""
        ...

    def reset(self) -> None:
        """The reset button."""
        ...

    def set_clock(self, now_ms: int) -> None:
        """What SNTP would say: Unix milliseconds. Only while it sleeps or is dark."""
        ...

    def booted(self, now_ms: int) -> None:
        """Its program has just begun."""
        ...

    @property
    def keeps_time(self) -> bool:
        """Whether the board's clock is the scenario's."""
        ...

    @property
    def is_busy(self) -> bool:
        """Something that it was told to do is not done yet."""
        ...


class SerialHands:
    """What can be done to a board of which only the serial port is known, and what takes its power; blocking.

    It is woken by a line on its console, and reset by RTS where the port has that line, else by its power.
    """

    def __init__(self, console: Console, power: PowerSwitch | None) -> None:
        self._console = console
        self._power = power
        self._is_dark = False

    def power_off(self) -> None:
        """Dark when this returns. Raises ConsoleError where it has no switch, PowerFailed."""
        self._is_dark = True
        self._switch.off()

    def power_on(self) -> None:
        """It boots."""
        self._switch.on()
        self._is_dark = False

    def wake(self) -> None:
        """A line on its console; whoever sleeps deeply hears it as a wake-up pin does."""
        self._console.write_line("wake")

    def reset(self) -> None:
        """By RTS, else by its power. Raises ConsoleError where it has neither."""
        if self._console.reset():
            return
        if self._power is None:
            raise ConsoleError(
                f"{self._console.port} has no reset line, and {self._console.name} no power switch", Blame.HARNESS
            )
        self.power_off()
        self.power_on()

    def leave(self) -> None:
        """With power, whatever was done to it."""
        if self._is_dark:
            self.power_on()

    @property
    def _switch(self) -> PowerSwitch:
        if self._power is None:
            raise ConsoleError(f"{self._console.name} has no power switch", Blame.HARNESS)
        return self._power


class SerialSwitch:
    """`SerialHands` for a loop: each thing is done in a thread, in order; what fails goes to `tell`.

    After each boot the board is told the time by a line on its console.
    """

    def __init__(self, console: Console, power: PowerSwitch | None, tell: Callable[[ConsoleError], None]) -> None:
        self.keeps_time = False
        """Set once the board has taken a time."""
        self.is_fresh = False
        """Its card and counters are to be emptied at the next boot."""
        self._console = console
        self._hands = SerialHands(console, power)
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"switch {console.name}")
        self._waiting = 0

    @property
    def is_busy(self) -> bool:
        """Something that it was told to do is not done yet."""
        return self._waiting > 0

    def power_off(self) -> None:
        """Its power goes as soon as the switch can take it."""
        self._do(self._hands.power_off)

    def power_on(self) -> None:
        """It boots."""
        self._do(self._hands.power_on)

    def wake(self) -> None:
        """Out of deep sleep."""
        self._do(self._hands.wake)

    def reset(self) -> None:
        """The reset button."""
        self._do(self._hands.reset)

    def set_clock(self, now_ms: int) -> None:
        """Nothing: who sleeps does not listen."""

    def booted(self, now_ms: int) -> None:
        """Now it listens."""
        lines = ([CLEAN] if self.is_fresh else []) + [f"time {now_ms}"]
        self.is_fresh = False
        self._do(lambda: self._console.write("".join(f"{line}\n" for line in lines)))

    def close(self) -> None:
        """Everything is done, and the board has power; blocks."""
        self._thread.submit(self._hands.leave)
        self._thread.shutdown()

    def _do(self, act: Callable[[], object]) -> None:
        self._waiting += 1
        self._thread.submit(act).add_done_callback(
            lambda done: self._loop.call_soon_threadsafe(self._done, done.exception())
        )

    def _done(self, error: BaseException | None) -> None:
        self._waiting -= 1
        if isinstance(error, ConsoleError):
            self._tell(error)
        elif error is not None:
            hint = error.hint if isinstance(error, WakestormError) else None
            message = error.message if isinstance(error, WakestormError) else repr(error)
            self._tell(ConsoleError(message, Blame.HARNESS, hint=hint))

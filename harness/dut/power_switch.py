"""What can take a board's power, wake it and set its clock: `Switch` and the ones there are."""

from __future__ import annotations

from typing import Protocol

from harness.blame import Blame
from harness.dut.console import Console, ConsoleError


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

    @property
    def keeps_time(self) -> bool:
        """Whether the board's clock is the scenario's."""
        ...


class SerialSwitch:
    """A board of which nothing is known but its serial port: it is woken by a line on its console.

    It is reset by RTS where the port has that line. Its power can not be taken, and its clock is its own.
    """

    keeps_time = False

    def __init__(self, console: Console) -> None:
        self._console = console

    def power_off(self) -> None:
        raise ConsoleError(f"{self._console.name} has no power switch", Blame.HARNESS)

    def power_on(self) -> None:
        raise ConsoleError(f"{self._console.name} has no power switch", Blame.HARNESS)

    def wake(self) -> None:
        self._console.write_line("wake")

    def reset(self) -> None:
        if not self._console.reset():
            raise ConsoleError(f"{self._console.port} has no reset line", Blame.HARNESS)

    def set_clock(self, now_ms: int) -> None:
        return

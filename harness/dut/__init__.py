"""Devices under test. Read `Dut` first: the runner knows nothing else.

`simulated` runs a state machine in this process. For boards: `console` on `expect` and `fail_list`, `serial_port` is
the door to pyserial; `panic` and `symbols` explain backtraces; `mqtt_gate` lets faults strike a board's messages;
`board` is a device known by its serial port, `virtual` one that runs as a child process; `kinds` says what each can
not do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from harness.plan_steps import PlannedDevice, PlannedFault

if TYPE_CHECKING:
    from harness.dut.console import ConsoleError


class Dut(Protocol):
    """What a scenario can do with a device, and see of it."""

    planned: PlannedDevice
    wake_limit_ms: int
    """No wake takes longer."""

    @property
    def trouble(self) -> ConsoleError | None:
        """What its console or its port says of itself that is not allowed."""
        ...

    @property
    def is_asleep(self) -> bool:
        """Deep sleep or without power: nothing happens until its next wake."""
        ...

    @property
    def next_wake_ms(self) -> int | None:
        """Scenario time of the next wake, None while awake or where nobody knows."""
        ...

    @property
    def wakes(self) -> int:
        """Wakes begun since the start."""
        ...

    @property
    def pending(self) -> tuple[str, ...]:
        """Images still in the SD card's queue, oldest first."""
        ...

    @property
    def photos(self) -> int:
        """Photos taken since the start."""
        ...

    def wake(self, reason: str) -> None:
        """Wake now."""
        ...

    def arm(self, faults: Sequence[PlannedFault]) -> None:
        """Let these faults strike from now on."""
        ...

    def set_wifi(self, *, up: bool) -> None:
        """Whether Wi-Fi is there at the next tries."""
        ...

    def power_loss(self, back_after_ms: int | None) -> None:
        """Take the power; back after that long, or at its next wake."""
        ...

    def heal(self) -> None:
        """End every fault: chains disarmed, Wi-Fi and power back."""
        ...

    async def close(self) -> None:
        """Let go of connections and timers."""
        ...

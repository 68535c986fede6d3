"""Resets and straps: why the chip starts, as its ROM prints it, and the transistors from DTR, RTS to EN, IO0. Pure.

The ROM's numbers are not those of `esp_reset_reason()`: `reason` is the application's view of the same reset.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from simulator.power import ResetReason


class ChipReset(Enum):
    """(number, text) of the ROM's `rst:` line; seen in public logs of ESP32-S3 boards."""

    POWERON = (0x1, "POWERON")
    SOFTWARE_SYSTEM = (0x3, "RTC_SW_SYS_RST")
    DEEP_SLEEP = (0x5, "DSLEEP")
    WATCHDOG_GROUP_0 = (0x7, "TG0WDT_SYS_RST")
    WATCHDOG_GROUP_1 = (0x8, "TG1WDT_SYS_RST")
    SOFTWARE_CPU = (0xC, "RTC_SW_CPU_RST")
    BROWNOUT = (0xF, "BROWNOUT_RST")
    RTC_WATCHDOG = (0x10, "RTCWDT_RTC_RST")

    @property
    def number(self) -> int:
        return self.value[0]

    @property
    def text(self) -> str:
        return self.value[1]

    @property
    def reason(self) -> ResetReason:
        """What the application takes it for; after a panic it knows better, from RTC memory."""
        return _REASONS.get(self, ResetReason.POWERON)

    @property
    def keeps_program_counter(self) -> bool:
        """The ROM prints `Saved PC` after it."""
        return self not in (ChipReset.POWERON, ChipReset.DEEP_SLEEP, ChipReset.BROWNOUT)


_REASONS = {
    ChipReset.SOFTWARE_SYSTEM: ResetReason.SW,
    ChipReset.DEEP_SLEEP: ResetReason.DEEPSLEEP,
    ChipReset.WATCHDOG_GROUP_0: ResetReason.TASK_WDT,
    ChipReset.WATCHDOG_GROUP_1: ResetReason.INT_WDT,
    ChipReset.SOFTWARE_CPU: ResetReason.SW,
    ChipReset.BROWNOUT: ResetReason.BROWNOUT,
    ChipReset.RTC_WATCHDOG: ResetReason.WDT,
}


@dataclass(slots=True)
class AutoResetCircuit:
    """Two cross-coupled transistors: EN is low while RTS alone is asserted, IO0 while DTR alone is.

    On real boards a capacitor holds EN low while a tool goes from (RTS) to (DTR) through (DTR, RTS); so the chip
    starts, and samples IO0, when that state is left.
    """

    dtr: bool = False
    rts: bool = False
    _waits: bool = False

    def set(self, dtr: bool, rts: bool) -> bool | None:
        """Move the lines. True: the chip starts with IO0 low (download); False: with IO0 high; None: no start."""
        self.dtr, self.rts = dtr, rts
        if rts and not dtr:
            self._waits = True
        elif self._waits and not (dtr and rts):
            self._waits = False
            return dtr
        return None

    @property
    def holds_reset(self) -> bool:
        """EN is low, or its capacitor is not charged yet."""
        return self._waits

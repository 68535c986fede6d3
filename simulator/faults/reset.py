"""The chip restarts."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow, Setting
from simulator.mishap import DeviceFault, Stricken


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset(DeviceFault):
    """A restart for an `esp_reset_reason_t`, in small letters without its prefix."""

    reason: str = "sw"

    def strike(self, device: Stricken) -> None:
        device.reset(self.reason)


ROW = FaultRow(
    name="reset",
    layer="device",
    does="The chip restarts right after a message, for the reason given, with empty memory.",
    example='steps: [{wake: yard, faults: [{who: yard, at: "chunk[5].sent", do: {reset: {reason: int_wdt}}}]}]',
    heals="at once: it boots again, and memory is what it lost",
    scenario="scenarios/faults/reset.yaml",
    sign="action:reset",
    source="Device: reboot with lost RAM; design 5: reset with reason",
    settings=(
        Setting(
            name="reason",
            unit="reset reason",
            default="sw",
            does="poweron, brownout, panic, sw, or a watchdog: int_wdt, task_wdt, wdt",
        ),
    ),
    not_board="is inside the chip: the firmware would have to play along",
)

"""The device wakes too late."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow, Setting
from simulator.mishap import DeviceFault, Stricken


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeLate(DeviceFault):
    """The next wake is `by_ms` late."""

    by_ms: int

    def strike(self, device: Stricken) -> None:
        device.shift_next_wake(self.by_ms)


ROW = FaultRow(
    name="wake_late",
    layer="device",
    does="Its timer runs slow: the next wake comes too late.",
    example="steps: [{wake: yard, faults: [{who: yard, at: device, do: {wake_late: 2h}}]}]",
    heals="with that wake",
    scenario="scenarios/faults/wake-late.yaml",
    sign="action:wake_late",
    source="Device: wake late",
    settings=(Setting(name="by", unit="duration", default="required", does="how much too late"),),
    not_board="is inside the chip: the firmware would have to play along",
)

"""The device wakes too early."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow, Setting
from simulator.mishap import DeviceFault, Stricken


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeEarly(DeviceFault):
    """The next wake is `by_ms` early."""

    by_ms: int

    def strike(self, device: Stricken) -> None:
        device.shift_next_wake(-self.by_ms)


ROW = FaultRow(
    name="wake_early",
    layer="device",
    does="Its timer runs fast: the next wake comes too early.",
    example="steps: [{wake: yard, faults: [{who: yard, at: device, do: {wake_early: 30m}}]}]",
    heals="with that wake",
    scenario="scenarios/faults/wake-early.yaml",
    sign="action:wake_early",
    source="Device: wake early",
    settings=(Setting(name="by", unit="duration", default="required", does="how much too early"),),
    not_board="is inside the chip: the firmware would have to play along",
)

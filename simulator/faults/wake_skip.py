"""The device sleeps through a wake."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow, Setting
from simulator.mishap import DeviceFault, Stricken


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeSkip(DeviceFault):
    """`count` wakes do not happen."""

    count: int = 1

    def strike(self, device: Stricken) -> None:
        device.skip_wakes(self.count)


ROW = FaultRow(
    name="wake_skip",
    layer="device",
    does="It sleeps through its next wakes.",
    example="steps: [{wake: yard, faults: [{who: yard, at: device, do: {wake_skip: 2}}]}]",
    heals="with the wake after them",
    scenario="scenarios/faults/wake-skip.yaml",
    sign="action:wake_skip",
    source="Device: wake skip",
    settings=(Setting(name="count", unit="count", default="1", does="how many wakes"),),
    not_board="is inside the chip: the firmware would have to play along",
)

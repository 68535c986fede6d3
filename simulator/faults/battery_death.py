"""The battery dies."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow
from simulator.mishap import DeviceFault, Stricken


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryDeath(DeviceFault):
    """Nothing works while it lasts; the SD card stays."""

    def strike(self, device: Stricken) -> None:
        device.drain_battery()

    def heal(self, device: Stricken) -> None:
        device.renew_battery()


ROW = FaultRow(
    name="battery_death",
    layer="device",
    does="The battery is empty: dark at once, and no wake until it is replaced.",
    example='steps: [{wake: yard, faults: [{who: yard, at: "chunk[2].sent", do: battery_death, for: 6h}]}]',
    heals="after `for`, at the next step with faults, or at the end of the steps: with a full battery",
    scenario="scenarios/faults/battery-death.yaml",
    sign="action:battery_death",
    source="Device: battery death",
    not_board="needs a switched supply",
)

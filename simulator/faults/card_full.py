"""The SD card is full."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow
from simulator.mishap import DeviceFault, Stricken


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFullFault(DeviceFault):
    """No room for a photo while it lasts."""

    def strike(self, device: Stricken) -> None:
        device.set_card_full(is_full=True)

    def heal(self, device: Stricken) -> None:
        device.set_card_full(is_full=False)


ROW = FaultRow(
    name="card_full",
    layer="device",
    does="The SD card takes no new photo; what is on it can be read and sent.",
    example="steps: [{wake: yard, faults: [{who: yard, at: device, do: card_full}]}]",
    heals="after `for`, at the next step with faults, or at the end of the steps",
    scenario="scenarios/faults/card-full.yaml",
    sign="action:card_full",
    source="design 5: full SD card",
    not_board="is inside the chip: the firmware would have to play along",
)

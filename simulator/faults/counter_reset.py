"""The image counter starts again."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow
from simulator.mishap import DeviceFault, Stricken


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterReset(DeviceFault):
    """The counter is 0; what is on the card stays."""

    def strike(self, device: Stricken) -> None:
        device.restart_counter()


ROW = FaultRow(
    name="counter_reset",
    layer="device",
    does="The image counter wraps: the next photo is image_1.jpg again, with other bytes.",
    example="steps: [{wake: yard, faults: [{who: yard, at: device, do: counter_reset}]}]",
    heals="at once: it counts on from there",
    scenario="scenarios/faults/counter-reset.yaml",
    sign="action:counter_reset",
    source="Device: counter wrap, duplicate image id with other bytes; design 5: counter reset",
    not_board="is inside the chip: the firmware would have to play along",
)

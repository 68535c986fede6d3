"""The supply dips in the middle of a message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.catalogue import FaultRow
from simulator.mishap import DeviceFault, Stricken


@dataclass(frozen=True, slots=True, kw_only=True)
class Brownout(DeviceFault):
    """Half a message, then a restart by the brown-out detector."""

    tears_message: ClassVar[bool] = True

    def strike(self, device: Stricken) -> None:
        device.reset("brownout")


ROW = FaultRow(
    name="brownout",
    layer="device",
    does="The supply dips in the middle of a message: half of its bytes go out, the chip restarts without RTC memory.",
    example='steps: [{wake: yard, faults: [{who: yard, at: "chunk[5].sent", do: brownout}]}]',
    heals="at once: it boots again, and memory is what it lost",
    scenario="scenarios/faults/brownout.yaml",
    sign="action:brownout",
    source="Device: brown-out mid-publish; design 5: brownout",
    not_board="needs a switched supply",
)

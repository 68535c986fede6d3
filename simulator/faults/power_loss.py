"""The device loses power."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow, Setting
from simulator.fault import Action, Deliver, Parcel, PowerOff
from simulator.rng import Rng


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLoss:
    """Power goes right after the message; it is back after `back_after_ms`, or None: at the next wake."""

    back_after_ms: int | None = None

    def apply(self, parcel: Parcel, rng: Rng) -> list[Action]:
        return [Deliver(parcel), PowerOff(self.back_after_ms)]


ROW = FaultRow(
    name="power_loss",
    layer="device",
    does="Power goes right after a message: memory and clock are gone, the SD card stays. A real board needs a switch.",
    example='steps: [{wake: yard, faults: [{who: yard, at: "chunk[5].sent", do: {power_loss: {for: 10s}}}]}]',
    heals="power is back after `for`, else when the next wake is due",
    scenario="scenarios/resume/interrupted-after-every-chunk.yaml",
    sign="action:power_loss",
    source="design 5: power_loss",
    settings=(Setting(name="for", unit="duration", default="until its next wake", does="boots again after this long"),),
)

"""The message arrives later."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow, Setting
from simulator.fault import Action, Deliver, Parcel
from simulator.rng import Rng


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """It takes `delay_ms` longer; what comes behind it waits too."""

    delay_ms: int = 1_000

    def apply(self, parcel: Parcel, rng: Rng) -> list[Action]:
        return [Deliver(parcel, self.delay_ms)]


ROW = FaultRow(
    name="delay",
    layer="link",
    does="A message arrives later, and those behind it wait too.",
    example="steps: [{wake: yard, faults: [{who: yard, at: ack_ok.received, do: {delay: 5s}}]}]",
    heals="after `times` messages, at the next step with faults, or at the end of the steps",
    scenario="scenarios/faults/delay.yaml",
    sign="action:delay",
    source="Link: delay",
    settings=(Setting(name="for", unit="duration", default="", does="how much later"),),
)

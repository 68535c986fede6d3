"""The connection is reset."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow
from simulator.fault import Action, Cut, Deliver, Parcel
from simulator.rng import Rng


@dataclass(frozen=True, slots=True, kw_only=True)
class CutLink:
    """RST right after the message."""

    def apply(self, parcel: Parcel, rng: Rng) -> list[Action]:
        return [Deliver(parcel), Cut()]


ROW = FaultRow(
    name="cut",
    layer="link",
    does="The device resets its connection (RST) right after a message, and goes to sleep with what it has.",
    example='steps: [{wake: yard, faults: [{who: yard, at: "chunk[5].sent", do: cut}]}]',
    heals="at once: the next connection is whole",
    scenario="scenarios/resume/interrupted-after-every-chunk.yaml",
    sign="action:cut",
    source="design 5: disconnect",
)

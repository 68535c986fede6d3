"""The message disappears."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow
from simulator.fault import Action, Parcel
from simulator.rng import Rng


@dataclass(frozen=True, slots=True, kw_only=True)
class Lose:
    """It never arrives, and its sender never knows."""

    def apply(self, parcel: Parcel, rng: Rng) -> list[Action]:
        return []


ROW = FaultRow(
    name="lose",
    layer="link",
    does="A message disappears; its sender never knows.",
    example='steps: [{wake: yard, faults: [{who: yard, at: "chunk[3].sent", do: lose}]}]',
    heals="after `times` messages, at the next step with faults, or at the end of the steps",
    scenario="scenarios/chunks/several-chunks-lost-are-asked-for-in-one-list.yaml",
    sign="action:lose",
    source="Link: drop",
)

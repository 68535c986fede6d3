"""The SD card is lost."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow
from simulator.mishap import DeviceFault, Stricken


@dataclass(frozen=True, slots=True, kw_only=True)
class CardLoss(DeviceFault):
    """Pending photos, confirmed ones and the image counter are gone."""

    def strike(self, device: Stricken) -> None:
        device.lose_card()


ROW = FaultRow(
    name="card_loss",
    layer="device",
    does="The SD card is lost, an empty one is in its place; the ledger says which photos the device itself lost.",
    example='steps: [{wake: yard, faults: [{who: yard, at: "chunk[2].sent", do: card_loss}]}]',
    heals="at once: the new card works; what the old one held is gone for good",
    scenario="scenarios/faults/card-loss.yaml",
    sign="action:card_loss",
    source="Device: lost flash",
    not_board="needs hands",
)

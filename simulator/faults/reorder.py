"""The message is overtaken by later ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simulator.catalogue import FaultRow, Setting
from simulator.fault import Action, Hold, Parcel
from simulator.rng import Rng


@dataclass(frozen=True, slots=True, kw_only=True)
class Reorder:
    """It arrives after the next `by` messages. With `order`, an image's chunks wait for the last, then go so."""

    by: int = 1
    order: Literal["reversed", "shuffled"] | None = None

    def apply(self, parcel: Parcel, rng: Rng) -> list[Action]:
        return [Hold(parcel, self.by, self.order)]


ROW = FaultRow(
    name="reorder",
    layer="link",
    does="A message is overtaken by later ones; what is still held back when the device sleeps is lost with the link.",
    example='steps: [{wake: yard, faults: [{who: yard, at: "chunk[2].sent", do: {reorder: {by: 3}}}]}]',
    heals="after `times` messages, at the next step with faults, or at the end of the steps: what is held goes out",
    scenario="scenarios/faults/reorder.yaml",
    sign="action:reorder",
    source="Link: reorder",
    settings=(
        Setting(name="by", unit="count", default="1", does="how many later messages overtake it"),
        Setting(name="order", unit="reversed or shuffled", default="none", does="of all chunks of an image, instead"),
    ),
)

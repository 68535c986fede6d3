"""The message is overtaken by later ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simulator.fault import Action, Hold, Parcel
from simulator.rng import Rng


@dataclass(frozen=True, slots=True, kw_only=True)
class Reorder:
    """It arrives after the next `by` messages. With `order`, an image's chunks wait for the last, then go so."""

    by: int = 1
    order: Literal["reversed", "shuffled"] | None = None

    def apply(self, parcel: Parcel, rng: Rng) -> list[Action]:
        return [Hold(parcel, self.by, self.order)]

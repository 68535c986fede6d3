"""The connection is reset."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.fault import Action, Cut, Deliver, Parcel
from simulator.rng import Rng


@dataclass(frozen=True, slots=True, kw_only=True)
class CutLink:
    """RST right after the message."""

    def apply(self, parcel: Parcel, rng: Rng) -> list[Action]:
        return [Deliver(parcel), Cut()]

"""The message disappears."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.fault import Action, Parcel
from simulator.rng import Rng


@dataclass(frozen=True, slots=True, kw_only=True)
class Lose:
    """It never arrives, and its sender never knows."""

    def apply(self, parcel: Parcel, rng: Rng) -> list[Action]:
        return []

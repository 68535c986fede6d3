"""Nothing goes wrong: the identity, and the file to copy for a new fault."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.fault import Action, Deliver, Parcel
from simulator.rng import Rng


@dataclass(frozen=True, slots=True, kw_only=True)
class Noop:
    """The message arrives as it is."""

    def apply(self, parcel: Parcel, rng: Rng) -> list[Action]:
        return [Deliver(parcel)]

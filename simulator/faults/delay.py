"""The message arrives later."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.fault import Action, Deliver, Parcel
from simulator.rng import Rng


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """It takes `delay_ms` longer; what comes behind it waits too."""

    delay_ms: int = 1_000

    def apply(self, parcel: Parcel, rng: Rng) -> list[Action]:
        return [Deliver(parcel, self.delay_ms)]

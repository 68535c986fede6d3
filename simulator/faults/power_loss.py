"""The device loses power."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.fault import Action, Deliver, Parcel, PowerOff
from simulator.rng import Rng


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLoss:
    """Power goes right after the message; it is back after `back_after_ms`, or None: at the next wake."""

    back_after_ms: int | None = None

    def apply(self, parcel: Parcel, rng: Rng) -> list[Action]:
        return [Deliver(parcel), PowerOff(self.back_after_ms)]

"""Which firmware each camera of a soak runs on each day: a few cameras, and in a month every firmware there is. Pure.

Firmware is dealt from a shuffled deck that holds every generation and every misbehaviour. A camera gets another one
every few days, over the air as it were: its card, with all that is still pending there, outlives that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulator.profile import BASES, MISBEHAVIOURS
from simulator.rng import Rng

FIRMWARE_DAYS: Final = 3
"""So long one camera keeps one firmware."""

OF_EACH_GENERATION: Final = 4
"""Well-behaved ones in a deck, which holds each misbehaviour once: a third misbehaves."""

RECONNECTS: Final = (0, 0, 2)
"""How often a firmware connects again within a wake."""

PACES: Final[tuple[tuple[int, int | None], ...]] = ((200, None), (0, None), (20, 4))
"""Pause between two chunks in ms, and how many go out without waiting for the broker (None: each is waited for): a
server finds one message at a time, or several of one photo together."""

SPOILING: Final = "+jpeg-without"
_NEWEST: Final = next(iter(BASES))
DECK: Final = (*(name for name in BASES for _ in range(OF_EACH_GENERATION)), *(f"{_NEWEST}+{w}" for w in MISBEHAVIOURS))


@dataclass(frozen=True, slots=True)
class Firmware:
    """A profile, how often it connects again within a wake, and how fast it sends."""

    profile: str
    reconnects_per_wake: int
    chunk_spacing_ms: int
    burst_chunks: int | None


def firmware_of_day(seed: int, day: int, devices: int) -> tuple[Firmware, ...]:
    """By number of the camera; the cameras do not change all on one day.

    Firmware that spoils photos stays one day: what nobody will ever store is offered again at each wake.
    """
    found = []
    for number in range(devices):
        stint, day_of_stint = divmod(day + number, FIRMWARE_DAYS)
        dealt = stint * devices + number
        deck, place = divmod(dealt, len(DECK))
        rng = Rng(f"{seed}/firmware/{deck}")
        profile = rng.shuffled(list(DECK))[place]
        if day_of_stint and SPOILING in profile:
            profile = _NEWEST
        traits = rng.child(str(place))
        found.append(Firmware(profile, traits.choice(RECONNECTS), *traits.choice(PACES)))
    return tuple(found)

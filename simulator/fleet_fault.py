"""What goes wrong in a wake of a fleet's camera: drawn from seed, camera and wake alone, so shards agree. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from simulator.rng import Rng

FleetFaultKind = Literal["power_loss", "cut", "lost_ack"]

KINDS: Final[dict[FleetFaultKind, str]] = {
    "power_loss": "power goes after a chunk; the camera is dark until its next wake",
    "cut": "the connection is reset after a chunk",
    "lost_ack": "the final ACK disappears on its way",
}


@dataclass(frozen=True, slots=True)
class FleetFault:
    """Strikes that share (0 to 1) of all wakes."""

    kind: FleetFaultKind
    share: float


@dataclass(frozen=True, slots=True)
class Strike:
    """What befalls one wake. `after_chunk` means nothing to a lost ACK."""

    kind: FleetFaultKind
    after_chunk: int


def strike_of(faults: Sequence[FleetFault], seed: int, camera: int, wake: int, chunks: int) -> Strike | None:
    """At most one for a wake: the first of the faults whose draw hits."""
    if not faults:
        return None
    rng = Rng(f"{seed}/fleet faults/{camera}/{wake}")
    after_chunk = rng.below(max(chunks, 1))
    hits = (fault.kind for fault in faults if rng.chance(fault.share))
    kind = next(hits, None)
    return None if kind is None else Strike(kind, after_chunk)

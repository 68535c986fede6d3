"""One end is gone, and the other does not know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.catalogue import FaultRow, Setting
from simulator.rng import Rng
from simulator.stream import Abandon, Bytes, End, Fin, Passed, Piece, Rst, StreamFault


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfOpen(StreamFault):
    """The `unaware` end keeps a connection that nobody is at the other end of."""

    strikes_once: ClassVar[bool] = True
    unaware: End = "broker"

    def pass_on(self, piece: Bytes | Fin | Rst, passed: Passed, rng: Rng) -> list[Piece]:
        return [Abandon(self.unaware)]

    def at_once(self) -> list[Piece]:
        return [Abandon(self.unaware)]


ROW = FaultRow(
    name="half_open",
    layer="link",
    does="One end hears RST; the other hears nothing, no FIN, and takes the connection for open.",
    example='steps: [{wake: yard, faults: [{who: yard, at: "chunk[1].sent", do: half_open}]}]',
    heals="when it has struck one connection, which ends by takeover or keep-alive; with `for`, after that long",
    scenario="scenarios/faults/half-open.yaml",
    sign="action:half_open",
    source="Link: half-open (no FIN)",
    settings=(Setting(name="unaware", unit="broker or device", default="broker", does="which end does not know"),),
)

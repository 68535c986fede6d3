"""Bytes vanish, and TCP seems to live."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow
from simulator.rng import Rng
from simulator.stream import Bytes, Fin, Passed, Piece, Rst, StreamFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Blackhole(StreamFault):
    """Bytes, FIN and RST are taken and forgotten."""

    def pass_on(self, piece: Bytes | Fin | Rst, passed: Passed, rng: Rng) -> list[Piece]:
        return []


ROW = FaultRow(
    name="blackhole",
    layer="link",
    does="Everything vanishes in both ways while TCP seems to live: no FIN, no RST, no error.",
    example="steps: [{wake: yard, faults: [{who: yard, at: link, do: blackhole, from: 2s, for: 30s}]}]",
    heals="after `for`, at the device's next wake, or at the end of the steps: a connection that lost bytes is reset",
    scenario="scenarios/faults/blackhole.yaml",
    sign="action:blackhole",
    source="Link: blackhole with live TCP",
)

"""Packets are lost, and TCP sends them again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from simulator.catalogue import FaultRow, Setting
from simulator.rng import Rng
from simulator.stream import Bytes, Fin, Passed, Piece, Rst, StreamFault

SENDINGS_MAX: Final = 6
"""In a row: the last one arrives. A line that lets nothing through at all is `blackhole`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketLoss(StreamFault):
    """Each piece is lost with a chance of `percent`, and sent again `resend_ms` later, twice as late each time."""

    percent: float
    resend_ms: int = 200

    def pass_on(self, piece: Bytes | Fin | Rst, passed: Passed, rng: Rng) -> list[Piece]:
        later_ms, wait_ms = 0, self.resend_ms
        for _ in range(SENDINGS_MAX - 1):
            if not rng.chance(self.percent / 100):
                break
            later_ms, wait_ms = later_ms + wait_ms, 2 * wait_ms
        return [replace(piece, at_us=piece.at_us + 1_000 * later_ms)] if later_ms else [piece]


ROW = FaultRow(
    name="packet_loss",
    layer="link",
    does="So many of a hundred packets are lost; TCP sends each again, later and later, and what follows waits for it.",
    example="steps: [{wake: yard, faults: [{who: yard, at: link, do: {packet_loss: 20%}}]}]",
    heals="after `for`, at the device's next wake, or at the end of the steps",
    scenario="scenarios/faults/packet-loss.yaml",
    sign="action:packet_loss",
    source="Link: loss as a percentage; design 5: loss",
    settings=(
        Setting(name="percent", unit="share, such as 5%", default="required", does="how many of a hundred packets"),
        Setting(name="resend", unit="duration", default="200ms", does="until the first is sent again"),
        Setting(name="way", unit="up, down or both", default="both", does="from the device, to it, or both"),
    ),
)

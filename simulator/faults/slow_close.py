"""The end of a connection is heard late."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator.catalogue import FaultRow, Setting
from simulator.rng import Rng
from simulator.stream import Bytes, Fin, Passed, Piece, Rst, StreamFault


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowClose(StreamFault):
    """FIN and RST take `delay_ms` longer."""

    delay_ms: int

    def pass_on(self, piece: Bytes | Fin | Rst, passed: Passed, rng: Rng) -> list[Piece]:
        return [piece if isinstance(piece, Bytes) else replace(piece, at_us=piece.at_us + 1_000 * self.delay_ms)]


ROW = FaultRow(
    name="slow_close",
    layer="link",
    does="FIN and RST arrive late: the other end takes a connection that is gone for open.",
    example="steps: [{wake: yard, faults: [{who: yard, at: link, do: {slow_close: 1m}}]}]",
    heals="after `for`, at the device's next wake, or at the end of the steps",
    scenario="scenarios/faults/slow-close.yaml",
    sign="action:slow_close",
    source="Link: slow close",
    settings=(
        Setting(name="delay", unit="duration", default="required", does="how much later"),
        Setting(name="way", unit="up, down or both", default="both", does="from the device, to it, or both"),
    ),
)

"""Everything arrives later."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator.catalogue import FaultRow, Setting
from simulator.rng import Rng
from simulator.stream import Bytes, Fin, Passed, Piece, Rst, StreamFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(StreamFault):
    """`delay_ms` later, plus 0 to `jitter_ms`."""

    delay_ms: int
    jitter_ms: int = 0

    def pass_on(self, piece: Bytes | Fin | Rst, passed: Passed, rng: Rng) -> list[Piece]:
        later_us = 1_000 * self.delay_ms + rng.between(0, 1_000 * self.jitter_ms)
        return [replace(piece, at_us=piece.at_us + later_us)]


ROW = FaultRow(
    name="latency",
    layer="link",
    does="Everything on the line takes longer, by a fixed time and a drawn one; order is kept.",
    example="steps: [{wake: yard, faults: [{who: yard, at: link, do: {latency: {delay: 200ms, jitter: 100ms}}}]}]",
    heals="after `for`, at the device's next wake, or at the end of the steps",
    scenario="scenarios/faults/latency.yaml",
    sign="action:latency",
    source="Link: delay+jitter; design 5: latency",
    settings=(
        Setting(name="delay", unit="duration", default="required", does="how much later"),
        Setting(name="jitter", unit="duration", default="0s", does="up to so much more, drawn for each piece"),
        Setting(name="way", unit="up, down or both", default="both", does="from the device, to it, or both"),
    ),
)

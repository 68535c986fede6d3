"""The line is slow."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator.catalogue import FaultRow, Setting
from simulator.rng import Rng
from simulator.stream import Bytes, Fin, Passed, Piece, Rst, StreamFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandwidth(StreamFault):
    """`rate_bytes_per_s` at most; what is written faster waits its turn."""

    rate_bytes_per_s: int

    def pass_on(self, piece: Bytes | Fin | Rst, passed: Passed, rng: Rng) -> list[Piece]:
        if not isinstance(piece, Bytes):
            return [piece]
        takes_us = -(-1_000_000 * len(piece.data) // self.rate_bytes_per_s)
        return [replace(piece, at_us=max(piece.at_us, passed.last_us) + takes_us)]


ROW = FaultRow(
    name="bandwidth",
    layer="link",
    does="The line carries only so many bytes a second, in each way.",
    example="steps: [{wake: yard, faults: [{who: yard, at: link, do: {bandwidth: 2kB}}]}]",
    heals="after `for`, at the device's next wake, or at the end of the steps",
    scenario="scenarios/faults/bandwidth.yaml",
    sign="action:bandwidth",
    source="Link: bandwidth",
    settings=(
        Setting(name="rate", unit="size a second", default="required", does="how many bytes a second"),
        Setting(name="way", unit="up, down or both", default="both", does="from the device, to it, or both"),
    ),
)

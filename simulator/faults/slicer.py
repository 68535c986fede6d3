"""What was written at once arrives in slices."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow, Setting
from simulator.rng import Rng
from simulator.stream import Bytes, Fin, Passed, Piece, Rst, StreamFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Slicer(StreamFault):
    """Slices of `slice_bytes`, each `gap_ms` after the one before."""

    slice_bytes: int = 1
    gap_ms: int = 0

    def pass_on(self, piece: Bytes | Fin | Rst, passed: Passed, rng: Rng) -> list[Piece]:
        if not isinstance(piece, Bytes):
            return [piece]
        starts = range(0, len(piece.data), self.slice_bytes)
        return [
            Bytes(piece.data[start : start + self.slice_bytes], piece.at_us + 1_000 * self.gap_ms * number)
            for number, start in enumerate(starts)
        ]


ROW = FaultRow(
    name="slicer",
    layer="link",
    does="What was written at once arrives in slices, of one byte each if nothing else is said.",
    example="steps: [{wake: yard, faults: [{who: yard, at: link, do: {slicer: {size: 1B}}}]}]",
    heals="after `for`, at the device's next wake, or at the end of the steps",
    scenario="scenarios/faults/slicer.yaml",
    sign="action:slicer",
    source="Link: slicer (1-byte writes)",
    settings=(
        Setting(name="size", unit="size", default="1B", does="of a slice"),
        Setting(name="gap", unit="duration", default="0s", does="between two slices"),
        Setting(name="way", unit="up, down or both", default="both", does="from the device, to it, or both"),
    ),
)

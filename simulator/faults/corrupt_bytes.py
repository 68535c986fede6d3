"""A byte of the stream is damaged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from simulator.catalogue import FaultRow, Setting
from simulator.rng import Rng
from simulator.stream import Bytes, Fin, Passed, Piece, Rst, StreamFault, Ways


@dataclass(frozen=True, slots=True, kw_only=True)
class CorruptBytes(StreamFault):
    """`flip` bits of the byte behind `after_bytes` of one way, counted from the fault's begin on each connection."""

    strikes_once: ClassVar[bool] = True
    way: Ways = "up"
    flip: int = 1
    after_bytes: int = 0

    def pass_on(self, piece: Bytes | Fin | Rst, passed: Passed, rng: Rng) -> list[Piece]:
        place = self.after_bytes - passed.size_bytes
        if not isinstance(piece, Bytes) or not 0 <= place < len(piece.data):
            return [piece]
        mask = sum(1 << bit for bit in rng.shuffled(list(range(8)))[: self.flip])
        data = bytearray(piece.data)
        data[place] ^= mask
        return [replace(piece, data=bytes(data))]


ROW = FaultRow(
    name="corrupt_bytes",
    layer="link",
    does="Bits of one byte of the stream flip, past every checksum: MQTT framing, JSON text or image bytes.",
    example="steps: [{wake: yard, faults: [{who: yard, at: link, do: {corrupt_bytes: {after: 900B}}}]}]",
    heals="when it has struck one connection; with `for`, after that long",
    scenario="scenarios/faults/corrupt-bytes.yaml",
    sign="action:corrupt_bytes",
    source="Link: corrupt byte",
    settings=(
        Setting(name="flip", unit="count", default="1", does="how many of its 8 bits, chosen by the seed"),
        Setting(name="after", unit="size", default="0B", does="how many bytes pass before it"),
        Setting(name="way", unit="up, down or both", default="up", does="whose bytes"),
    ),
)

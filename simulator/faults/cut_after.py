"""The connection is reset after so many bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from simulator.catalogue import FaultRow, Setting
from simulator.rng import Rng
from simulator.stream import Bytes, Fin, Passed, Piece, ResetBoth, Rst, StreamFault, Ways


@dataclass(frozen=True, slots=True, kw_only=True)
class CutAfter(StreamFault):
    """RST after `after_bytes` of one way, counted from the fault's begin on each connection."""

    strikes_once: ClassVar[bool] = True
    way: Ways = "up"
    after_bytes: int

    def pass_on(self, piece: Bytes | Fin | Rst, passed: Passed, rng: Rng) -> list[Piece]:
        if not isinstance(piece, Bytes) or passed.size_bytes + len(piece.data) <= self.after_bytes:
            return [piece]
        rest = piece.data[: max(0, self.after_bytes - passed.size_bytes)]
        return [*([replace(piece, data=rest)] if rest else []), ResetBoth()]


ROW = FaultRow(
    name="cut_after",
    layer="link",
    does="So many bytes pass, then both ends hear RST: in the middle of a message, most of the time.",
    example="steps: [{wake: yard, faults: [{who: yard, at: link, do: {cut_after: 1500B}}]}]",
    heals="when it has struck one connection; with `for`, after that long",
    scenario="scenarios/faults/cut-after.yaml",
    sign="action:cut_after",
    source="Link: cut after N bytes",
    settings=(
        Setting(name="after", unit="size", default="required", does="how many bytes pass"),
        Setting(name="way", unit="up, down or both", default="up", does="whose bytes are counted"),
    ),
)

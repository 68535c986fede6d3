"""The connection ends in good order, but too early."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from simulator.catalogue import FaultRow, Setting
from simulator.rng import Rng
from simulator.stream import Bytes, CloseBoth, Fin, Passed, Piece, Rst, StreamFault, Ways


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncate(StreamFault):
    """FIN after `after_bytes` of one way, counted from the fault's begin on each connection."""

    strikes_once: ClassVar[bool] = True
    way: Ways = "up"
    after_bytes: int

    def pass_on(self, piece: Bytes | Fin | Rst, passed: Passed, rng: Rng) -> list[Piece]:
        if not isinstance(piece, Bytes) or passed.size_bytes + len(piece.data) <= self.after_bytes:
            return [piece]
        rest = piece.data[: max(0, self.after_bytes - passed.size_bytes)]
        return [*([replace(piece, data=rest)] if rest else []), CloseBoth(piece.at_us)]


ROW = FaultRow(
    name="truncate",
    layer="link",
    does="So many bytes pass, the rest vanishes, and both ends hear FIN: a message without its end.",
    example="steps: [{wake: yard, faults: [{who: yard, at: link, do: {truncate: 1500B}}]}]",
    heals="when it has struck one connection; with `for`, after that long",
    scenario="scenarios/faults/truncate.yaml",
    sign="action:truncate",
    source="Link: truncate",
    settings=(
        Setting(name="after", unit="size", default="required", does="how many bytes pass"),
        Setting(name="way", unit="up, down or both", default="up", does="whose bytes are counted"),
    ),
)

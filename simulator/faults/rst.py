"""The line resets connections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.catalogue import FaultRow
from simulator.rng import Rng
from simulator.stream import Bytes, Fin, Passed, Piece, ResetBoth, Rst, StreamFault


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetLine(StreamFault):
    """While it lasts, no connection lives."""

    strikes_once: ClassVar[bool] = True

    def pass_on(self, piece: Bytes | Fin | Rst, passed: Passed, rng: Rng) -> list[Piece]:
        return [ResetBoth()]

    def at_once(self) -> list[Piece]:
        return [ResetBoth()]


ROW = FaultRow(
    name="rst",
    layer="link",
    does="Both ends hear RST; with `for`, every connection that is tried meanwhile too.",
    example='steps: [{wake: yard, faults: [{who: yard, at: "chunk[1].sent", do: rst, for: 3s}]}]',
    heals="when it has struck one connection; with `for`, after that long",
    scenario="scenarios/faults/rst.yaml",
    sign="action:rst",
    source="Link: RST",
)

"""Bytes of one way vanish."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow, Setting
from simulator.rng import Rng
from simulator.stream import Bytes, Fin, Passed, Piece, Rst, StreamFault, Ways


@dataclass(frozen=True, slots=True, kw_only=True)
class OneWayLoss(StreamFault):
    """What goes `up` from the device, or `down` to it, is taken and forgotten."""

    way: Ways = "up"

    def pass_on(self, piece: Bytes | Fin | Rst, passed: Passed, rng: Rng) -> list[Piece]:
        return []


ROW = FaultRow(
    name="one_way_loss",
    layer="link",
    does="Everything of one way vanishes, the other way works.",
    example="steps: [{wake: yard, faults: [{who: yard, at: link, do: {one_way_loss: down}, from: 2s, for: 30s}]}]",
    heals="after `for`, at the device's next wake, or at the end of the steps: a connection that lost bytes is reset",
    scenario="scenarios/faults/one-way-loss.yaml",
    sign="action:one_way_loss",
    source="Link: one-way loss",
    settings=(Setting(name="way", unit="up or down", default="required", does="which way is lost"),),
)

"""Two devices have one id."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow, Setting
from simulator.mishap import DeviceFault, Stricken


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin(DeviceFault):
    """The other one stays for `stay_ms`; it has no photo."""

    stay_ms: int = 20_000

    def strike(self, device: Stricken) -> None:
        device.meet_twin(self.stay_ms)


ROW = FaultRow(
    name="twin",
    layer="device",
    does="A second device with the same id connects, takes the connection over, says HELLO, and leaves.",
    example='steps: [{wake: yard, faults: [{who: yard, at: "chunk[2].sent", do: twin}]}]',
    heals="after `stay`, when the second one leaves",
    scenario="scenarios/faults/twin.yaml",
    sign="action:twin",
    source="Device: two devices one id",
    settings=(Setting(name="stay", unit="duration", default="20s", does="how long the second one is there"),),
    not_board="would be a second chip; nothing here has two of one id",
)

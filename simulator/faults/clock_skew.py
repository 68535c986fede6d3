"""The device's clock is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simulator.catalogue import FaultRow, Setting
from simulator.mishap import DeviceFault, Stricken


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSkew(DeviceFault):
    """Wrong by `by_ms` while it lasts."""

    by_ms: int
    to: Literal["ahead", "behind"] = "ahead"

    def strike(self, device: Stricken) -> None:
        device.skew_clock(self._signed_ms)

    def heal(self, device: Stricken) -> None:
        device.skew_clock(-self._signed_ms)

    @property
    def _signed_ms(self) -> int:
        return self.by_ms if self.to == "ahead" else -self.by_ms


ROW = FaultRow(
    name="clock_skew",
    layer="device",
    does="Its clock is wrong, ahead or behind, and NTP does not help.",
    example="steps: [{wake: yard, faults: [{who: yard, at: device, do: {clock_skew: {by: 2h, to: behind}}}]}]",
    heals="after `for`, at the next step with faults, or at the end of the steps",
    scenario="scenarios/faults/clock-skew.yaml",
    sign="action:clock_skew",
    source="design 5: clock skew",
    settings=(
        Setting(name="by", unit="duration", default="required", does="how wrong"),
        Setting(name="to", unit="ahead or behind", default="ahead", does="in which direction"),
    ),
    not_board="is inside the chip: the firmware would have to play along",
)

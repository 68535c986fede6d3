"""The device's clock runs fast or slow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simulator.catalogue import FaultRow, Setting
from simulator.mishap import DeviceFault, Stricken


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockDrift(DeviceFault):
    """`by_ppm` microseconds in each second; the sleep timer counts by that clock, NTP sets it right when it wakes."""

    by_ppm: int
    to: Literal["fast", "slow"] = "slow"

    def strike(self, device: Stricken) -> None:
        device.drift_clock(self._signed_ppm)

    def heal(self, device: Stricken) -> None:
        device.drift_clock(-self._signed_ppm)

    @property
    def _signed_ppm(self) -> int:
        return self.by_ppm if self.to == "fast" else -self.by_ppm


ROW = FaultRow(
    name="clock_drift",
    layer="device",
    does="Its clock runs fast or slow: it sleeps too short or too long, and dates offline photos by its own count.",
    example="steps: [{wake: yard, faults: [{who: yard, at: device, do: {clock_drift: {by: 200ppm, to: fast}}}]}]",
    heals="after `for`, at the next step with faults, or at the end of the steps; NTP sets the time at each wake",
    scenario="scenarios/faults/clock-drift.yaml",
    sign="action:clock_drift",
    source="R13: drift 200 ppm",
    settings=(
        Setting(name="by", unit="parts per million, such as 200ppm", default="required", does="how far off it runs"),
        Setting(name="to", unit="fast or slow", default="slow", does="in which direction"),
    ),
    not_board="is inside the chip: the firmware would have to play along",
)

"""The firmware crashes."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow
from simulator.mishap import DeviceFault, Stricken


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash(DeviceFault):
    """A panic: the chip restarts."""

    def strike(self, device: Stricken) -> None:
        device.reset("panic")


ROW = FaultRow(
    name="crash",
    layer="device",
    does="The firmware panics right after a message and boots again at once, with empty memory.",
    example='steps: [{wake: yard, faults: [{who: yard, at: "chunk[5].sent", do: crash}]}]',
    heals="at once: it boots again, and memory is what it lost",
    scenario="scenarios/faults/crash.yaml",
    sign="action:crash",
    source="Device: crash at chunk k",
    not_board="is inside the chip: the firmware would have to play along",
)

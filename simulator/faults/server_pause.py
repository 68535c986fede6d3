"""A server stands still."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow, Setting
from simulator.levers import Fault, Levers


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseServer(Fault):
    """SIGSTOP: its connections stay, it does nothing; healed, it goes on."""

    which: int | None = 0

    async def strike(self, levers: Levers) -> None:
        await levers.server.pause(self.which)

    async def heal(self, levers: Levers) -> None:
        await levers.server.resume(self.which)


FAULT = PauseServer
ROW = FaultRow(
    name="server_pause",
    layer="server",
    does="It stands still; its connections stay.",
    example="steps: [{server: {do: pause, for: 20s}}]",
    heals="it goes on: after `for`, with `server: resume`, or at the end of the steps",
    scenario="scenarios/faults/server-pause.yaml",
    sign="step:server:pause",
    source="Server: freeze",
    settings=(Setting(name="which", unit="number or all", default="0", does="which server"),),
)

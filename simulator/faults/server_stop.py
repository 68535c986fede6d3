"""A server is asked to stop."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow, Setting
from simulator.levers import Fault, Levers


@dataclass(frozen=True, slots=True, kw_only=True)
class StopServer(Fault):
    """SIGTERM: it finishes its batch and goes; healed, it starts again."""

    which: int | None = 0

    async def strike(self, levers: Levers) -> None:
        await levers.server.stop(self.which)

    async def heal(self, levers: Levers) -> None:
        await levers.server.start(self.which)


FAULT = StopServer
ROW = FaultRow(
    name="server_stop",
    layer="server",
    does="SIGTERM: it finishes its batch, says goodbye and goes.",
    example="steps: [{server: {do: stop, for: 20s}}]",
    heals="it starts: after `for`, with `server: start`, or at the end of the steps",
    scenario="scenarios/resume/server-is-down-for-a-whole-wake.yaml",
    sign="step:server:stop",
    source="design 5: server",
    settings=(Setting(name="which", unit="number or all", default="0", does="which server"),),
)

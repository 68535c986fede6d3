"""A server is slow."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow, Setting
from simulator.levers import Fault, Levers


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowServer(Fault):
    """What it is sent and what it sends takes `by_ms` longer, each way."""

    which: int | None = 0
    by_ms: int = 2_000

    async def strike(self, levers: Levers) -> None:
        await levers.server.slow_down(self.which, self.by_ms)

    async def heal(self, levers: Levers) -> None:
        await levers.server.slow_down(self.which, 0)


FAULT = SlowServer
ROW = FaultRow(
    name="server_slow",
    layer="server",
    does="What it is sent and what it sends takes longer, each way.",
    example="steps: [{server: {do: slow, by: 3s, for: 10m}}]",
    heals="after `for`, with `server: heal`, or at the end of the steps",
    scenario="scenarios/faults/server-slow.yaml",
    sign="step:server:slow",
    source="Server: slow",
    settings=(
        Setting(name="which", unit="number or all", default="0", does="which server"),
        Setting(name="by", unit="duration", default="2s", does="how much longer"),
    ),
)

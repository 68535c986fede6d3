"""A server is killed."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow, Setting
from simulator.levers import FaultAtRequest, Levers


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashServer(FaultAtRequest):
    """SIGKILL: nothing is finished, nothing is said; healed, it starts again.

    With `at`: when the nth request at that point is carried out, and not answered yet.
    """

    which: int | None = 0

    async def strike(self, levers: Levers) -> None:
        if self.at == "now":
            await levers.server.crash(self.which)
        else:
            await levers.server.crash_at(self.which, self.at, nth=self.nth)

    async def heal(self, levers: Levers) -> None:
        await levers.database.disarm()
        await levers.server.start(self.which)


FAULT = CrashServer
ROW = FaultRow(
    name="server_crash",
    layer="server",
    does="SIGKILL: nothing is finished, nothing is said.",
    example="steps: [{server: {do: crash, for: 20s}}]",
    heals="it starts: after `for`, with `server: start`, or at the end of the steps",
    scenario="scenarios/resume/server-crashes-in-a-transfer.yaml",
    sign="step:server:crash",
    source="Server: kill",
    settings=(
        Setting(name="which", unit="number or all", default="0", does="which server"),
        Setting(
            name="at",
            unit="now, commit, request or words of SQL",
            default="now",
            does="when such a request is carried out and not answered",
        ),
        Setting(name="nth", unit="count", default="1", does="which of these requests"),
    ),
)

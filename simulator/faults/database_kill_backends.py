"""The backends of the servers are terminated."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow, Setting
from simulator.levers import FaultAtRequest, Levers


@dataclass(frozen=True, slots=True, kw_only=True)
class KillBackends(FaultAtRequest):
    """pg_terminate_backend: on all of their connections now, or on the one that gets the nth request `at` a point."""

    times: int = 1

    async def strike(self, levers: Levers) -> None:
        if self.at == "now":
            await levers.database.kill_backends()
        else:
            await levers.database.kill_backend_at(self.at, nth=self.nth, times=self.times)

    async def heal(self, levers: Levers) -> None:
        await levers.database.disarm()


FAULT = KillBackends
ROW = FaultRow(
    name="database_kill_backends",
    layer="database",
    does="pg_terminate_backend: on every connection of the servers, or on the one that makes a request.",
    example="steps: [{database: {do: kill_backends, at: commit, nth: 3}}]",
    heals="at once: the server connects again",
    scenario="scenarios/faults/database-kill-backends.yaml",
    sign="step:database:kill_backends",
    source="DB: kill backend",
    settings=(
        Setting(
            name="at",
            unit="now, commit, request or words of SQL",
            default="now",
            does="when a server makes such a request",
        ),
        Setting(name="nth", unit="count", default="1", does="which of these requests"),
        Setting(name="times", unit="count", default="1", does="how often"),
    ),
)

"""PostgreSQL is killed, with all its processes."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow
from simulator.levers import Fault, Levers


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashDatabase(Fault):
    """kill -9: every connection breaks and the next are refused; healed, it starts and recovers."""

    async def strike(self, levers: Levers) -> None:
        await levers.database.crash()

    async def heal(self, levers: Levers) -> None:
        await levers.database.start()


FAULT = CrashDatabase
ROW = FaultRow(
    name="database_crash",
    layer="database",
    does="kill -9 of all its processes: every connection breaks and nobody answers.",
    example="steps: [{database: {do: crash, for: 20s}}]",
    heals="it starts and recovers: after `for`, with `database: start`, or at the end of the steps",
    scenario="scenarios/faults/database-crash.yaml",
    sign="step:database:crash",
    source="DB: kill -9 all",
)

"""The database lets nobody in."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.catalogue import FaultRow
from simulator.levers import Fault, Levers


@dataclass(frozen=True, slots=True, kw_only=True)
class StopDatabase(Fault):
    """Its connections are ended and new ones are refused, by PostgreSQL itself; healed, it is open again."""

    async def strike(self, levers: Levers) -> None:
        await levers.database.stop()

    async def heal(self, levers: Levers) -> None:
        await levers.database.start()


FAULT = StopDatabase
ROW = FaultRow(
    name="database_stop",
    layer="database",
    does="Its connections are ended, new ones are refused.",
    example="steps: [{database: {do: stop, for: 20s}}]",
    heals="it is open again: after `for`, with `database: start`, or at the end of the steps",
    scenario="scenarios/resume/database-is-down-in-a-transfer.yaml",
    sign="step:database:stop",
    source="design 5: database",
)
